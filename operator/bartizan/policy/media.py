"""What an owner may say of media that stand in a request."""

from collections.abc import Mapping
from dataclasses import dataclass

TYPES = ("image/png", "image/jpeg", "image/gif", "image/webp")
MOST_BYTES = 1_500_000
"""Of one image: in base64 it fits into the largest body that a guard reads, with a conversation beside it."""
DEFAULT_MAX_BYTES = 1_000_000
MOST_TOKENS = 100_000


@dataclass(frozen=True, slots=True)
class MediaTerms:
    """Which images pass: of these types, of at most so many bytes each; `tokens` is what one may cost the model."""

    types: tuple[str, ...]
    max_bytes: int
    tokens: int


def check(terms: MediaTerms) -> None:
    """Raises ValueError where no owner could have said so."""
    if not terms.types or not set(terms.types) <= set(TYPES):
        raise ValueError("media of no type, or of one that is not known")
    for figure, most in ((terms.max_bytes, MOST_BYTES), (terms.tokens, MOST_TOKENS)):
        if type(figure) is not int or not 0 < figure <= most:
            raise ValueError("media without bounds")


def read(value: Mapping[str, object]) -> MediaTerms:
    """The terms in a document; raises TypeError and ValueError."""
    terms = MediaTerms(**{**value, "types": tuple(value["types"])})  # type: ignore[arg-type] # check looks at each
    check(terms)
    return terms
