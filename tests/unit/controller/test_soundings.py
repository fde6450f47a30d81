"""What guards say of themselves is asked again, though nothing happens in the cluster, and at no cost to it."""

import asyncio
from dataclasses import replace

import pytest
from tests.unit.controller.fake_transport import FakeTransport
from tests.unit.controller.reconciling import KEY, Scene

from bartizan.controller import kinds
from bartizan.controller.api import Api
from bartizan.controller.guards import ASK_ALL_SECONDS, GuardReport, Guards, TlsReport
from bartizan.controller.soundings import ENDPOINTS_AT_ONCE, FIRST_SECONDS, LONGEST_SECONDS, Reports, Soundings
from bartizan.controller.work_queue import Key, Priority

WELL = GuardReport("hash", "GuardReady", tls=TlsReport("TlsConfigured", "TlsConfigured", 1))
ADDRESSES = {"llama-1": "192.0.2.1"}


class Bench:
    """One endpoint with one guard, which said `WELL`; time moves by hand."""

    def __init__(self) -> None:
        self.now = 0.0
        self.report: GuardReport | None = WELL
        self.asked: list[float] = []
        self.told: list[Key] = []
        self.heard: list[Reports] = []
        self.is_overtaken = False
        self.transport = FakeTransport()
        self.soundings = Soundings(
            Guards(Api(self.transport), self._ask, clock=self._clock), self._hear, clock=self._clock
        )
        self.soundings.note(KEY, ADDRESSES, {"llama-1": WELL})

    def _clock(self) -> float:
        return self.now

    def _hear(self, key: Key, reports: Reports) -> None:
        assert key == KEY
        self.heard.append(dict(reports))

    async def _ask(self, address: str) -> GuardReport | None:
        assert address == ADDRESSES["llama-1"]
        self.asked.append(self.now)
        if self.is_overtaken:
            self.soundings.note(KEY, ADDRESSES, {"llama-1": self.report})
        return self.report

    def look(self, seconds: float = LONGEST_SECONDS) -> list[Key]:
        """Whom it tells of after so many seconds."""
        self.now += seconds
        self.told.clear()
        asyncio.run(self.soundings.look(self._tell))
        return list(self.told)

    def _tell(self, key: Key, priority: Priority) -> None:
        assert priority is Priority.RESYNC, "a store that is away for a thousand endpoints keeps nobody's edit waiting"
        self.told.append(key)


@pytest.mark.parametrize(
    "report",
    [
        None,
        replace(WELL, reason="SocketForbidden"),
        replace(WELL, document_reason="DocumentAbsent"),
        replace(WELL, limits_reason="StoreUnavailable"),
        replace(WELL, tokenizer_reason="TokenizerAbsent"),
        replace(WELL, tls=TlsReport("TlsPairRefused", "TlsConfigured", 1)),
        replace(WELL, tls=TlsReport("TlsConfigured", "TlsExpiresSoon", 1)),
    ],
)
def test_what_guards_say_anew_is_told_of_once_for_worse_and_for_better(report: GuardReport | None) -> None:
    bench = Bench()
    assert bench.look() == []
    bench.report = report
    assert [bench.look(), bench.look()] == [[KEY], []]
    bench.report = WELL
    assert [bench.look(), bench.look()] == [[KEY], []]
    assert bench.transport.calls == [], "the API server is asked nothing"


def test_what_lasts_is_asked_ever_more_rarely() -> None:
    bench = Bench()
    for _ in range(600):
        bench.look(1)
    waits = [later - sooner for sooner, later in zip(bench.asked, bench.asked[1:], strict=False)]
    assert (bench.asked[0], waits[0], waits[-1]) == (5, 5, LONGEST_SECONDS)
    assert waits == sorted(waits)


def test_a_guard_that_says_something_else_each_time_is_listened_to_ever_more_rarely() -> None:
    """A reconcile, which asks it too, costs the API server much more than the question."""
    bench, told = Bench(), 0
    for second in range(3600):
        bench.report = replace(WELL, reason=f"Odd{second}")
        if bench.look(1):
            told += 1
            bench.soundings.note(KEY, ADDRESSES, {"llama-1": replace(WELL, reason=f"Other{second}")})
    assert told <= 130


def test_after_a_quiet_time_what_is_new_is_soon_asked_again() -> None:
    bench = Bench()
    for reason in ("OddOnce", "OddTwice", "OddAgain", "Odd"):
        bench.report = replace(WELL, reason=reason)
        assert bench.look() == [KEY]
    for _ in range(5):
        assert bench.look() == []
    bench.report = WELL
    assert bench.look() == [KEY]
    bench.asked.clear()
    bench.look(FIRST_SECONDS)
    assert len(bench.asked) == 1


def test_pods_that_come_and_go_make_nobody_wait_longer() -> None:
    """They are events of their own, and a roll-out has many."""
    bench = Bench()
    for number in range(8):
        bench.soundings.note(KEY, ADDRESSES | {f"old-{number}": "192.0.2.9"}, {"llama-1": WELL, f"old-{number}": None})
    bench.soundings.note(KEY, ADDRESSES, {"llama-1": WELL})
    bench.look(FIRST_SECONDS)
    assert len(bench.asked) == 1


def test_what_a_reconcile_has_asked_just_now_is_not_asked_again() -> None:
    bench = Bench()
    bench.now = LONGEST_SECONDS
    bench.soundings.note(KEY, ADDRESSES, {"llama-1": WELL})
    assert bench.look(1) == []
    assert bench.asked == []


