"""spec.strategy: how pods are replaced."""

from collections.abc import Mapping
from typing import Any

from bartizan.policy.model import Strategy
from bartizan.policy.nodes import Node
from bartizan.policy.shapes import Choice, Either, Record, Text, Whole

_FIGURE = Either(
    Whole(0, 100),
    Text(4, r"(100|[1-9]?[0-9])%", "is neither a number nor a percentage; write for example 1 or 25%"),
)
_ROLLING = Record({"maxSurge": _FIGURE, "maxUnavailable": _FIGURE})


def _rolling(node: Node) -> dict[str, Any]:
    clean: dict[str, Any] = _ROLLING(node)
    if len(clean) == len(_ROLLING.fields) and all(figure in (0, "0%") for figure in clean.values()):
        node.refuse("cannot have maxSurge and maxUnavailable both 0, since no pod could ever be replaced; raise one")
    return clean


_SHAPE = Record({"type": Choice(("RollingUpdate", "Recreate")), "rollingUpdate": _rolling})


def judge(node: Node) -> dict[str, Any]:
    clean: dict[str, Any] = _SHAPE(node)
    if clean.get("type") == "Recreate" and "rollingUpdate" in clean:
        node.key("rollingUpdate", None).refuse("belongs to type RollingUpdate; remove it or set type to RollingUpdate")
    return clean


def build(section: Mapping[str, Any]) -> Strategy:
    rolling = section.get("rollingUpdate", {})
    return Strategy(
        type=section.get("type", "RollingUpdate"),
        max_surge=rolling.get("maxSurge"),
        max_unavailable=rolling.get("maxUnavailable"),
    )
