"""Reads JSON in one way only (RFC 8259, I-JSON's limits) and writes the one form that goes to the model."""

import json
import re
from typing import Any

import orjson

MAX_DEPTH = 32
MAX_VALUES = 50_000
"""Values in one body, which all wait while it is read: two megabytes of digits would take 0.2 s and 100 MiB.

The longest real requests stay well under it: 2,048 messages of two dozen values each, 128 tools of 390, 2,048 inputs. A
list of token ids would need 300,000, but no profile takes one: nobody could inspect it as text.
"""
MAX_DIGITS = 20
"""Of a whole number; 64-bit seeds fit."""
INFINITY = float("inf")
WHITESPACE = " \t\n\r"
"""All that may stand round a value; the decoder's own way of skipping it costs more than reading a short value does."""


class JsonError(ValueError):
    """The text is not strict JSON; the message names the rule and never the content."""


def parse(body: bytes) -> Any:  # noqa: ANN401 -- JSON is any of six types until the schema has judged it
    """The value in `body`; raises JsonError."""
    if len(body) > MAX_VALUES and _structure(body) > MAX_VALUES:
        _judge_number_of_values(body)
    try:
        text = body.decode("utf-8").strip(WHITESPACE)
        value, end = _DECODER.raw_decode(text)
    except JsonError:
        raise
    except UnicodeDecodeError as error:
        raise JsonError("not UTF-8") from error
    except (ValueError, RecursionError) as error:
        raise JsonError("not valid JSON, or nested too deep") from error
    if end != len(text):
        raise JsonError("not valid JSON, or nested too deep")
    if _has_many_brackets(body) and _is_deeper(value, MAX_DEPTH):
        raise JsonError(f"nested more than {MAX_DEPTH} deep")
    return value


def serialise(value: Any) -> bytes:  # noqa: ANN401
    """Canonical UTF-8; raises JsonError where a string holds a lone surrogate."""
    try:
        return orjson.dumps(value)
    except TypeError:  # what orjson does not know: whole numbers beyond 64 bits, and lone surrogates
        return _serialise_slowly(value)


def _serialise_slowly(value: Any) -> bytes:  # noqa: ANN401
    try:
        return _ENCODER.encode(value).encode("utf-8")
    except (UnicodeEncodeError, ValueError) as error:
        raise JsonError("a string is not valid Unicode") from error


_STRING = re.compile(rb'"[^"]*+(?:"|\Z)')


def _judge_number_of_values(body: bytes) -> None:
    """Look again without what stands in strings: prose, tables and code may have as many commas as they like."""
    plain = body.replace(rb"\\", b"").replace(rb"\"", b"") if b"\\" in body else body
    if plain.count(b'"') <= 4 * MAX_VALUES:  # two for each value and two for its key; more are too many uncounted
        plain = _STRING.sub(b"", plain)
        if _structure(plain) <= MAX_VALUES:
            return
    raise JsonError(f"more than {MAX_VALUES} values")


def _structure(body: bytes) -> int:
    """Signs of structure: as many as there are values, or more."""
    return body.count(b"{") + body.count(b"[") + body.count(b",")


def _has_many_brackets(body: bytes) -> bool:
    """Whether it may be nested too deep. They are replaced and not counted: that skips a text faster."""
    most = MAX_DEPTH + 1
    without = len(body.replace(b"{", b"", most)) + len(body.replace(b"[", b"", most))
    return 2 * len(body) - without > MAX_DEPTH


def _is_deeper(value: object, levels: int) -> bool:
    """Whether objects and lists stand in one another on more than so many levels."""
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, list):
        return False
    if levels == 0:
        return True
    for item in value:  # noqa: SIM110 -- a generator at each level costs more than all else here
        if isinstance(item, _NESTED) and _is_deeper(item, levels - 1):
            return True
    return False


_NESTED = (dict, list)


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
