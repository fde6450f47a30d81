"""A pipeline with everything real but the model, the wire and the tape."""

import asyncio
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from tests.unit.guard.running import CHAT, DOCUMENT, ENDPOINT, SIGNING_KEY, chat, credential

from bartizan.guard.audit import Audit, SinkError
from bartizan.guard.budgets import Budgets
from bartizan.guard.document_watch import DocumentWatch, Trust
from bartizan.guard.inspection import LetPass
from bartizan.guard.limits_file import Owner
from bartizan.guard.limits_memory import LimitsMemory
from bartizan.guard.metrics import Metrics
from bartizan.guard.pipeline import Gate, Pipeline
from bartizan.guard.rates import Rates
from bartizan.guard.refusal import Refusal  # noqa: TC001 -- a value, not only a type
from bartizan.guard.reply import Reply, Source
from bartizan.guard.request import Budget, Head, Request
from bartizan.guard.shared import Own, SharedLimits
from bartizan.guard.slots import Slots
from bartizan.guard.turn import Turn
from bartizan.guard.underway import Underway
from bartizan.guard.upstream_connection import AnswerHead, Receiver
from bartizan.policy import document as documents
from bartizan.policy.document import GuardDocument
from bartizan.policy.reasons import Reason

if TYPE_CHECKING:
    from bartizan.guard.upstream import Upstream

FORGETFUL = LimitsMemory(None, Owner("", ""), time.monotonic_ns)
BODY = json.dumps(chat(stream=True)).encode()


class Wire:
    """Keeps what would go to the caller."""

    def __init__(self) -> None:
        self.lost_because = Reason.CLIENT_GONE
        self.written = b""
        self.is_cut = False

    def write(self, data: bytes) -> None:
        self.written += data

    def take_from(self, source: Source) -> None: ...

    def let_go_of_source(self) -> None: ...

    def finish(self) -> None: ...

    def will_close(self) -> bool:
        return True

    def cut(self) -> None:
        self.is_cut = True

    async def drained(self, size: int, within: float) -> None: ...


class Tape:
    def __init__(self) -> None:
        self.entries: list[dict[str, Any]] = []
        self.fails_on = ""

    def write(self, line: bytes, *, must_not_wait: bool) -> None:  # noqa: ARG002 -- a tape never makes wait
        entry = json.loads(line)
        if entry["audit"] == self.fails_on:
            raise SinkError("full")
        self.entries.append(entry)


class Model:
    """Answers in place of an upstream, or breaks."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.breaks: type[Exception] | Refusal | None = None
        self.breaks_late = False

    def most_seconds(self, stream_seconds: float) -> float:
        return stream_seconds

    async def forward(self, path: bytes, body: bytes, receiver: Receiver, header: bytes, *, within: float) -> None:  # noqa: ARG002 -- one path is asked
        self.bodies.append(body)
        if self.breaks and not self.breaks_late:
            raise self.breaks
        receiver.begin(Unheard())
        receiver.head(AnswerHead(200, b"text/event-stream", None))
        if self.breaks:
            raise self.breaks
        receiver.piece(b"data: [DONE]\n\n")
        receiver.end()


class Unheard:
    """A source that nobody pauses."""

    def pause(self) -> None: ...

    def resume(self) -> None: ...


class Stand:
    def __init__(self, folder: Path, given: GuardDocument = DOCUMENT) -> None:
        (folder / "document").write_text(documents.encode(given, SIGNING_KEY))
        trust = Trust(SIGNING_KEY.public_key(), ENDPOINT, not_before=0)
        watch = DocumentWatch(folder / "document", trust, taken_up=lambda _: None)
        watch.look()
        self.tape, self.model, self.wire = Tape(), Model(), Wire()
        rates, budgets = Rates(FORGETFUL), Budgets(FORGETFUL, time.monotonic_ns)
        self.gate = Gate(
            documents=watch,
            upstream=cast("Upstream", self.model),
            audit=Audit(self.tape, chain="c", endpoint="ml/llama", now=time.time),
            metrics=Metrics(),
            rates=rates,
            slots=Slots(),
            budgets=budgets,
            shared=SharedLimits(Own(FORGETFUL, rates, budgets, folder, 600, time.monotonic_ns)),
            inspector=LetPass,
            underway=Underway(),
            turn=Turn(0.5, lambda _: None, clock=time.monotonic),
            answers=Budget(1 << 20, each=1 << 20),
            max_body_bytes=1 << 20,
            clock=time.monotonic,
            wall_clock=time.time,
            is_draining=lambda: False,
        )

    def ask(self, body: bytes = BODY, path: str = CHAT, **changes: Any) -> tuple[int, dict[str, Any]]:
        """The status that the caller sees, and the error, if it is one."""
        asyncio.run(self._ask(body, path, Pipeline(replace(self.gate, **changes))))
        head, _, rest = self.wire.written.partition(b"\r\n\r\n")
        is_json = b"Content-Type: application/json" in head
        return int(head.split(b" ")[1]), json.loads(rest)["error"] if is_json else {}

    async def _ask(self, data: bytes, path: str, pipeline: Pipeline) -> None:
        fields = (
            (b"host", b"guard"),
            (b"content-type", b"application/json"),
            (b"anthropic-version", b"2023-06-01"),
            (b"authorization", b"Bearer " + credential().reveal().encode()),
        )
        head = Head(b"POST", path.encode(), fields)
        request = Request(head, "req_1", Budget(1 << 20, each=1 << 20), asked=lambda: None)
        request.add(data)
        request.complete()
        answering = pipeline.answer(request, Reply(self.wire, "req_1", has_body=True))
        if answering is not None:
            await answering
