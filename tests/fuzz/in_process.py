"""A whole guard in this process but for its sockets: pipeline, connections, audit; and what it must hold when idle."""

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from tests.unit.guard.running import SIGNING_KEY, document
from tests.unit.guard.stand import FORGETFUL

from bartizan.guard import enforcement
from bartizan.guard.audit import Audit
from bartizan.guard.budgets import Budgets
from bartizan.guard.connection import Surroundings
from bartizan.guard.deadlines import Deadlines
from bartizan.guard.document_watch import DocumentWatch, Trust
from bartizan.guard.inspection import Inspector
from bartizan.guard.listener import Listener
from bartizan.guard.metrics import Metrics
from bartizan.guard.pipeline import Gate, Pipeline
from bartizan.guard.rates import Rates
from bartizan.guard.request import Budget
from bartizan.guard.settings import Bounds
from bartizan.guard.shared import Own, SharedLimits
from bartizan.guard.slots import Slots
from bartizan.guard.turn import Turn
from bartizan.guard.underway import Underway
from bartizan.guard.upstream_connection import AnswerHead, Receiver
from bartizan.policy import document as documents

if TYPE_CHECKING:
    from bartizan.guard.upstream import Upstream

WAITING_BYTES = 1 << 20
BOUNDS = Bounds(
    header_seconds=60,
    body_seconds=60,
    idle_seconds=60,
    reader_seconds=60,
    answer_seconds=60,
    connections=16,
    connections_per_address=16,
    body_bytes=1 << 16,
    waiting_bytes=WAITING_BYTES,
    answer_bytes=WAITING_BYTES,
    turn_seconds=0.5,
)
_EVENTS = b'data: {"choices":[{"index":0,"delta":{"content":"a"}}]}\n\ndata: [DONE]\n\n'
_WHOLE = b'{"choices":[{"index":0,"message":{"content":"a"}}],"usage":{"prompt_tokens":1,"completion_tokens":1}}'


class Tape:
    """Keeps the audit's entries."""

    def __init__(self) -> None:
        self.entries: list[dict[str, Any]] = []

    def write(self, line: bytes, *, must_not_wait: bool) -> None:  # noqa: ARG002 -- a tape never makes wait
        self.entries.append(json.loads(line))


class Unheard:
    """A source that nobody pauses."""

    def pause(self) -> None: ...

    def resume(self) -> None: ...


class CountingModel:
    """Counts what reaches it, and answers after `turns` of the loop."""

    def __init__(self) -> None:
        self.requests: list[tuple[bytes, bytes]] = []
        self.turns = 0

    def most_seconds(self, stream_seconds: float) -> float:
        return stream_seconds

    async def forward(self, path: bytes, body: bytes, receiver: Receiver, header: bytes, *, within: float) -> None:  # noqa: ARG002 -- as an upstream has it
        self.requests.append((path, body))
        receiver.begin(Unheard())
        receiver.sent()
        for _ in range(self.turns):
            await asyncio.sleep(0)
        is_stream = json.loads(body).get("stream") is True
        kind, answer = (b"text/event-stream", _EVENTS) if is_stream else (b"application/json", _WHOLE)
        receiver.head(AnswerHead(200, kind, None if is_stream else len(answer)))
        receiver.piece(answer)
        receiver.flush()
        receiver.end()


class InProcess:
    """One guard for many cases; `idle` says what a case has left behind."""

    def __init__(self, inspector: Callable[[], Inspector]) -> None:
        self.tape, self.model = Tape(), CountingModel()
        each = BOUNDS.connections_per_address
        self.listener = Listener(most=BOUNDS.connections, most_each=each, counted=lambda _: None)
        self.deadlines, self.budget = Deadlines(), Budget(WAITING_BYTES, each=BOUNDS.body_bytes)
        rates, budgets = Rates(FORGETFUL), Budgets(FORGETFUL, lambda: 0)
        self.gate = Gate(
            documents=_documents(),
            upstream=cast("Upstream", self.model),
            audit=Audit(self.tape, chain="c", endpoint="ml/llama", now=lambda: 0.0),
            metrics=Metrics(),
            rates=rates,
            slots=Slots(),
            budgets=budgets,
            shared=SharedLimits(Own(FORGETFUL, rates, budgets, Path(), 600, lambda: 0)),
            inspector=inspector,
            underway=Underway(),
            turn=Turn(0.5, lambda _: None, clock=lambda: 0.0),
            answers=Budget(1 << 20, each=1 << 20),
            max_body_bytes=BOUNDS.body_bytes,
            clock=lambda: 0.0,
            wall_clock=lambda: 0.0,
            is_draining=lambda: False,
        )
        self.around = Surroundings(
            answer=Pipeline(self.gate).answer,
            deadlines=self.deadlines,
            bounds=BOUNDS,
            budget=self.budget,
            new_id=self._ids().__next__,
        )
        self.seconds = self.around.seconds()

    @staticmethod
    def _ids() -> Iterator[str]:
        number = 0
        while True:
            number += 1
            yield f"req_{number}"

    def forget(self) -> None:
        """Start a case: nothing was seen, nothing was spent."""
        self.tape.entries.clear()
        self.model.requests.clear()
        self.gate.rates._states.clear()
        self.gate.budgets._levels.clear()

    def left_behind(self) -> list[str]:
        """What is still held, in words; empty where nothing is."""
        gate, budget = self.gate, self.budget
        held = {
            "a connection": self.listener._connections,
            "a deadline": self.deadlines._watched,
            "a slot": gate.slots.taken or gate.slots._by_client,
            "bytes of a body": budget.left != WAITING_BYTES or any(budget._held.values()),
            "a key's answer": gate.underway._held,
            "tokens": [level for levels in gate.budgets._levels.values() for level in levels.values() if level.held],
            "a task": len(asyncio.all_tasks()) > 1,
        }
        return [what for what, is_held in held.items() if is_held]


def _documents() -> DocumentWatch:
    """With a document in force, and no file."""
    given = document(max_output_tokens=4096)
    watch = DocumentWatch(Path(), Trust(SIGNING_KEY.public_key(), given.endpoint, 0), taken_up=lambda _: None)
    watch.current = enforcement.prepare(given, documents.encode(given, SIGNING_KEY).encode())
    return watch
