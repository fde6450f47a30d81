"""The one place that fails closed: whatever breaks inside, the caller is refused and the slot comes back."""

import asyncio
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
from tests.unit.guard.running import DOCUMENT, ENDPOINT, SIGNING_KEY, chat, credential

from bartizan.guard.audit import Audit, SinkError
from bartizan.guard.document_watch import DocumentWatch, Trust
from bartizan.guard.metrics import Metrics
from bartizan.guard.pipeline import Gate, Pipeline
from bartizan.guard.rates import Rates
from bartizan.guard.refusal import Refusal
from bartizan.guard.reply import Reply, Source
from bartizan.guard.request import Budget, Head, Request
from bartizan.guard.slots import Slots
from bartizan.guard.underway import Underway
from bartizan.guard.upstream_connection import AnswerHead, Receiver
from bartizan.policy import document as documents
from bartizan.policy.reasons import Reason

if TYPE_CHECKING:
    from bartizan.guard.upstream import Upstream

BODY = json.dumps(chat()).encode()


class Wire:
    """Keeps what would go to the caller."""

    def __init__(self) -> None:
        self.lost_because = Reason.CLIENT_GONE
        self.written = b""
        self.is_cut = False

    def write(self, data: bytes) -> None:
        self.written += data

    def take_from(self, source: Source) -> None: ...

    def finish(self) -> None: ...

    def will_close(self) -> bool:
        return True

    def cut(self) -> None:
        self.is_cut = True


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

    async def forward(self, path: bytes, body: bytes, receiver: Receiver) -> None:  # noqa: ARG002 -- one path is asked
        self.bodies.append(body)
        if self.breaks and not self.breaks_late:
            raise self.breaks
        receiver.head(AnswerHead(200, b"application/json", 2))
        if self.breaks:
            raise self.breaks
        receiver.piece(b"{}")
        receiver.end()


class Stand:
    """A pipeline with everything real but the model, the wire and the tape."""

    def __init__(self, folder: Path) -> None:
        (folder / "document").write_text(documents.encode(DOCUMENT, SIGNING_KEY))
        trust = Trust(SIGNING_KEY.public_key(), ENDPOINT, not_before=0)
        watch = DocumentWatch(folder / "document", trust, taken_up=lambda _: None)
        watch.look()
        self.tape, self.model, self.wire = Tape(), Model(), Wire()
        self.gate = Gate(
            documents=watch,
            upstream=cast("Upstream", self.model),
            audit=Audit(self.tape, chain="c", endpoint="ml/llama", now=time.time),
            metrics=Metrics(),
            rates=Rates(),
            slots=Slots(),
            underway=Underway(),
            max_body_bytes=1 << 20,
            clock=time.monotonic,
            is_draining=lambda: False,
        )

    def ask(self, body: bytes = BODY, **changes: Any) -> tuple[int, dict[str, Any]]:
        """The status that the caller sees, and the error, if it is one."""
        asyncio.run(self._ask(body, Pipeline(replace(self.gate, **changes))))
        head, _, rest = self.wire.written.partition(b"\r\n\r\n")
        return int(head.split(b" ")[1]), json.loads(rest).get("error", {}) if rest else {}

    async def _ask(self, data: bytes, pipeline: Pipeline) -> None:
        fields = (
            (b"host", b"guard"),
            (b"content-type", b"application/json"),
            (b"authorization", b"Bearer " + credential().reveal().encode()),
        )
        head = Head(b"POST", b"/v1/chat/completions", fields)
        request = Request(head, "req_1", Budget(1 << 20, each=1 << 20), asked=lambda: None)
        request.add(data)
        request.complete()
        await pipeline.answer(request, Reply(self.wire, "req_1", has_body=True))


@pytest.fixture
def stand(tmp_path: Path) -> Stand:
    return Stand(tmp_path)


class Broken:
    """Breaks whatever is asked of it."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError("a secret prompt")


def test_an_unbroken_request_passes(stand: Stand) -> None:
    assert stand.ask()[0] == 200
    assert [entry["reason"] for entry in stand.tape.entries] == ["Allowed", "Completed"]


@pytest.mark.parametrize("part", ["documents", "rates", "slots", "upstream"])
def test_a_fault_in_any_part_is_a_refusal(stand: Stand, part: str, capfd: pytest.CaptureFixture[str]) -> None:
    status, error = stand.ask(BODY, **{part: Broken()})
    assert (status, error["code"]) == (500, "internal_error")
    assert stand.tape.entries[-1]["reason"] == "InternalFault"
    assert stand.gate.slots.taken == 0
    assert stand.model.bodies == []
    assert "secret" not in capfd.readouterr().err + json.dumps(error)


@pytest.mark.parametrize("fault", [RuntimeError, MemoryError, RecursionError, KeyError, OSError, AssertionError])
def test_any_kind_of_fault_is_a_refusal(stand: Stand, fault: type[Exception]) -> None:
    stand.model.breaks = fault
    assert stand.ask()[0] == 500
    assert [entry["reason"] for entry in stand.tape.entries] == ["Allowed", "InternalFault"]
    assert stand.gate.slots.taken == 0


def test_a_fault_within_an_answer_cuts_it(stand: Stand) -> None:
    stand.model.breaks, stand.model.breaks_late = RuntimeError, True
    assert stand.ask()[0] == 200
    assert stand.wire.is_cut
    assert stand.tape.entries[-1]["reason"] == "InternalFault"


def test_t61_a_decision_that_cannot_be_written_is_none(stand: Stand) -> None:
    stand.tape.fails_on = "decision"
    status, error = stand.ask()
    assert (status, error["code"], stand.model.bodies) == (503, "service_unavailable", [])
    assert stand.gate.audit.lost == 2, "neither the decision nor the refusal could be written"


def test_an_outcome_that_cannot_be_written_changes_no_answer(stand: Stand) -> None:
    stand.tape.fails_on = "outcome"
    assert stand.ask()[0] == 200
    assert stand.gate.audit.lost == 1


def test_a_refusal_of_the_model_keeps_its_reason(stand: Stand) -> None:
    stand.model.breaks = Refusal(Reason.UPSTREAM_TIMEOUT, "late")
    assert stand.ask()[0] == 504
    assert stand.tape.entries[-1]["reason"] == "UpstreamTimeout"


def test_what_is_sent_is_what_was_judged(stand: Stand) -> None:
    body = b' { "messages" : [ {"content":"\\u0068i \\ud83d\\ude00", "role":"user"} ], "model" : "demo" } '
    assert stand.ask(body)[0] == 200
    assert stand.model.bodies == ['{"messages":[{"content":"hi 😀","role":"user"}],"model":"demo"}'.encode()]
