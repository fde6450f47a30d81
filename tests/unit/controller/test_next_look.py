"""The next look: soon after a change, ever more rarely where something lasts, and never in an event's way for long."""

from dataclasses import replace

import pytest
from tests.unit.controller import worlds

from bartizan.controller.api import ApiError
from bartizan.controller.builders import guard_document
from bartizan.controller.findings import Findings
from bartizan.controller.guards import GuardState
from bartizan.controller.next_look import LONGEST_SECONDS, NextLook
from bartizan.controller.work_queue import Key, Priority
from bartizan.controller.workers import Result

KEY = Key("ml", "llama")
NOW = 1_000_000.0
DOCUMENT = replace(guard_document.build(worlds.wish(), worlds.ROOT, {}, replicas=1), version=int(NOW * 1000))
UNREACHABLE = Findings(guard_states={"a": GuardState.UNREACHABLE}, document=DOCUMENT)


class Bench:
    def __init__(self) -> None:
        self.now = NOW
        self.looks = NextLook(lambda: self.now)

    def after(self, findings: Findings, seconds: float = 0.0, *, otherwise_seconds: float | None = None) -> Result:
        self.now += seconds
        return self.looks.after(KEY, findings, otherwise_seconds=otherwise_seconds)


def test_a_guard_that_is_behind_a_new_document_is_asked_again_at_once_and_beside_events() -> None:
    findings = Findings(guard_states={"a": GuardState.OUTDATED, "b": GuardState.UNREACHABLE}, document=DOCUMENT)
    bench = Bench()
    assert bench.after(findings) == Result(0.25, priority=Priority.EVENT)
    assert bench.after(findings, 100) == Result(5.0, priority=Priority.RESYNC)
    assert bench.after(findings, 100_000) == Result(LONGEST_SECONDS, priority=Priority.RESYNC)


def test_a_document_of_a_clock_that_was_ahead_is_no_news_until_its_time_comes() -> None:
    findings = Findings(guard_states={"a": GuardState.OUTDATED}, document=DOCUMENT)
    assert Bench().after(findings, -100) == Result(5.0, priority=Priority.RESYNC)
    assert Bench().after(findings, -0.001) == Result(0.25, priority=Priority.EVENT)


def test_who_was_held_back_for_a_guard_that_has_caught_up_since_is_looked_at_at_once() -> None:
    findings = Findings(guard_states={"a": GuardState.IN_SYNC}, document=DOCUMENT, waits_to_grow=True)
    assert Bench().after(findings) == Result(0.25, priority=Priority.EVENT)


def test_a_guard_that_does_not_answer_is_asked_ever_more_rarely() -> None:
    bench = Bench()
    waits = [bench.after(UNREACHABLE, seconds).requeue_after for seconds in (0, 5, 35, 160, 1000)]
    assert waits == [5.0, 5.0, 10.0, 50.0, LONGEST_SECONDS]
    assert bench.after(UNREACHABLE).priority is Priority.RESYNC


def test_once_it_has_answered_its_patience_is_new() -> None:
    bench = Bench()
    bench.after(UNREACHABLE)
    assert bench.after(UNREACHABLE, 1000).requeue_after == LONGEST_SECONDS
    assert bench.after(Findings()) == Result()
    assert bench.after(UNREACHABLE, 1000).requeue_after == 5.0


LASTING = [
    UNREACHABLE,
    Findings(taken=["x"]),
    Findings(is_root_lost=True),
    Findings(failure="a former life"),
    Findings(was_tried_in_vain=True),
]


@pytest.mark.parametrize("lack", LASTING)
def test_a_lack_that_lasts_is_looked_at_ever_more_rarely(lack: Findings) -> None:
    bench = Bench()
    assert bench.after(lack).requeue_after == 5.0
    assert bench.after(lack, 1000).requeue_after == LONGEST_SECONDS


@pytest.mark.parametrize("lack", LASTING)
def test_a_lack_that_lasts_lengthens_no_wait_that_is_shorter(lack: Findings) -> None:
    bench = Bench()
    bench.after(lack)
    bench.now += 1000
    assert bench.after(lack, otherwise_seconds=30.0).requeue_after == 30.0
    assert bench.after(lack, otherwise_seconds=300.0).requeue_after == LONGEST_SECONDS


def test_a_document_on_its_way_lengthens_no_wait_that_is_shorter() -> None:
    findings = Findings(guard_states={"a": GuardState.OUTDATED}, document=DOCUMENT)
    assert Bench().after(findings, 10_000, otherwise_seconds=30.0) == Result(30.0, priority=Priority.RESYNC)


def test_an_error_waits_for_its_own_backoff() -> None:
    findings = Findings()
    error = ApiError(500, "InternalError", "no")
    findings.fail(error)
    assert Bench().after(findings) == Result(None, error)


def test_pods_that_do_not_end_are_looked_at_ever_more_rarely() -> None:
    bench = Bench()
    assert bench.looks.at_the_end(KEY) == 2.0
    bench.now += 1000
    assert bench.looks.at_the_end(KEY) == LONGEST_SECONDS
