"""A paced roll-out: one endpoint begins in each interval, and none loses its turn while its guards are waited for."""

from dataclasses import replace

import pytest
from tests.unit.controller import worlds
from tests.unit.controller.reconciling import SETTINGS

from bartizan.controller.rollout import Pacer
from bartizan.controller.scaling import GRACE_SECONDS
from bartizan.controller.work_queue import Key

ONE, TWO, THREE = (Key("ml", name) for name in ("one", "two", "three"))
AVAILABLE = {**worlds.deployment(), "spec": {"replicas": 1}, "status": {"availableReplicas": 1}}


class Bench:
    def __init__(self, interval_seconds: float) -> None:
        self.now = 0.0
        settings = replace(SETTINGS, guard_rollout="Paced", guard_rollout_interval_seconds=interval_seconds)
        self.pacer = Pacer(settings, clock=lambda: self.now)

    def at(self, now: float, key: Key) -> bool:
        self.now = now
        return self.pacer.may_roll(key, AVAILABLE)


@pytest.mark.parametrize("interval_seconds", [1.0, 60.0, 600.0])
def test_one_endpoint_begins_in_each_interval(interval_seconds: float) -> None:
    bench = Bench(interval_seconds)
    assert [bench.at(0, key) for key in (ONE, TWO, ONE)] == [True, False, True]
    assert [bench.at(interval_seconds, key) for key in (TWO, THREE)] == [True, False]


def test_who_has_begun_goes_on_though_others_begin_meanwhile() -> None:
    bench = Bench(1.0)
    assert [bench.at(0, ONE), bench.at(1, TWO), bench.at(1.5, ONE)] == [True, True, True]
    assert [bench.at(GRACE_SECONDS, THREE), bench.at(GRACE_SECONDS + 0.5, ONE)] == [True, True]


def test_a_turn_that_was_not_used_ends() -> None:
    bench = Bench(100.0)
    assert bench.at(0, ONE)
    assert bench.at(100, TWO)
    assert not bench.at(101, ONE)
