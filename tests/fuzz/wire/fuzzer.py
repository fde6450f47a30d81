"""Raw bytes on real sockets against a running guard, many callers at once, and what must hold after each batch."""

import asyncio
import contextlib
import random
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.fuzz import answers_read
from tests.fuzz.mutation import Mutator, pieces, with_cuts
from tests.fuzz.wire import seeds
from tests.fuzz.wire.audit_tail import AuditTail
from tests.fuzz.wire.counting_model import CountingModel
from tests.fuzz.wire_words import WORDS
from tests.unit.guard.running import Guard

FLAGS = tuple(
    flag
    for name in ("header", "body", "idle", "reader", "answer")
    for flag in (f"--{name}-seconds", "1")
)  # fmt: skip
"""Deadlines short enough to be met while callers wait."""
WAITS, HALF_CLOSES, RESETS, STAYS = 1, 2, 4, 8
"""A case's first byte: it pauses between pieces; it closes its half; it leaves without reading; it stays to the end."""
CALLERS = 48
QUIET_SECONDS = 0.03
"""How long a caller listens for more before it leaves."""
PAUSE_SECONDS = 0.002
MOST_MIB = 90
MOST_SPARE_FILES = 80
"""Connections that the guard keeps to the model, and its own files."""
SETTLE_SECONDS = 15
_MUTATOR = Mutator(seeds.ALL, WORDS)


def case_of(seed: int, number: int) -> bytes:
    """One in eight is a shape as it stands."""
    chance = random.Random((seed << 40) + number)
    manners = chance.choices((0, WAITS, HALF_CLOSES, RESETS, STAYS), (60, 25, 6, 6, 1))[0]
    data = chance.choice(seeds.ALL) if chance.random() < 0.125 else _MUTATOR.make(chance)
    return bytes([manners]) + with_cuts(data, chance)


@dataclass
class Batch:
    """What callers were answered; `broken` holds what was no answer."""

    answers: int = 0
    statuses: dict[int, int] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)


@dataclass
class Wire:
    """A running guard, the model behind it, and what both have seen so far."""

    guard: Guard
    model: CountingModel
    tail: AuditTail
    answers: int = 0

    async def run(self, cases: list[bytes]) -> Batch:
        """Try the cases, many at a time, and hold the guard to its promises; raises AssertionError."""
        batch, limit = Batch(), asyncio.Semaphore(CALLERS)

        async def one(case: bytes) -> None:
            async with limit:
                self._take(batch, case, await self._call(case))

        await asyncio.gather(*(one(case) for case in cases))
        assert not batch.broken, batch.broken[:3]
        await self._settle()
        self.answers += batch.answers
        await asyncio.to_thread(self._judge)
        return batch

    async def _call(self, case: bytes) -> bytes:
        manners, received = case[0] if case else 0, b""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.guard.port)
        with contextlib.suppress(ConnectionError):
            for piece in pieces(case[1:]):
                if writer.is_closing():  # cut by the guard, which uvloop's transport says with a RuntimeError
                    break
                writer.write(piece)
                await asyncio.sleep(PAUSE_SECONDS if manners & WAITS else 0)
            if manners & RESETS:
                writer.transport.abort()
                return b""
            if manners & HALF_CLOSES and not writer.is_closing():
                writer.write_eof()
            received = await _listen(reader, SETTLE_SECONDS if manners & STAYS else QUIET_SECONDS)
        writer.transport.abort()
        return received

    @staticmethod
    def _take(batch: Batch, case: bytes, received: bytes) -> None:
        methods = [
            line.partition(b" ")[0] for line in b"".join(pieces(case[1:])).split(b"\r\n") if b" HTTP/1.1" in line
        ]
        try:
            answers = answers_read.read(received, methods=methods)
        except AssertionError as error:
            batch.broken.append(f"{error}: {case!r} was answered {received[:300]!r}")
            return
        for answer in answers:
            batch.statuses[answer.status] = batch.statuses.get(answer.status, 0) + 1
            if answer.status not in answers_read.DOCUMENTED:
                batch.broken.append(f"status {answer.status}: {case!r}")
        batch.answers += len(answers)

    async def _settle(self) -> None:
        """Until nothing is under way any more: deadlines end what callers have left."""
        deadline = time.monotonic() + SETTLE_SECONDS
        while await asyncio.to_thread(self.guard.metric, "bartizan_guard_connections "):
            assert time.monotonic() < deadline, "connections that never end"
            await asyncio.sleep(0.05)

    def _judge(self) -> None:
        guard, tail = self.guard, self.tail
        assert guard.process.poll() is None, f"the guard has ended: {guard.log()[-500:]}"
        tail.follow()
        assert not self.model.odd, f"smuggled to the model: {self.model.odd[:3]}"
        assert self.model.bodies <= tail.allowed, "the model saw a request that no decision allows"
        assert self.answers <= tail.decisions, "an answer without a decision"
        assert not tail.open, "a request that never ended"
        assert not tail.reasons["InternalFault"], f"a fault inside: {guard.log()[-1500:]}"
        assert guard.metric("bartizan_guard_requests_in_flight") == 0, "a slot is held"
        assert guard.rss_mib() < MOST_MIB, f"{guard.rss_mib():.0f} MiB"
        assert len(list(Path(f"/proc/{guard.process.pid}/fd").iterdir())) < MOST_SPARE_FILES, "files that stay open"


async def _listen(reader: asyncio.StreamReader, quiet_seconds: float) -> bytes:
    """What comes until the guard closes, or says nothing for a while."""
    received = b""
    with contextlib.suppress(TimeoutError):
        while True:
            async with asyncio.timeout(quiet_seconds):
                data = await reader.read(1 << 16)
            if not data:
                break
            received += data
    return received
