"""A caller's trace goes on to the model under a span of the guard's own, and nothing else of it does."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.guard import running, scripted
from tests.unit.guard.running import Guard, chat, request_bytes
from tests.unit.guard.scripted import Scripted, whole

from bartizan.guard import trace_context
from bartizan.guard.request import Head

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
GOOD = f"00-{TRACE}-{SPAN}-01"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Scripted]:
    with scripted.scripted(tmp_path / "model.sock", whole(b'{"choices":[]}')) as started:
        yield started


@pytest.fixture
def guard(tmp_path: Path, server: Scripted) -> Iterator[Guard]:
    folder = tmp_path / "guard"
    folder.mkdir()
    with running.guard(folder, server.upstream) as started:
        yield started


def _seen(guard: Guard, server: Scripted, *values: str) -> tuple[list[str], dict[str, object]]:
    """The model's lines of trace context, and the decision in the audit, for a request with these `traceparent`s."""
    asked = request_bytes(json.dumps(chat()).encode())
    lines = "".join(f"traceparent: {value}\r\n" for value in values) + "tracestate: a=secret\r\nbaggage: b=secret\r\n"
    head, _, body = asked.partition(b"\r\n\r\n")
    got = guard.raw(head + b"\r\n" + lines.encode() + b"\r\n" + body)
    assert got.startswith(b"HTTP/1.1 200 ")
    sent = server.requests[-1].partition(b"\r\n\r\n")[0].decode()
    assert "secret" not in sent
    found = re.search(rb"X-Request-Id: (\S+)", got)
    assert found
    decision = guard.audited(found[1].decode())[0]
    return [line for line in sent.split("\r\n") if line.lower().startswith(("trace", "baggage"))], decision


def test_a_trace_goes_on_under_a_span_of_our_own(guard: Guard, server: Scripted) -> None:
    (line,), decision = _seen(guard, server, GOOD)
    version, trace_id, span, flags = line.removeprefix("traceparent: ").split("-")
    assert (version, trace_id, flags) == ("00", TRACE, "01")
    assert span != SPAN
    assert (decision["trace"], decision["span"]) == (TRACE, span)


@pytest.mark.parametrize("values", [(), (GOOD, GOOD), (f"{GOOD}-x",), (GOOD.upper(),), (f"ff{GOOD[2:]}",)])
def test_what_is_none_is_left_out_and_hinders_nobody(guard: Guard, server: Scripted, values: tuple[str, ...]) -> None:
    lines, decision = _seen(guard, server, *values)
    assert lines == []
    assert "trace" not in decision


@given(st.one_of(st.binary(max_size=80), st.from_regex(rb"0[0f]-[0-9a-f]{31,33}-[0-9a-f]{15,17}-[0-9a-f]{2}")))
def test_nothing_but_a_well_formed_line_comes_of_any_bytes(value: bytes) -> None:
    found = trace_context.of(Head(b"POST", b"/", ((b"traceparent", value),)))
    if found is not None:
        assert re.fullmatch(rb"traceparent: 00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]\r\n", found.header)
        assert found.id.encode() == value[3:35]


@pytest.mark.parametrize("value", [f"00-{'0' * 32}-{SPAN}-01", f"00-{TRACE}-{'0' * 16}-01", f"{GOOD}\n", f" {GOOD}"])
def test_the_ids_that_stand_for_none_are_none(value: str) -> None:
    assert trace_context.of(Head(b"POST", b"/", ((b"traceparent", value.encode()),))) is None


@pytest.mark.parametrize(("flags", "told"), [("00", b"-00"), ("01", b"-01"), ("03", b"-01"), ("fe", b"-00")])
def test_of_the_flags_only_sampled_goes_on(flags: str, told: bytes) -> None:
    found = trace_context.of(Head(b"POST", b"/", ((b"traceparent", f"00-{TRACE}-{SPAN}-{flags}".encode()),)))
    assert found is not None
    assert found.header.rstrip().endswith(told)
