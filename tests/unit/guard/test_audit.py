"""The audit chain: complete, in order, of one piece, and without it nothing is let through."""

import contextlib
import hashlib
import json
import os
import resource
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests import forkserver
from tests.unit.guard import running
from tests.unit.guard.running import Guard, Model, arguments, chat, eventually

from bartizan.guard.audit import MAX_LINE_BYTES, Audit, SinkError
from bartizan.policy import document as documents


class Tape:
    """Keeps lines; refuses them while it `is_full`."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.is_full = False

    def write(self, line: bytes, *, must_not_wait: bool) -> None:  # noqa: ARG002 -- a tape never makes wait
        if self.is_full:
            raise SinkError("full")
        self.lines.append(line)


def _audit(tape: Tape) -> Audit:
    return Audit(tape, chain="c0ffee", endpoint="ml/llama", now=lambda: 1_700_000_000.25)


def test_the_first_lines_stand_as_documented() -> None:
    tape = Tape()
    audit = _audit(tape)
    audit.start()
    audit.decision({"request": "req_1", "reason": "Allowed"})
    assert json.loads(tape.lines[0]) == {
        "audit": "start",
        "at": "2023-11-14T22:13:20.250+00:00",
        "endpoint": "ml/llama",
        "chain": "c0ffee",
        "number": 0,
        "lost": 0,
        "previous": "0" * 64,
    }
    assert json.loads(tape.lines[1])["previous"] == hashlib.sha256(tape.lines[0].rstrip(b"\n")).hexdigest()


@given(st.lists(st.booleans(), max_size=30))
def test_the_chain_holds_whatever_was_lost_and_says_how_much(kept: list[bool]) -> None:
    tape = Tape()
    audit = _audit(tape)
    for index, is_kept in enumerate(kept):
        tape.is_full = not is_kept
        if is_kept:
            audit.outcome({"request": str(index)})
        else:
            with pytest.raises(SinkError):
                audit.outcome({"request": str(index)})
    entries = [json.loads(line) for line in tape.lines]
    assert [entry["number"] for entry in entries] == list(range(len(entries)))
    previous = "0" * 64
    for entry, line in zip(entries, tape.lines, strict=True):
        assert entry["previous"] == previous
        previous = hashlib.sha256(line.rstrip(b"\n")).hexdigest()
    assert sum(entry["lost"] for entry in entries) + audit.lost == kept.count(False)


def test_a_line_above_the_size_of_one_write_is_refused() -> None:
    tape = Tape()
    with pytest.raises(SinkError):
        _audit(tape).decision({"request": "x" * MAX_LINE_BYTES})
    assert tape.lines == []


def test_a_decision_stands_before_the_model_hears_of_it(guard: Guard, model: Model) -> None:
    request_id = guard.ask(chat("audited")).headers["X-Request-Id"]
    decision, outcome = guard.audited(request_id)
    body = running.forwarded(chat("audited")).encode()
    assert (decision["audit"], decision["reason"], decision["client"]) == ("decision", "Allowed", "chat-ui")
    assert decision["bodySha256"] == hashlib.sha256(body).hexdigest()
    assert decision["bodyBytes"] == len(body)
    assert model.received()[-1]["body"].encode() == body
    assert (outcome["audit"], outcome["reason"], outcome["status"]) == ("outcome", "Completed", 200)
    assert outcome["answerBytes"] > 0


def test_refusals_are_audited_with_their_reason(guard: Guard) -> None:
    for answer, reason in (
        (guard.ask(chat(), key=""), "CredentialMissing"),
        (guard.ask(chat(), path="/nothing?key=secret"), "PathNotAllowed"),
        (guard.ask({"model": "x", "messages": [{"role": "user", "content": ""}]}), "ModelNotServed"),
    ):
        (line,) = guard.audited(answer.headers["X-Request-Id"])
        assert (line["audit"], line["reason"], line["status"]) == ("decision", reason, answer.status)
        assert "secret" not in json.dumps(line)


def test_lines_are_whole_and_in_order_under_load(tmp_path: Path, model: Model) -> None:
    with running.guard(tmp_path, model.upstream) as guard:
        threads = [threading.Thread(target=lambda: [guard.ask(chat()) for _ in range(25)]) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        eventually(lambda: len(guard.audit()) == 401, "start, 200 decisions, 200 outcomes")
        lines = guard.audit()
        decided = [line["request"] for line in lines if line["audit"] == "decision"]
        assert sorted(decided) == sorted(line["request"] for line in lines if line["audit"] == "outcome")


@contextlib.contextmanager
def _piped(folder: Path, upstream: str, *flags: str, **given: Any) -> Iterator[tuple[Guard, int]]:
    """A guard whose audit goes to a pipe, and the pipe's end to read from."""
    (folder / "document").write_text(documents.encode(running.document(**given), running.SIGNING_KEY))
    reading, writing = os.pipe()
    with (folder / "log").open("wb") as log:
        given_flags = [*arguments(folder, upstream), *flags]
        process = forkserver.start("bartizan.guard.main", given_flags, stdout=writing, stderr=log.fileno())
    os.close(writing)
    try:
        yield Guard(folder, process, eventually(lambda: running.ports_of(folder, process), "started")), reading
    finally:
        process.kill()
        process.wait()
        os.close(reading)


