"""A pod's end fits into its grace period: farewell, the longest stream, the model's end, the guard's."""

from typing import Any

import pytest
from tests.unit.controller import worlds

from bartizan.controller.builders import pod_template
from bartizan.policy import grace


def _pod(*, seconds: int | None = None, **limits: int) -> dict[str, Any]:
    template = {"spec": dict(worlds.spec()["template"]["spec"])}
    if seconds is not None:
        template["spec"]["terminationGracePeriodSeconds"] = seconds
    wish = worlds.wish(template=template, limits=limits)
    built = pod_template.build(wish, worlds.SURROUNDINGS, document_key="k", not_before=1)
    pod: dict[str, Any] = built["spec"]
    return pod


def _figures(pod: dict[str, Any]) -> tuple[int, int, int]:
    """The pod's grace period, the guard's drain, the model's hold."""
    guard, model = pod["initContainers"][0], pod["containers"][0]
    (drain,) = [flag.partition("=")[2] for flag in guard["args"] if flag.startswith("--drain-seconds=")]
    hold = model["lifecycle"]["preStop"]["exec"]["command"]
    assert hold[:2] == ["/bartizan/bin/launcher", "hold"]
    return pod["terminationGracePeriodSeconds"], int(drain), int(hold[-1].removesuffix("s"))


@pytest.mark.parametrize("longest", [1, 60, 600, 7200])
def test_the_longest_stream_fits_into_the_grace_period(longest: int) -> None:
    period, drain, hold = _figures(_pod(maxStreamSeconds=longest))
    assert drain == hold == grace.FAREWELL_SECONDS + longest
    assert period == hold + grace.MODEL_END_SECONDS + grace.GUARD_END_SECONDS


def test_a_longer_grace_period_of_the_owners_is_for_requests() -> None:
    assert _figures(_pod(seconds=900)) == (900, 870, 870)


def test_a_model_of_whose_end_the_owner_says_nothing_is_killed_long_before_its_pod_is() -> None:
    assert "--end" in _pod()["containers"][0]["command"]
    assert "--end" not in _pod(seconds=900)["containers"][0]["command"]


def test_guard_and_model_have_their_hooks_side_by_side() -> None:
    pod = _pod()
    told = pod["initContainers"][0]["lifecycle"]["preStop"]["exec"]["command"]
    assert told[:2] == ["/opt/bartizan/launcher", "drain"]
    held = pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"]
    asked = {hook[hook.index("--tcp") + 1] for hook in (told, held)}
    assert asked == {"127.0.0.1:8081"}
