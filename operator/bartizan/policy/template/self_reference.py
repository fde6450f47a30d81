"""What a container may be told of its own pod: fields and resources, through variables and through files.

Source: validateObjectFieldSelector and validateContainerResourceDivisor of Kubernetes (pkg/apis/core/validation).
"""

from collections.abc import Mapping
from typing import Any

from bartizan.policy.nodes import Absent, Node, show
from bartizan.policy.shapes import LABEL, QUALIFIED_NAME, Choice, Judge, Record, Ruled, Text

_OF_METADATA = rf"metadata\.(name|namespace|uid|(labels|annotations)\['{QUALIFIED_NAME}'\])"
_REMEDY = "is not a field that a pod tells of itself here; write for example metadata.name"
_FIELD_OF_VARIABLE = Text(
    400, rf"{_OF_METADATA}|spec\.(nodeName|serviceAccountName)|status\.(hostIPs?|podIPs?)", _REMEDY
)
_FIELD_OF_FILE = Text(400, rf"{_OF_METADATA}|metadata\.(labels|annotations)", _REMEDY)
_VERSION = Choice(("v1",))
FIELD_OF_VARIABLE = Record({"apiVersion": _VERSION, "fieldPath": _FIELD_OF_VARIABLE}, required=("fieldPath",))
FIELD_OF_FILE = Record({"apiVersion": _VERSION, "fieldPath": _FIELD_OF_FILE}, required=("fieldPath",))

_RESOURCES = tuple(
    f"{part}.{name}" for part in ("limits", "requests") for name in ("cpu", "memory", "ephemeral-storage")
)
_OF_CPU = ("1", "1m")
_OF_BYTES = ("1", "1k", *(f"1{unit}" for unit in "MGTPE"), *(f"1{unit}i" for unit in "KMGTPE"))


def divisor(node: Node) -> str | int | Absent:
    if str(node.value) in {*_OF_CPU, *_OF_BYTES} and not isinstance(node.value, bool):
        return node.value  # type: ignore[return-value] # text or a number, as both compare alike
    return node.refuse(f"{show(node.value)} is not a divisor; write for example 1, 1m for cpu or 1Mi for bytes")


def _judge_divisor(node: Node, clean: Mapping[str, Any]) -> None:
    allowed = _OF_CPU if str(clean.get("resource", "")).endswith(".cpu") else _OF_BYTES
    if "divisor" in clean and str(clean["divisor"]) not in allowed:
        spot = node.key("divisor", clean["divisor"])
        spot.refuse(f"{show(clean['divisor'])} does not fit {clean.get('resource')}; write {' or '.join(allowed)}")


_FIELDS: dict[str, Judge] = {"containerName": LABEL, "resource": Choice(_RESOURCES), "divisor": divisor}
RESOURCE_OF_VARIABLE = Ruled(Record(_FIELDS, required=("resource",)), _judge_divisor)
RESOURCE_OF_FILE = Ruled(Record(_FIELDS, required=("containerName", "resource")), _judge_divisor)
"""A file belongs to the pod, so it has to say whose resources it means."""
