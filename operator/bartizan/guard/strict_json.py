"""Reads JSON in one way only (RFC 8259, I-JSON's limits) and writes the one form that goes to the model."""

import json
from typing import Any

MAX_DEPTH = 32
MAX_BRACKETS = 100_000
"""Objects and lists in one body: each takes some twenty times its two characters in memory."""
MAX_DIGITS = 20
"""Of a whole number; 64-bit seeds fit."""
INFINITY = float("inf")


class JsonError(ValueError):
    """The text is not strict JSON; the message names the rule and never the content."""


def parse(body: bytes) -> Any:  # noqa: ANN401 -- JSON is any of six types until the schema has judged it
    """The value in `body`; raises JsonError."""
    brackets = body.count(b"{") + body.count(b"[")
    if brackets > MAX_BRACKETS:
        raise JsonError(f"more than {MAX_BRACKETS} objects and lists")
    try:
        value = _DECODER.decode(body.decode("utf-8"))
    except JsonError:
        raise
    except UnicodeDecodeError as error:
        raise JsonError("not UTF-8") from error
    except (ValueError, RecursionError) as error:
        raise JsonError("not valid JSON, or nested too deep") from error
    if brackets > MAX_DEPTH and _is_deeper(value, MAX_DEPTH):
        raise JsonError(f"nested more than {MAX_DEPTH} deep")
    return value


def serialise(value: Any) -> bytes:  # noqa: ANN401
    """Canonical UTF-8; raises JsonError where a string holds a lone surrogate."""
    try:
        return _ENCODER.encode(value).encode("utf-8")
    except (UnicodeEncodeError, ValueError) as error:
        raise JsonError("a string is not valid Unicode") from error


def _is_deeper(value: object, levels: int) -> bool:
    if isinstance(value, dict):
        return levels == 0 or any(_is_deeper(item, levels - 1) for item in value.values())
    if isinstance(value, list):
        return levels == 0 or any(_is_deeper(item, levels - 1) for item in value)
    return False


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise JsonError("a key stands twice in one object")
    return value


def _whole(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise JsonError("a number has too many digits")
    return int(digits)


def _fraction(text: str) -> float:
    value = float(text)
    if len(text) > 2 * MAX_DIGITS or abs(value) == INFINITY:
        raise JsonError("a number is out of range")
    return value


def _constant(name: str) -> Any:  # noqa: ANN401
    raise JsonError(f"{name} is no JSON number")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_whole, parse_float=_fraction, parse_constant=_constant
)
_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), check_circular=False)
