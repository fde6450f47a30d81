"""spec.strategy: how pods are replaced."""

from collections.abc import Mapping
from typing import Any

from bartizan.policy.model import Strategy
from bartizan.policy.nodes import Node
from bartizan.policy.shapes import Choice, Either, Record, Ruled, Text, Whole

_FIGURE = Either(
    Whole(0, 100),
    Text(4, r"(100|[1-9]?[0-9])%", "is neither a number nor a percentage; write for example 1 or 25%"),
)
_ROLLING = Record({"maxSurge": _FIGURE, "maxUnavailable": _FIGURE})


def _judge_rolling(node: Node, clean: Mapping[str, Any]) -> None:
    if len(clean) == len(_ROLLING.fields) and all(figure in (0, "0%") for figure in clean.values()):
        node.refuse("cannot have maxSurge and maxUnavailable both 0, since no pod could ever be replaced; raise one")


_SHAPE = Record({"type": Choice(("RollingUpdate", "Recreate")), "rollingUpdate": Ruled(_ROLLING, _judge_rolling)})


def _judge_type(node: Node, clean: Mapping[str, Any]) -> None:
    if clean.get("type") == "Recreate" and "rollingUpdate" in clean:
        node.key("rollingUpdate", None).refuse("belongs to type RollingUpdate; remove it or set type to RollingUpdate")


judge = Ruled(_SHAPE, _judge_type)


def build(section: Mapping[str, Any]) -> Strategy:
    rolling = section.get("rollingUpdate", {})
    return Strategy(
        type=section.get("type", "RollingUpdate"),
        max_surge=rolling.get("maxSurge"),
        max_unavailable=rolling.get("maxUnavailable"),
    )
