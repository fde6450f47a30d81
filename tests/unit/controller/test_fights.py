"""A controller that wants a harmless thing otherwise is not raced; what bears on security is put back at once."""

import pytest
from tests.unit.controller.reconciling import Scene

from bartizan.controller import kinds
from bartizan.controller.fights import LONGEST_SECONDS, PEACE_SECONDS, Fights

TARGET = ("Deployment", "ml", "llama")
HARMLESS = ("metadata.annotations.example.com/mine",)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_the_first_repairs_are_immediate_and_each_later_one_waits_longer() -> None:
    clock = Clock()
    fights, waits = Fights(clock), []
    for _ in range(10):
        waits.append(fights.wait_seconds(TARGET, HARMLESS))
        clock.now += waits[-1]
        fights.note(TARGET, HARMLESS)
    assert waits == [0, 0, 0, 1, 2, 4, 8, 16, LONGEST_SECONDS, LONGEST_SECONDS]
    clock.now += PEACE_SECONDS
    fights.note(("Service", "ml", "other"), HARMLESS)
    assert fights.wait_seconds(TARGET, HARMLESS) == 0, "peace has come"


@pytest.mark.parametrize(
    "paths",
    [("spec.template.spec.hostNetwork",), (*HARMLESS, "spec.egress"), ("metadata.labels.x",), ("metadata.finalizers",)],
)
def test_what_bears_on_security_never_waits(paths: tuple[str, ...]) -> None:
    fights = Fights(Clock())
    for _ in range(10):
        fights.note(TARGET, HARMLESS)
        fights.note(TARGET, paths)
    assert fights.wait_seconds(TARGET, paths) == 0
    assert fights.wait_seconds(TARGET, HARMLESS) == LONGEST_SECONDS


def test_a_fight_over_an_annotation_costs_few_writes_and_opens_nothing() -> None:
    scene = Scene().settle()
    repairs, waits = 0, []
    for _ in range(30):
        annotations = scene.live(kinds.DEPLOYMENT)["metadata"]["annotations"]
        repairs += "example.com/mine" not in annotations
        annotations["example.com/mine"] = "1"
        waits.append(scene.reconcile().requeue_after)
    assert repairs < 20
    assert max(filter(None, waits)) <= LONGEST_SECONDS, "it is repaired in the end, whether or not the other goes on"
    scene.unguard()
    scene.reconcile()
    assert scene.is_guarded
