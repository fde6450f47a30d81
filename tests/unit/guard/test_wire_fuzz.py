"""Raw bytes against the running guard: it answers only as documented, and the model sees only what was allowed."""

import json
import re
import socket
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.guard import running
from tests.unit.guard.running import Guard, Model, chat, eventually, read_all, request_bytes

from bartizan.guard.refusal import STATUS

BODY = json.dumps(chat("fuzz")).encode()
CHUNKED = b"5\r\n" + BODY[:5] + b"\r\n%x\r\n" % len(BODY[5:]) + BODY[5:] + b"\r\n0\r\n\r\n"
SEEDS = [
    request_bytes(BODY),
    request_bytes(BODY, b"Connection: keep-alive") + request_bytes(BODY),
    request_bytes(CHUNKED, b"Transfer-Encoding: chunked"),
    request_bytes(b"", method=b"GET", path=b"/v1/models"),
]
PIECES = [
    *(
        b"\r\n",
        b"\n",
        b"\r",
        b"\x00",
        b" ",
        b"\t",
        b":",
        b"\xff",
        b"%2f",
        b'"',
        b"{",
        b"[" * 50,
        b"\\ud800",
        b"HTTP/1.1",
    ),
    *(b"Transfer-Encoding: chunked\r\n", b"Content-Length: 5\r\n", b"Host: x\r\n", b"Upgrade: h2c\r\n"),
    *(b"Expect: 100-continue\r\n", b"0\r\n\r\n"),
]
CUTS = st.lists(
    st.tuples(st.floats(0, 1), st.integers(0, 8), st.sampled_from(PIECES) | st.binary(max_size=4)), max_size=4
)
DOCUMENTED = {status.value for status in STATUS.values()} | {100, 200}


Cut = tuple[float, int, bytes]


@pytest.fixture(scope="module")
def own_model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Model]:
    with running.model(tmp_path_factory.mktemp("fuzzed-model")) as started:
        yield started


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory, own_model: Model) -> Iterator[Guard]:
    with running.guard(tmp_path_factory.mktemp("fuzzed"), own_model.upstream) as started:
        yield started


@settings(max_examples=300, deadline=None)
@given(seed=st.sampled_from(SEEDS), cuts=CUTS, end=st.floats(0, 1))
def test_no_bytes_get_past_the_decision(
    fuzzed: Guard, own_model: Model, seed: bytes, cuts: list[Cut], end: float
) -> None:
    data = seed
    for place, length, piece in cuts:
        at = int(place * len(data))
        data = data[:at] + piece + data[at + length :]
    data = data[: int(end * len(data)) + 1] if end < 0.3 else data
    with fuzzed.connect() as sock:
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        answer = read_all(sock)
    assert {int(found) for found in re.findall(rb"(?:^|[}\n])HTTP/1\.1 (\d+) ", answer)} <= DOCUMENTED
    allowed = (fuzzed.folder / "audit").read_bytes().count(b'"decision","reason":"Allowed"')
    assert len(own_model.received()) <= allowed
    assert fuzzed.process.poll() is None


def test_after_all_that_nothing_is_held_and_nothing_broke(fuzzed: Guard) -> None:
    eventually(lambda: fuzzed.metric("bartizan_guard_requests_in_flight") == 0, "no slot is held")
    eventually(lambda: fuzzed.metric("bartizan_guard_connections ") == 0, "no connection is held")
    assert fuzzed.metric('bartizan_guard_requests_total{reason="InternalFault"') == 0
    assert fuzzed.ask(chat()).status == 200
    assert fuzzed.audit()
