"""A connection from its first byte to its last: documented answers only, no request unaudited, nothing left behind."""

import asyncio
import random
from typing import Any, cast

import uvloop
from tests.fuzz import answers_read, second_reader
from tests.fuzz.in_process import InProcess
from tests.fuzz.mutation import Mutator, pieces, with_cuts
from tests.fuzz.target import Target
from tests.fuzz.wire_words import SEEDS, WORDS

from bartizan.guard import strict_json
from bartizan.guard.connection import ClientConnection

WAITS, HALF_CLOSES, MODEL_WAITS, LEAVES_EARLY = 1, 2, 4, 8
"""What a case's first byte says: the loop turns between pieces; how the caller leaves; how quick the model is."""
TURNS = 12
"""Of the loop, in which a request that can end has ended."""
_MUTATOR = Mutator(SEEDS, WORDS)


class Transport:
    """What a connection sees of a socket."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.protocol: ClientConnection | None = None
        self.written = b""
        self.is_over = self.has_ended = False

    def write(self, data: bytes) -> None:
        assert not self.is_over, "bytes behind the end"
        assert not self.has_ended, "bytes behind the end of our half"
        self.written += data

    def write_eof(self) -> None:
        self.has_ended = True

    def close(self) -> None:
        if not self.is_over and self.protocol is not None:
            self.is_over = True
            self._loop.call_soon(self.protocol.connection_lost, None)

    abort = close

    def is_closing(self) -> bool:
        return self.is_over

    def get_write_buffer_size(self) -> int:
        return 0

    def get_extra_info(self, name: str) -> "Transport":  # noqa: ARG002 -- there is one
        return self

    def setsockopt(self, *option: object) -> None: ...


class Bench:
    """One guard and one loop for all cases of this process."""

    def __init__(self) -> None:
        self.loop = uvloop.new_event_loop()
        self.faults: list[dict[str, Any]] = []
        self.loop.set_exception_handler(lambda _, context: self.faults.append(context))
        self.guard = self.loop.run_until_complete(_made())

    def run(self, case: bytes) -> bytes:
        """What the guard wrote for the case."""
        self.faults.clear()
        return self.loop.run_until_complete(self._talk(case[0] if case else 0, pieces(case[1:])))

    async def _talk(self, manners: int, cut: list[bytes]) -> bytes:
        guard = self.guard
        guard.forget()
        guard.model.turns = 3 if manners & MODEL_WAITS else 0
        transport = Transport(self.loop)
        connection = transport.protocol = ClientConnection(guard.listener, guard.around, guard.seconds)
        connection.connection_made(cast("asyncio.Transport", transport))
        for piece in cut:
            if transport.is_over:
                break
            connection.data_received(piece)
            await _turn(3 if manners & WAITS else 0)
        await _turn(0 if manners & LEAVES_EARLY else TURNS)
        if manners & HALF_CLOSES and not transport.is_over:
            connection.eof_received()
        transport.close()
        await _turn(TURNS)
        assert not guard.left_behind(), f"left behind: {guard.left_behind()}"
        return transport.written


async def _made() -> InProcess:
    return InProcess()


async def _turn(times: int) -> None:
    for _ in range(times):
        await asyncio.sleep(0)


_BENCHES: list[Bench] = []


def _bench() -> Bench:
    if not _BENCHES:
        _BENCHES.append(Bench())
    return _BENCHES[0]


def make(chance: random.Random) -> bytes:
    return bytes([chance.choice((0, 1, 1, chance.randrange(16)))]) + with_cuts(_MUTATOR.make(chance), chance)


def judge(case: bytes) -> None:
    bench = _bench()
    try:
        written = bench.run(case)
    except BaseException:
        _BENCHES.clear()  # whatever it holds is no other case's fault
        raise
    assert not bench.faults, f"the loop heard of {bench.faults}"
    entries = bench.guard.tape.entries
    methods = [entry["method"].encode() for entry in entries if entry["audit"] == "decision"]
    answers = answers_read.read(written, methods=methods)
    for answer in answers:
        assert answer.status in answers_read.DOCUMENTED, f"status {answer.status} is not documented"
    assert all(entry["reason"] != "InternalFault" for entry in entries), "a fault inside"
    decisions = [entry for entry in entries if entry["audit"] == "decision"]
    assert len(answers) <= len(decisions), "an answer without a decision"
    allowed = [entry for entry in decisions if entry["reason"] == "Allowed"]
    assert len(allowed) == len([entry for entry in entries if entry["audit"] == "outcome"])
    _judge_forwarded(b"".join(pieces(case[1:])), allowed, bench.guard.model.requests)


def _judge_forwarded(data: bytes, allowed: list[dict[str, Any]], forwarded: list[tuple[bytes, bytes]]) -> None:
    """Each request that the model saw was allowed, is in canonical form, and a second parser reads the same."""
    bodies = [entry for entry in allowed if entry["bodyBytes"] is not None]
    assert len(forwarded) <= len(bodies), "a request to the model that no decision allows"
    if not forwarded:
        return
    second = [read for read in second_reader.requests(data) if read.method == b"POST"]
    assert len(second) >= len(forwarded), "another parser sees fewer requests"
    for (path, body), read in zip(forwarded, second, strict=False):
        meant = strict_json.parse(body)
        assert strict_json.serialise(meant) == body, "a body that is not canonical"
        asked = strict_json.parse(read.body)
        assert read.target == path, "another parser sees another path"
        assert {**asked, "max_tokens": 0, "stream_options": 0} == {**meant, "max_tokens": 0, "stream_options": 0}


TARGET = Target("connection", make, judge)
