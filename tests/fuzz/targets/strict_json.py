"""Strict JSON: any bytes are refused, or mean the same to the standard's own reader and have one canonical form."""

import json
import random
from typing import Any

from tests.fuzz.mutation import Mutator
from tests.fuzz.target import Target
from tests.fuzz.values import anything, written

from bartizan.guard import strict_json
from bartizan.guard.strict_json import JsonError

_SEEDS = (
    b'{"a":1,"b":[true,false,null],"c":{"d":"e"}}',
    b'[1,-2,3.5,1e3,-0.0,12345678901234567890,"\\u00e9\\ud83d\\ude00","\\"\\\\\\/\\b\\f\\n\\r\\t"]',
    '{"é":"😀","":""}'.encode(),
    b'"text"',
    b" \t\r\n0 ",
)
_WORDS = (
    *(b"{", b"}", b"[", b"]", b",", b":", b'"', b"\\", b"\\u", b"\\u0000", b"\\ud800", b"\\udc00", b"\\ud83d\\ude00"),
    *(b"true", b"false", b"null", b"NaN", b"Infinity", b"-Infinity", b"-", b"-0", b"0", b"01", b"1.", b".5", b"1e"),
    *(b"1E+9",),
    *(b"1e999", b"1" * 21, b"0." + b"1" * 50, b'"a":1,', b'"\\u0061":2,', b"[" * 40, b'{"a":' * 40, b"//", b"/**/"),
    *(b"'",),
    *(b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc2\xa0", b"\xe2\x80\xa8", b"\xff\xfe"),
)  # fmt: skip
_MUTATOR = Mutator(_SEEDS, _WORDS)


def make(chance: random.Random) -> bytes:
    if chance.random() < 0.5:
        return _MUTATOR.make(chance)
    text = written(anything(chance), chance).encode("utf-8", "surrogatepass")
    return text if chance.random() < 0.5 else Mutator((text,), _WORDS).make(chance)


def judge(case: bytes) -> None:
    try:
        canonical = strict_json.serialise(strict_json.parse(case))
    except JsonError as error:
        assert str(error).isascii(), "a message that quotes the body"  # noqa: PT017 -- most cases are refused
        return
    meant = json.loads(case, object_pairs_hook=_once, parse_constant=_never)
    assert same(json.loads(canonical), meant), "the canonical form means something else"
    assert strict_json.serialise(strict_json.parse(canonical)) == canonical, "the canonical form has another one"
    assert not case.startswith((b"\xef\xbb\xbf", b"\xff", b"\xfe"))


def same(one: object, other: object) -> bool:
    """Equal, and of the same types: Python takes 1, 1.0 and true for equal."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict) and isinstance(other, dict):
        return list(one) == list(other) and all(same(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other and str(one) == str(other)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    assert len({name for name, _ in pairs}) == len(pairs), "a key that stands twice was let through"
    return dict(pairs)


def _never(name: str) -> None:
    raise AssertionError(f"{name} was let through")


TARGET = Target("strict_json", make, judge)
