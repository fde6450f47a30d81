"""Events: told once in a while, and without what must not be told."""

import asyncio
from datetime import UTC, datetime

from tests.unit.controller import worlds
from tests.unit.controller.fake_transport import FakeTransport

from bartizan.controller.api import Api
from bartizan.controller.events import MOST_WRITERS, QUIET_SECONDS, About, Recorder
from bartizan.policy.reasons import Reason

KEY = "btzn_Zm9vYmFyYmF6cXV4.c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldC14"


class Bench:
    def __init__(self) -> None:
        self.transport = FakeTransport()
        self.seconds = 0.0
        now = datetime(2026, 1, 1, tzinfo=UTC)
        self.recorder = Recorder(Api(self.transport), clock=lambda: self.seconds, now=lambda: now)

    def record(self, message: str, about: About | None = None) -> None:
        asyncio.run(self.recorder.record(worlds.IDENTITY, Reason.DRIFT_REPAIRED, message, warning=True, about=about))

    @property
    def told(self) -> list[str]:
        return [call.body["message"] for call in self.transport.calls]


def test_the_same_is_not_told_again_for_a_while() -> None:
    bench = Bench()
    for seconds in (0, 1, QUIET_SECONDS + 1):
        bench.seconds = seconds
        bench.record("Service llama was put back")
    assert len(bench.told) == 2


def test_no_event_repeats_a_key() -> None:
    bench = Bench()
    bench.record(f"the last writer calls itself {KEY}")
    assert bench.told == ["the last writer calls itself [redacted]"]


def test_whoever_calls_himself_something_else_each_time_fills_no_event_log() -> None:
    bench = Bench()
    for number in range(50):
        name = f"m{number}"
        bench.record(f"Service llama was put back; the last writer calls itself {name}", ("Service llama", name))
    assert len(bench.told) == MOST_WRITERS
    bench.record("Deployment llama was put back", ("Deployment llama", "m0"))
    assert len(bench.told) == MOST_WRITERS + 1, "another object is another matter"


def test_the_same_writer_of_the_same_object_is_told_of_once_in_a_while() -> None:
    bench = Bench()
    for field in ("egress", "ingress"):
        bench.record(f"NetworkPolicy llama was put back: {field}", ("NetworkPolicy llama", "mallory"))
    assert len(bench.told) == 1
