"""What a container may be told of its own pod: fields and resources, through variables and through files.

Source: validateObjectFieldSelector and validateContainerResourceDivisor of Kubernetes (pkg/apis/core/validation).
"""

import re
from collections.abc import Mapping
from typing import Any

from bartizan.policy.nodes import Node, show
from bartizan.policy.shapes import LABEL, QUALIFIED_NAME, Choice, Judge, Record, Ruled, Text
from bartizan.policy.template.resources import amount, figure

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


def _judge_divisor(node: Node, clean: Mapping[str, Any]) -> None:
    """Kubernetes takes these alone, however they are written: 1024Ki is 1Mi, but 1048576 and 1e6 are not."""
    if not figure(clean.get("divisor", 0)):
        return
    divisor = str(clean["divisor"])
    allowed = _OF_CPU if str(clean.get("resource", "")).endswith(".cpu") else _OF_BYTES
    same_kind = (text for text in allowed if (text[-1] == "i") == (divisor[-1] == "i"))
    if re.search("[eE][0-9]", divisor) or figure(divisor) not in map(figure, same_kind):
        said = f"{show(clean['divisor'])} does not fit {clean.get('resource')}"
        node.key("divisor", divisor).refuse(f"{said}; write {' or '.join(allowed)}")


_FIELDS: dict[str, Judge] = {"containerName": LABEL, "resource": Choice(_RESOURCES), "divisor": amount}
RESOURCE_OF_VARIABLE = Ruled(Record(_FIELDS, required=("resource",)), _judge_divisor)
RESOURCE_OF_FILE = Ruled(Record(_FIELDS, required=("containerName", "resource")), _judge_divisor)
"""A file belongs to the pod, so it has to say whose resources it means."""
