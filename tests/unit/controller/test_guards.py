"""Guards: who is behind is touched, again after a second, and who cannot be asked but once."""

import asyncio
from typing import Any

from tests.unit.controller import worlds
from tests.unit.controller.fake_transport import FakeTransport

from bartizan.controller.api import Api, ApiError
from bartizan.controller.guards import ASK_ALL_SECONDS, ASKED_AT_ONCE, GuardReport, Guards, GuardState, judge
from bartizan.policy import names

RUNNING = {"initContainerStatuses": [{"name": "bartizan-guard", "state": {"running": {}}}], "podIP": "192.0.2.1"}
WANTED = "newest"


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Bench:
    """Guards that report what `report` says; `touches` are the annotations that pods were given."""

    def __init__(self, report: GuardReport | None) -> None:
        self.transport = FakeTransport()
        self.clock = Clock()
        self.report = report
        self.guards = Guards(Api(self.transport), self._ask, clock=self.clock)

    async def _ask(self, address: str) -> GuardReport | None:
        assert address == RUNNING["podIP"]
        return self.report

    def look(self, pod: dict[str, Any], version: int = 5) -> GuardState:
        async def run() -> GuardState:
            states = judge([pod], await self.guards.ask([pod]), WANTED)
            await self.guards.deliver([pod], version, states)
            return states[pod["metadata"]["name"]]

        return asyncio.run(run())

    @property
    def touches(self) -> list[dict[str, str]]:
        return [call.body["metadata"]["annotations"] for call in self.transport.calls]


def _pod(**annotations: str) -> dict[str, Any]:
    return worlds.pod(status=RUNNING, annotations={f"{names.GROUP}/{key}": text for key, text in annotations.items()})


def test_a_guard_that_was_given_a_bad_document_since_is_touched() -> None:
    bench = Bench(GuardReport(WANTED, "GuardReady", "DocumentSignatureInvalid"))
    assert bench.look(_pod()) is GuardState.OUTDATED
    assert bench.touches == [{names.DOCUMENT_VERSION_ANNOTATION: "5"}]


def test_a_guard_that_has_the_document_is_let_be() -> None:
    bench = Bench(GuardReport(WANTED, "GuardReady"))
    assert bench.look(_pod()) is GuardState.IN_SYNC
    assert bench.touches == []


def test_a_guard_that_is_behind_is_touched_with_the_version() -> None:
    bench = Bench(GuardReport("older", "GuardReady"))
    assert bench.look(_pod()) is GuardState.OUTDATED
    assert bench.touches == [{names.DOCUMENT_VERSION_ANNOTATION: "5"}]


def test_it_is_touched_again_after_a_second_and_not_before() -> None:
    bench = Bench(GuardReport("", "DocumentAbsent"))
    pod = _pod(**{"document-version": "5", "document-touch": "2"})
    for _ in range(3):
        bench.look(pod)
    assert len(bench.touches) == 1
    bench.clock.now += 1.0
    bench.look(pod)
    assert bench.touches[-1] == {names.DOCUMENT_VERSION_ANNOTATION: "5", names.TOUCH_ANNOTATION: "3"}


def test_a_guard_that_refuses_its_document_is_touched_ever_more_rarely() -> None:
    bench = Bench(GuardReport("", "DocumentSignatureInvalid"))
    pod = _pod(**{"document-version": "5"})
    for _ in range(600):
        bench.look(pod)
        bench.clock.now += 1.0
    assert 10 < len(bench.touches) < 25


def test_a_newer_document_does_not_wait_for_the_second_to_pass() -> None:
    bench = Bench(GuardReport("", ""))
    bench.look(_pod(), version=5)
    bench.look(_pod(), version=6)
    assert [touch[names.DOCUMENT_VERSION_ANNOTATION] for touch in bench.touches] == ["5", "6"]


def test_a_guard_that_cannot_be_asked_gets_one_touch() -> None:
    bench = Bench(None)
    assert bench.look(_pod()) is GuardState.UNREACHABLE
    bench.clock.now += 10
    bench.look(_pod(**{"document-version": "5"}))
    assert len(bench.touches) == 1


def test_a_pod_without_an_address_or_a_running_guard_is_starting() -> None:
    bench = Bench(GuardReport("older", ""))
    assert bench.look(worlds.pod(status={})) is GuardState.STARTING
    assert bench.look(worlds.pod(status={"podIP": "192.0.2.1"})) is GuardState.STARTING
    assert bench.touches == []


def test_a_pod_that_has_gone_meanwhile_is_no_error() -> None:
    bench = Bench(GuardReport("older", ""))
    bench.transport.answer = lambda _: ApiError(404, "NotFound", "gone")
    assert bench.look(_pod()) is GuardState.OUTDATED


def test_pods_that_hang_keep_a_worker_for_a_bounded_time_and_wait_behind_those_of_the_workload() -> None:
    asked: list[str] = []

    async def hang(address: str) -> GuardReport | None:
        asked.append(address)
        await asyncio.Event().wait()
        return None

    owner = {"kind": "ReplicaSet", "name": "llama-1", "uid": "r", "controller": True}
    forged = [worlds.pod(f"x{number}", status={**RUNNING, "podIP": "192.0.2.9"}) for number in range(500)]
    own = worlds.pod("own", status=RUNNING, ownerReferences=[owner], creationTimestamp="2026-01-01T00:00:00Z")

    async def scenario() -> dict[str, GuardReport | None]:
        guards = Guards(Api(FakeTransport()), hang, clock=Clock())
        async with asyncio.timeout(ASK_ALL_SECONDS + 3):
            return await guards.ask([*forged, own])

    reports = asyncio.run(scenario())
    assert len(reports) == 501
    assert set(reports.values()) == {None}
    assert asked[0] == RUNNING["podIP"]
    assert len(asked) == ASKED_AT_ONCE
