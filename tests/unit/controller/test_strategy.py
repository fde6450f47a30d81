"""However the owner rolls out, some pod may always be replaced, or the API server would refuse the Deployment."""

from typing import Any

import pytest
from tests.unit.controller import worlds

from bartizan.controller.builders import deployment

FIGURES: list[Any] = [None, 0, "0%", 1, "25%"]


def rolling(case: str, **figures: Any) -> dict[str, Any]:
    given = {name: figure for name, figure in figures.items() if figure is not None}
    made: dict[str, Any] = deployment.strategy(worlds.wish(case, strategy={"rollingUpdate": given}))
    return dict(made["rollingUpdate"])


@pytest.mark.parametrize("case", ["minimal", "accelerators"])
@pytest.mark.parametrize("surge", FIGURES)
@pytest.mark.parametrize("unavailable", FIGURES)
def test_never_both_zero(case: str, surge: Any, unavailable: Any) -> None:
    if surge in deployment.ZERO and unavailable in deployment.ZERO:
        return  # refused by the parser
    made = rolling(case, maxSurge=surge, maxUnavailable=unavailable)
    assert not set(made.values()) <= set(deployment.ZERO)
    assert made["maxSurge"] == surge or surge is None
    assert made["maxUnavailable"] == unavailable or unavailable is None


@pytest.mark.parametrize(
    ("case", "figures", "wanted"),
    [
        ("minimal", {}, (1, 0)),
        ("minimal", {"maxSurge": "0%"}, ("0%", 1)),
        ("minimal", {"maxUnavailable": 0}, (1, 0)),
        ("accelerators", {}, (0, 1)),
        ("accelerators", {"maxUnavailable": 0}, (1, 0)),
        ("accelerators", {"maxUnavailable": "0%"}, (1, "0%")),
        ("accelerators", {"maxSurge": 2}, (2, 0)),
    ],
)
def test_what_is_left_unset_follows_what_is_set(case: str, figures: dict[str, Any], wanted: tuple[Any, Any]) -> None:
    made = rolling(case, **figures)
    assert (made["maxSurge"], made["maxUnavailable"]) == wanted


@pytest.mark.parametrize(("surge", "pods"), [("25%", 1), ("26%", 2), (3, 3), ("0%", 0)])
def test_percentages_of_pods_round_up(surge: Any, pods: int) -> None:
    strategy = {"rollingUpdate": {"maxSurge": surge, "maxUnavailable": 1}}
    assert deployment.surge(worlds.wish(replicas=4, strategy=strategy)) == pods
