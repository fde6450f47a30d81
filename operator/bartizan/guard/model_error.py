"""What a model's server says against a request: read whole, and told again in the words of the protocol.

Servers answer errors in many forms, with traces, paths and parts of the prompt in them. Of all that one text goes on,
through the seam, and only where it is about the request; of what went wrong within the server nothing does.
"""

from typing import Any, NamedTuple

from bartizan.guard.inspection import Inspector, Place
from bartizan.guard.profiles import answer_json
from bartizan.guard.tally import AnswerError

MAX_BYTES = 64 << 10
"""An error that is longer is no word to a caller."""
MAX_MESSAGE = 2000
"""Characters of a message that go on."""
_SERVER = 500
_FAILED = "The model could not answer this request; try again shortly."
_REFUSED = "The model refuses this request."
_PLACE = Place(0, (("error",),))
CODES = frozenset(
    (
        *("context_length_exceeded", "string_above_max_length", "content_filter"),
        *("invalid_request_error", "invalid_value", "invalid_type", "missing_required_parameter"),
        *("unknown_parameter", "unsupported_parameter", "unsupported_value"),
        *("rate_limit_exceeded", "insufficient_quota"),
    )
)
"""Codes that clients act upon."""
_OTHER_WORDS = {"exceed_context_size_error": "context_length_exceeded"}
"""llama.cpp's word for it is a type."""


class ModelError(NamedTuple):
    """`message` goes to the caller; `code` is one of CODES."""

    status: int
    message: str
    code: str | None = None


def read(status: int, body: bytes, inspector: Inspector) -> ModelError:
    """Raises the seam's Refusal, and nothing else, whatever the body is."""
    if status >= _SERVER:
        return ModelError(status, _FAILED)
    try:
        said = answer_json.load(body)
    except AnswerError:
        return ModelError(status, _REFUSED)
    error = said.get("error")
    holder = error if isinstance(error, dict) else said
    message = _message(holder) or (error if isinstance(error, str) else "") or _REFUSED
    said_codes = (word for name in ("code", "type") if isinstance(word := holder.get(name), str))
    codes = [known for word in said_codes if (known := _OTHER_WORDS.get(word, word)) in CODES]
    return ModelError(status, answer_json.show(inspector, _PLACE, message[:MAX_MESSAGE]), codes[0] if codes else None)


def _message(holder: dict[str, Any]) -> str:
    """OpenAI's and Anthropic's `message`, FastAPI's `detail`: a text, or a list of what is wrong where."""
    for name in ("message", "detail"):
        told = holder.get(name)
        if isinstance(told, str):
            return told
        if isinstance(told, list):
            return "; ".join(
                item["msg"] for item in told if isinstance(item, dict) and isinstance(item.get("msg"), str)
            )
    return ""
