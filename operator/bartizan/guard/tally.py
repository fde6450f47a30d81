"""What an answer has cost so far, and what one that cannot be read is called."""

from dataclasses import dataclass
from typing import NamedTuple

from bartizan.policy.tokens import Amount

MOST_SAID = 1 << 53
"""Tokens: what every reader of the audit takes for a whole number."""


class AnswerError(ValueError):
    """What the server sent is no answer of its protocol."""


class Said(NamedTuple):
    """What the server says it used, in tokens; None of what it does not speak of."""

    input: int | None
    output: int | None


SILENCE = Said(None, None)


def figure(said: object) -> int | None:
    """One of the server's figures; raises AnswerError where it is none."""
    if said is None or (type(said) is int and 0 <= said <= MOST_SAID):
        return said
    raise AnswerError("usage without whole numbers")


@dataclass(slots=True)
class Tally:
    """What an answer has cost so far: the server's word, and our own floor: an event with text is a token at least.

    `text_bytes` are those of an answer that came whole, whose tokens nobody can tell from its form.
    """

    said: Said | None = None
    floor: int = 0
    text_bytes: int = 0

    def spent(self, *, held: Amount) -> Amount:
        """The larger of the two counts; what the server never spoke of counts as the most that it can be.

        Of the input that is what was held for it; of text in one piece a token a byte, and no more than was held.
        """
        given, made = self.said or SILENCE
        if made is None:
            made = min(self.text_bytes, held.output)
        return Amount(held.input if given is None else given, max(made, self.floor))
