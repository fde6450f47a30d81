"""The supervisor waits for what is missing, says so once, and keeps a watch running."""

import asyncio
import time

from tests.unit.controller.fake_transport import Answer, FakeTransport
from tests.unit.controller.log_capture import capture

from bartizan.controller import health
from bartizan.controller.api import Api, ApiError, Call
from bartizan.controller.handlers import Observer
from bartizan.controller.health import Signs
from bartizan.controller.prerequisites import Lack
from bartizan.controller.settings import Settings
from bartizan.controller.supervise import REMINDER_SECONDS, Complaints, Supervisor

LACK = Lack("permission missing", "ml", "list and watch pods", "give it", detail="forbidden")


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_lack_is_said_once_reminded_of_and_its_end_told() -> None:
    clock = Clock()
    complaints = Complaints(Signs(clock, 600.0))
    with capture("text") as lines:
        complaints.hear((LACK,))
        complaints.hear((LACK,))
        assert lines.getvalue().count("permission missing") == 1
        clock.now += REMINDER_SECONDS
        complaints.hear((LACK,))
        assert lines.getvalue().count("ERROR") == 2
        complaints.hear(())
        complaints.hear(())
        assert lines.getvalue().count("no longer so") == 1


def test_it_waits_until_something_can_be_watched_and_says_for_what() -> None:
    async def scenario() -> tuple[str, bool]:
        loop = asyncio.get_running_loop()
        signs = Signs(loop.time, 600.0)
        is_there = False

        def answer(_: Call) -> Answer:
            return {} if is_there else ApiError(0, "Unreachable", "refused")

        supervisor = Supervisor(
            Api(FakeTransport(answer)),
            Settings(guard_image="x"),
            observer=Observer(lambda *_: None, clock=time.monotonic),
            signs=signs,
        )
        waiting = asyncio.create_task(supervisor.wait_until_usable())
        await asyncio.wait({waiting}, timeout=0.1)
        said = health.impediments(signs)[0]
        is_there = True
        async with asyncio.timeout(10):
            survey = await waiting
        return said, survey.is_usable

    with capture("text"):
        assert asyncio.run(scenario()) == ("waits for api server unreachable", True)


def test_without_a_watch_there_is_no_echo_to_wait_for() -> None:
    signs = Signs(lambda: 0.0, 600.0)
    settings = Settings(guard_image="x")
    Supervisor(
        Api(FakeTransport()), settings, observer=Observer(lambda *_: None, clock=time.monotonic), signs=signs
    ).echo()
    assert signs.watch_echo_at is None