def test_an_endpoint_that_has_gone_or_has_no_guard_is_not_asked() -> None:
    bench = Bench()
    bench.soundings.note(KEY, {}, {})
    bench.look()
    bench.soundings.note(KEY, ADDRESSES, {})
    bench.soundings.forget(KEY)
    bench.look()
    assert bench.asked == []


def test_an_answer_that_a_reconcile_overtook_counts_for_nothing() -> None:
    bench = Bench()
    bench.report = None
    bench.is_overtaken = True
    assert bench.look() == []


class Crowd:
    """Some endpoints whose guards hang, and one whose guard has news."""

    def __init__(self, hanging: int, *, before: GuardReport | None) -> None:
        self.now = 0.0
        self.asked: list[str] = []
        self.has_begun, self.was_told = asyncio.Event(), asyncio.Event()
        guards = Guards(Api(FakeTransport()), self._ask, clock=lambda: 0.0)
        self.soundings = Soundings(guards, lambda *_: None, clock=lambda: self.now)
        for number in range(hanging):
            self.soundings.note(Key("evil", f"e{number}"), {"pod": "hang"}, {"pod": before})

    async def _ask(self, address: str) -> GuardReport | None:
        self.asked.append(address)
        self.has_begun.set()
        if address == "hang":
            await asyncio.Event().wait()
        return replace(WELL, reason="Odd")

    def note_innocent(self) -> None:
        self.soundings.note(KEY, {"pod": "innocent"}, {"pod": WELL})

    def tell(self, key: Key, _: Priority) -> None:
        if key == KEY:
            self.was_told.set()


def test_who_hangs_keeps_no_other_from_being_asked_when_its_time_comes() -> None:
    async def scenario() -> list[str]:
        crowd = Crowd(1, before=WELL)
        crowd.now = LONGEST_SECONDS
        running = asyncio.create_task(crowd.soundings.run(crowd.tell))
        await crowd.has_begun.wait()
        crowd.note_innocent()
        crowd.now += FIRST_SECONDS
        async with asyncio.timeout(ASK_ALL_SECONDS):
            await crowd.was_told.wait()
        running.cancel()
        await asyncio.wait({running})
        return crowd.asked

    assert asyncio.run(scenario()) == ["hang", "innocent"], "and it is not asked again meanwhile"


def test_a_thousand_that_did_not_answer_last_time_stand_before_nobody() -> None:
    async def scenario() -> None:
        crowd = Crowd(1000, before=None)
        crowd.note_innocent()
        crowd.now = LONGEST_SECONDS
        looking = asyncio.create_task(crowd.soundings.look(crowd.tell))
        async with asyncio.timeout(ASK_ALL_SECONDS):
            await crowd.was_told.wait()
        looking.cancel()
        await asyncio.wait({looking})

    asyncio.run(scenario())


def test_who_has_gone_while_it_waited_for_its_turn_is_not_asked() -> None:
    async def scenario() -> list[str]:
        crowd = Crowd(ENDPOINTS_AT_ONCE, before=WELL)
        crowd.now = 1.0
        crowd.note_innocent()
        crowd.now = LONGEST_SECONDS
        looking = asyncio.create_task(crowd.soundings.look(crowd.tell))
        await crowd.has_begun.wait()
        crowd.soundings.forget(KEY)
        await looking
        return crowd.asked

    assert asyncio.run(scenario()) == ["hang"] * ENDPOINTS_AT_ONCE


@pytest.mark.parametrize(
    ("said", "condition", "word"),
    [
        (GuardReport("", "GuardReady", limits_reason="LimitsForgotten"), "LimitsExact", "LimitsForgotten"),
        (GuardReport("", "SocketForbidden"), "Ready", "SocketForbidden"),
    ],
)
def test_the_status_follows_what_guards_say(said: GuardReport, condition: str, word: str) -> None:
    scene = Scene().settle()
    scene.pod()
    scene.reconcile()
    newest = scene.endpoint["status"]["documentHash"]
    scene.report = GuardReport(newest, "GuardReady")
    assert scene.reconcile().requeue_after is None
    scene.report = replace(said, document_hash=newest)
    scene.seconds += LONGEST_SECONDS
    told: list[Key] = []
    asyncio.run(scene.tools.soundings.look(lambda key, _: told.append(key)))
    assert told == [KEY]
    scene.reconcile()
    assert any(word in text for text in scene.condition(condition))


def _asked_later(scene: Scene) -> int:
    """How many guards are asked in the minutes to come."""
    asked = scene.asked
    for _ in range(5):
        scene.seconds += LONGEST_SECONDS + 1
        asyncio.run(scene.tools.soundings.look(lambda *_: None))
    return scene.asked - asked


def _living() -> Scene:
    scene = Scene().settle()
    scene.pod()
    scene.reconcile()
    assert _asked_later(scene) == 5
    return scene


def test_while_no_document_can_be_issued_no_address_is_asked_that_may_be_anothers_by_now() -> None:
    scene = _living()
    scene.cluster.take(kinds.SECRET, scene.settings.namespace, "bartizan-root")
    scene.seconds += 1000
    scene.reconcile()
    assert _asked_later(scene) == 0


def test_the_guards_of_an_endpoint_that_is_going_are_asked_no_more() -> None:
    scene = _living()
    scene.delete()
    scene.reconcile()
    assert scene.has(kinds.MODEL_DEPLOYMENT)
    assert _asked_later(scene) == 0