def test_t61_an_audit_that_nobody_reads_lets_nothing_through(tmp_path: Path, model: Model) -> None:
    with _piped(tmp_path, model.upstream) as (guard, reading):
        reached = len(model.received())
        statuses = [guard.ask(chat()).status for _ in range(200)]
        assert set(statuses) == {200, 503}
        assert statuses[-1] == 503
        assert len(model.received()) - reached == statuses.count(200)
        assert guard.metric('bartizan_guard_requests_total{reason="AuditUnavailable"') == statuses.count(503)
        assert guard.ask(chat()).code == "service_unavailable"
        read = _read_until_quiet(reading)
        assert guard.ask(chat()).status == 200, "read again, the audit lets through again"
        lines = [json.loads(line) for line in (read + _read_until_quiet(reading)).splitlines()]
        assert [line["number"] for line in lines] == list(range(len(lines)))
        assert sum(line["lost"] for line in lines) >= statuses.count(503)
        with Path(os.devnull).open() as nobody:
            os.dup2(nobody.fileno(), reading)
        assert guard.ask(chat()).status == 503, "nor does one whose reader has gone"


def test_an_owner_may_let_requests_go_on_unseen_and_then_it_shows_how_many(tmp_path: Path, model: Model) -> None:
    with _piped(tmp_path, model.upstream, audit_may_fail=True) as (guard, reading):
        assert {guard.ask(chat()).status for _ in range(200)} == {200}
        assert guard.ask(chat(), key="wrong").status == 401
        lost = guard.metric("bartizan_guard_audit_lines_lost_total")
        read = _read_until_quiet(reading)
        assert guard.ask(chat()).status == 200
        lines = [json.loads(line) for line in (read + _read_until_quiet(reading)).splitlines()]
        assert [line["number"] for line in lines] == list(range(len(lines)))
        assert sum(line["lost"] for line in lines) == lost > 100


def _keep_outcomes(guard: Guard, model: Model) -> list[bytes]:
    """Let five requests end while the audit's pipe is full; their answers."""
    before = len(model.received())
    with contextlib.ExitStack() as held:
        callers = [held.enter_context(guard.connect()) for _ in range(5)]
        for caller in callers:
            caller.sendall(running.request_bytes(json.dumps(chat("/hold")).encode()))
        eventually(lambda: len(model.received()) == before + 5, "five are under way")
        while guard.metric("bartizan_guard_audit_lines_lost") == 0:
            guard.ask(chat(), key="")
        model.release()
        return [running.read_all(caller) for caller in callers]


def test_t61_outcomes_that_waited_for_the_reader_are_written_before_the_end(tmp_path: Path, model: Model) -> None:
    with _piped(tmp_path, model.upstream) as (guard, reading):
        assert all(answer.startswith(b"HTTP/1.1 200") for answer in _keep_outcomes(guard, model))
        guard.process.terminate()
        eventually(lambda: "guard draining" in guard.log(), "the end has begun")
        with os.fdopen(os.dup(reading), "rb") as pipe:
            lines = [json.loads(line) for line in pipe.read().splitlines()]
        assert guard.process.wait(10) == 0
        let_through = [line["request"] for line in lines if line.get("reason") == "Allowed"]
        assert sorted(let_through) == sorted(line["request"] for line in lines if line["audit"] == "outcome")
        assert len(let_through) == 5


def test_t61_outcomes_that_nobody_took_are_counted_at_the_end(tmp_path: Path, model: Model) -> None:
    with _piped(tmp_path, model.upstream, "--drain-seconds", "0.5") as (guard, _):
        _keep_outcomes(guard, model)
        assert guard.end() == 1
        (line,) = [line for line in map(json.loads, guard.log().splitlines()) if "lost" in line["message"]]
        assert (line["message"], line["lines"]) == ("audit lines lost at the end", 5)


def _read_until_quiet(descriptor: int) -> bytes:
    os.set_blocking(descriptor, False)
    found = bytearray()

    def is_quiet() -> bool:
        try:
            found.extend(os.read(descriptor, 1 << 20))
        except BlockingIOError:
            return bool(found) and found.endswith(b"\n")
        return False

    eventually(is_quiet, "all lines read")
    return bytes(found)


def test_t61_a_full_disk_lets_nothing_through(tmp_path: Path, model: Model) -> None:
    """/dev/full fails each write as a full disk does: such a guard does not even start."""
    (tmp_path / "document").write_text(documents.encode(running.DOCUMENT, running.SIGNING_KEY))
    command = [sys.executable, "-m", "bartizan.guard.main", *arguments(tmp_path, model.upstream)]
    environment = {**os.environ, "PYTHONPATH": str(running.ROOT / "operator")}
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(command, env=environment, stdout=full, stderr=subprocess.PIPE, timeout=20, check=False)
    assert done.returncode == 1
    assert b"audit cannot be written" in done.stderr


@pytest.mark.parametrize("room", [1, 100, 300])
def test_t61_a_disk_that_fills_in_the_middle_of_a_line_lets_nothing_through_and_breaks_no_chain(
    tmp_path: Path, model: Model, room: int
) -> None:
    with running.guard(tmp_path, model.upstream) as guard:
        guard.audited(guard.ask(chat()).headers["X-Request-Id"])
        seen, size = len(model.received()), (tmp_path / "audit").stat().st_size
        resource.prlimit(guard.process.pid, resource.RLIMIT_FSIZE, (size + room, resource.RLIM_INFINITY))
        answers = [guard.ask(chat()) for _ in range(3)]
        assert [(answer.status, answer.code) for answer in answers] == [(503, "service_unavailable")] * 3
        assert len(model.received()) == seen
        resource.prlimit(guard.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        after = guard.ask(chat()).headers["X-Request-Id"]
        assert [line["reason"] for line in guard.audited(after)] == ["Allowed", "Completed"]
        assert sum(line["lost"] for line in guard.audit()) >= 2
