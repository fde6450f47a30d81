"""Where pods may run: node selection, affinity, tolerations, spreading; none of it touches the gate."""

from collections.abc import Mapping
from typing import Any

from bartizan.policy import label_selectors
from bartizan.policy.nodes import Node, show
from bartizan.policy.shapes import (
    LABEL,
    LABEL_KEY,
    LABEL_VALUE,
    SUBDOMAIN,
    Choice,
    Distinct,
    Many,
    Pairs,
    Record,
    Ruled,
    Whole,
)
from bartizan.policy.template.security import UNKNOWN

_WEIGHT = Whole(1, 100)
_NODE_REQUIREMENT = Record(
    {
        "key": LABEL_KEY,
        "operator": Choice(("In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt")),
        "values": Many(LABEL_VALUE, 64),
    },
    required=("key", "operator"),
    unknown=UNKNOWN,
)


def _judge_requirement(node: Node, clean: Mapping[str, Any]) -> None:
    values = clean.get("values", ())
    operator, count = clean.get("operator", ""), len(values)
    fits = {"In": count > 0, "NotIn": count > 0, "Exists": count == 0, "DoesNotExist": count == 0}
    if operator and not fits.get(operator, count == 1):
        node.refuse(f"operator {operator} with {count} values means nothing; give In and NotIn some, Gt and Lt one")
    if operator in ("Gt", "Lt") and not all(value.isdecimal() for value in values):
        node.key("values", None).refuse(f"operator {operator} compares whole numbers; give one")


_NODE_FIELD = Record(
    {"key": Choice(("metadata.name",)), "operator": Choice(("In", "NotIn")), "values": Many(SUBDOMAIN, 1, 1)},
    required=("key", "operator", "values"),
    unknown=UNKNOWN,
)
_NODE_TERM = Record(
    {"matchExpressions": Many(Ruled(_NODE_REQUIREMENT, _judge_requirement), 32), "matchFields": Many(_NODE_FIELD, 8)},
    unknown=UNKNOWN,
)
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
_NODE_AFFINITY = Record(
    {
        _REQUIRED: Record({"nodeSelectorTerms": Many(_NODE_TERM, 16, 1)}, required=("nodeSelectorTerms",)),
        _PREFERRED: Many(Record({"weight": _WEIGHT, "preference": _NODE_TERM}, required=("weight", "preference")), 16),
    },
    unknown=UNKNOWN,
)
_MATCHING = ("matchLabelKeys", "mismatchLabelKeys")


def _judge_matching(node: Node, clean: Mapping[str, Any]) -> None:
    """Keys refine a selector; what stands in both lists could never hold."""
    given = [field for field in _MATCHING if clean.get(field)]
    if "labelSelector" not in clean:
        for field in given:
            node.key(field, None).refuse("refines labelSelector, which is missing; add it or remove this")
    both = set(clean.get("matchLabelKeys", ())) & set(clean.get("mismatchLabelKeys", ()))
    if both:
        node.refuse(f"has {show(min(both))} in both matchLabelKeys and mismatchLabelKeys; keep one")


_POD_TERM_SHAPE = Record(
    {
        "labelSelector": label_selectors.SHAPE,
        "namespaces": Many(LABEL, 32),
        "namespaceSelector": label_selectors.SHAPE,
        "topologyKey": LABEL_KEY,
        "matchLabelKeys": Many(LABEL_KEY, 16),
        "mismatchLabelKeys": Many(LABEL_KEY, 16),
    },
    required=("topologyKey",),
    unknown=UNKNOWN,
)
_POD_TERM = Ruled(_POD_TERM_SHAPE, _judge_matching)
_POD_AFFINITY = Record(
    {
        _REQUIRED: Many(_POD_TERM, 16),
        _PREFERRED: Many(
            Record({"weight": _WEIGHT, "podAffinityTerm": _POD_TERM}, required=("weight", "podAffinityTerm")), 16
        ),
    },
    unknown=UNKNOWN,
)

AFFINITY = Record(
    {"nodeAffinity": _NODE_AFFINITY, "podAffinity": _POD_AFFINITY, "podAntiAffinity": _POD_AFFINITY}, unknown=UNKNOWN
)
NODE_SELECTOR = Pairs(LABEL_KEY, LABEL_VALUE, 32)
_TOLERATION = Record(
    {
        "key": LABEL_KEY,
        "operator": Choice(("Exists", "Equal")),
        "value": LABEL_VALUE,
        "effect": Choice(("NoSchedule", "PreferNoSchedule", "NoExecute")),
        "tolerationSeconds": Whole(0, 2**31 - 1),
    },
    unknown=UNKNOWN,
)


def _judge_toleration(node: Node, clean: Mapping[str, Any]) -> None:
    if "key" not in clean and clean.get("operator") != "Exists":
        node.refuse("has neither key nor operator Exists; name the taint's key")
    if "tolerationSeconds" in clean and clean.get("effect") != "NoExecute":
        node.key("tolerationSeconds", None).refuse("is only read with effect NoExecute; remove it")
    if clean.get("operator") == "Exists" and clean.get("value"):
        node.key("value", None).refuse("is not read with operator Exists; remove it")


TOLERATIONS = Many(Ruled(_TOLERATION, _judge_toleration), 64)
_POLICY = Choice(("Honor", "Ignore"))
_SPREAD = Record(
    {
        "maxSkew": Whole(1, 1000),
        "topologyKey": LABEL_KEY,
        "whenUnsatisfiable": Choice(("DoNotSchedule", "ScheduleAnyway")),
        "labelSelector": label_selectors.SHAPE,
        "minDomains": Whole(1, 1000),
        "nodeAffinityPolicy": _POLICY,
        "nodeTaintsPolicy": _POLICY,
        "matchLabelKeys": Many(LABEL_KEY, 16),
    },
    required=("maxSkew", "topologyKey", "whenUnsatisfiable"),
    unknown=UNKNOWN,
)


def _judge_spread(node: Node, clean: Mapping[str, Any]) -> None:
    _judge_matching(node, clean)
    if "minDomains" in clean and clean.get("whenUnsatisfiable") == "ScheduleAnyway":
        node.key("minDomains", None).refuse("is only read with whenUnsatisfiable DoNotSchedule; remove it")


SPREAD = Distinct(Many(Ruled(_SPREAD, _judge_spread), 16), ("topologyKey", "whenUnsatisfiable"))
