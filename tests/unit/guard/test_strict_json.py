"""One reading of JSON: whatever passes means the same to any parser, and comes out in one canonical form."""

import json
import math
import time
import timeit
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bartizan.guard import strict_json
from bartizan.guard.strict_json import MAX_DEPTH, MAX_VALUES, JsonError

SCALARS = st.none() | st.booleans() | st.integers(-(10**18), 10**18) | st.floats(allow_nan=False, allow_infinity=False)
TEXTS = st.text(st.characters(codec="utf-8"))
VALUES = st.recursive(
    SCALARS | TEXTS,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(TEXTS, inner, max_size=5),
    max_leaves=20,
)


@given(VALUES, st.booleans(), st.sampled_from([None, 1]))
def test_what_any_writer_writes_is_read_as_it_is(value: Any, is_ascii: bool, indent: int | None) -> None:
    text = json.dumps(value, ensure_ascii=is_ascii, indent=indent)
    assert strict_json.parse(text.encode()) == value


@given(VALUES)
def test_the_canonical_form_means_the_same_and_is_its_own(value: Any) -> None:
    canonical = strict_json.serialise(value)
    assert json.loads(canonical) == value
    assert strict_json.serialise(strict_json.parse(canonical)) == canonical


@given(st.binary(max_size=200))
@example(b'{"a":1e400}')
@example(b"[" * 5000)
@example(b'"\\ud800"')
def test_bytes_are_json_or_refused_and_nothing_else_happens(body: bytes) -> None:
    try:
        value = strict_json.parse(body)
    except JsonError:
        return
    try:
        canonical = strict_json.serialise(value)
    except JsonError as error:
        assert "Unicode" in str(error)  # noqa: PT017 -- the one refusal that comes with writing
        return
    assert json.loads(canonical) == value


@given(st.dictionaries(TEXTS, SCALARS, min_size=1, max_size=5), st.data())
def test_a_doubled_key_is_found_wherever_it_stands(value: dict[str, Any], data: st.DataObject) -> None:
    key = data.draw(st.sampled_from(sorted(value)))
    doubled = json.dumps(value)[:-1] + f", {json.dumps(key, ensure_ascii=False)}: 0}}"
    for text in (doubled, f"[{doubled}]", f'{{"outer": [1, {doubled}]}}'):
        with pytest.raises(JsonError, match="twice"):
            strict_json.parse(text.encode())


@pytest.mark.parametrize("bracket", ["[]", '{"a":}'])
@pytest.mark.parametrize("depth", [MAX_DEPTH, MAX_DEPTH + 1, 500, 5_000, 1_000_000])
def test_depth_is_bounded(bracket: str, depth: int) -> None:
    text = bracket[:-1] * depth + ("" if bracket == "[]" else "0") + bracket[-1] * depth
    if depth <= MAX_DEPTH:
        assert strict_json.parse(text.encode())
        return
    with pytest.raises(JsonError):
        strict_json.parse(text.encode())


MANY = {
    "numbers": b"[" + b"1," * 1_000_000 + b"1]",
    "fractions": b"[" + b"1.5," * 500_000 + b"1]",
    "strings": b"[" + b'"",' * 600_000 + b"1]",
    "keys": b"{" + b",".join(b'"%x":1' % number for number in range(200_000)) + b"}",
    "objects": b"[" + b'{"a":{"b":"c"}},' * 100_000 + b"1]",
    "lists": b"[" + b"[]," * 600_000 + b"1]",
    "quotes that never end": b"[" + b'1,"' * 60_000 + b'\\"' * 500_000,
    "backslashes": b"[" + b'"\\\\",' * 300_000 + b"1]",
}


@pytest.mark.parametrize("body", MANY.values(), ids=MANY)
def test_values_are_bounded_before_they_are_read(body: bytes) -> None:
    def refuse() -> None:
        with pytest.raises(JsonError, match=f"more than {MAX_VALUES} values|not valid JSON"):
            strict_json.parse(body)

    assert min(timeit.repeat(refuse, timer=time.process_time, number=1, repeat=5)) < 0.1


@pytest.mark.parametrize(
    "body", [b"[" + b"1," * (MAX_VALUES - 2) + b"1]", b"[" + b'{"a":1},' * (MAX_VALUES // 2 - 1) + b"1]"]
)
def test_as_many_values_as_are_allowed_hold_up_nobody_for_long(body: bytes) -> None:
    assert strict_json.parse(body)
    taken = timeit.repeat(
        lambda: strict_json.serialise(strict_json.parse(body)), timer=time.process_time, number=1, repeat=5
    )
    assert min(taken) < 0.2


@pytest.mark.parametrize("text", ["1,2,3\n" * 300_000, '[{"a": 1}, {}], ' * 60_000, "\\" * 400_001 + ',"' * 200_000])
def test_what_stands_in_strings_counts_for_one_value(text: str) -> None:
    body = json.dumps({"role": "user", "content": text, "name": "x"}).encode()
    assert strict_json.parse(body)["content"] == text


@settings(max_examples=30)
@given(VALUES)
def test_values_are_counted_as_they_are(value: Any) -> None:
    """Beside text that looks like structure and makes them look twice."""
    filler = ',"[{\\' * MAX_VALUES
    assert strict_json.parse(json.dumps([value, filler]).encode()) == [value, filler]


@pytest.mark.parametrize("number", ["1" * 21, "-" + "1" * 21, "1e309", "-1e309", "NaN", "Infinity", "0." + "1" * 60])
def test_numbers_are_bounded(number: str) -> None:
    with pytest.raises(JsonError):
        strict_json.parse(number.encode())


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_fractions_keep_their_value(value: float) -> None:
    read = strict_json.parse(repr(value).encode())
    assert math.copysign(1, read) == math.copysign(1, value)
    assert read == value


def test_messages_never_quote_the_body() -> None:
    for body in (b'{"secret": tru}', b'{"secret":1,"secret":2}', b'{"secret": NaN}', b"\xffsecret", b'"\\ud800secret"'):
        with pytest.raises(JsonError) as refused:
            strict_json.serialise(strict_json.parse(body))
        assert "secret" not in str(refused.value)
