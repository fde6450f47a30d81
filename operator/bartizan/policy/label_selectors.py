"""Label selectors: their shape, and whether one chooses by what is there or by nothing but exclusion."""

from collections.abc import Mapping
from typing import Any

from bartizan.policy.nodes import Node
from bartizan.policy.shapes import LABEL_KEY, LABEL_VALUE, Choice, Many, Pairs, Record, Ruled

_EXPRESSION = Record(
    {
        "key": LABEL_KEY,
        "operator": Choice(("In", "NotIn", "Exists", "DoesNotExist")),
        "values": Many(LABEL_VALUE, 32),
    },
    required=("key", "operator"),
)


def _judge_values(node: Node, clean: Mapping[str, Any]) -> None:
    needs_values = clean.get("operator") in ("In", "NotIn")
    if "operator" in clean and needs_values != bool(clean.get("values")):
        remedy = "add values" if needs_values else "remove the values"
        node.refuse(f"operator {clean['operator']} takes {'values' if needs_values else 'no values'}; {remedy}")


SHAPE = Record(
    {
        "matchLabels": Pairs(LABEL_KEY, LABEL_VALUE, 16),
        "matchExpressions": Many(Ruled(_EXPRESSION, _judge_values), 16),
    }
)


def names_something(selector: Mapping[str, Any]) -> bool:
    """Whether some label must be there; else the selector chooses all, or all but a few."""
    expressions = selector.get("matchExpressions", ())
    positive = any(expression.get("operator") in ("In", "Exists") for expression in expressions)
    return positive or bool(selector.get("matchLabels"))


def matches(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """As Kubernetes has it: every label and every expression must hold; `selector` has passed SHAPE."""
    wanted = selector.get("matchLabels", {})
    return all(labels.get(key) == value for key, value in wanted.items()) and all(
        _holds(expression, labels) for expression in selector.get("matchExpressions", ())
    )


def _holds(expression: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    key, operator, values = expression["key"], expression["operator"], expression.get("values", ())
    if operator in ("Exists", "DoesNotExist"):
        return (key in labels) is (operator == "Exists")
    if operator == "In":
        return key in labels and labels[key] in values
    return labels.get(key) not in values
