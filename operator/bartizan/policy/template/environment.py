"""Environment variables: their shape, and those that would open the model server behind the guard's back."""

from collections.abc import Mapping
from typing import Any

from bartizan.policy.nodes import Node, show
from bartizan.policy.shapes import SUBDOMAIN, Distinct, Many, Record, Refused, Ruled, Switch, Text
from bartizan.policy.template import self_reference
from bartizan.policy.template.security import UNKNOWN

NAME = Text(
    256,
    r"(?!\.$|\.\.)[A-Za-z_.-][A-Za-z0-9_.-]*",
    "is not a variable's name; use letters, digits and '_', not starting with a digit",
)
KEY = Text(
    253, r"(?!\.$|\.\.)[-._A-Za-z0-9]+", "is not a key; use letters, digits, '-', '_' and '.', without '..' in front"
)
"""Of a Secret or a ConfigMap."""
KEY_REFERENCE = Record({"name": SUBDOMAIN, "key": KEY, "optional": Switch()}, required=("name", "key"))
SOURCES = ("fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef")
_SOURCE = Record(
    {
        "fieldRef": self_reference.FIELD_OF_VARIABLE,
        "resourceFieldRef": self_reference.RESOURCE_OF_VARIABLE,
        "configMapKeyRef": KEY_REFERENCE,
        "secretKeyRef": KEY_REFERENCE,
        "fileKeyRef": Refused("variables from files are set by whoever writes the file; use configMapKeyRef"),
    },
    unknown=UNKNOWN,
    one_of=SOURCES,
)
_VARIABLE = Record(
    {"name": NAME, "value": Text(32_768, shortest=0, private=True), "valueFrom": _SOURCE},
    required=("name",),
    unknown=UNKNOWN,
)


def _judge_variable(node: Node, clean: Mapping[str, Any]) -> None:
    if clean.get("value") and "valueFrom" in clean:
        node.refuse("has both value and valueFrom; keep one")


VARIABLES = Distinct(Many(Ruled(_VARIABLE, _judge_variable), 256), ("name",))

_ALL_OF = Record({"name": SUBDOMAIN, "optional": Switch()}, required=("name",))
_PREFIX = Text(
    128, r"([A-Za-z_][A-Za-z0-9_]*)?", "is not a prefix of variables; use letters, digits and '_'", shortest=0
)
_FROM = Record(
    {"prefix": _PREFIX, "configMapRef": _ALL_OF, "secretRef": _ALL_OF},
    unknown=UNKNOWN,
    one_of=("configMapRef", "secretRef"),
)
FROM = Many(_FROM, 32)

DANGEROUS_SWITCHES: Mapping[str, str] = {
    "VLLM_SERVER_DEV_MODE": "it opens the server's control paths",
    "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "it lets requests load weights",
    "VLLM_ALLOW_INSECURE_SERIALIZATION": "it lets messages run code",
}
"""Off when 0; rendered so on every container, where a ConfigMap of `envFrom` could else switch them on."""
DANGEROUS: Mapping[str, str] = {
    **DANGEROUS_SWITCHES,
    "VLLM_API_KEY": "the guard holds the keys, and the server would refuse the guard",
    "LLAMA_API_KEY": "the guard holds the keys, and the server would refuse the guard",
}
OFF = ("0", "false", "False", "")
"""Values with which a dangerous variable does nothing."""
RESERVED_PREFIX = "BARTIZAN_"


def _judge_prefixes(container: Node, clean: Mapping[str, Any]) -> None:
    for position, source in enumerate(clean.get("envFrom", ())):
        prefix = source.get("prefix", "")
        if prefix.startswith(RESERVED_PREFIX):
            spot = container.key("envFrom", None).index(position, source).key("prefix", prefix)
            spot.refuse(f"{show(prefix)} is reserved; choose a prefix that does not start with {RESERVED_PREFIX}")


def judge_dangers(container: Node, clean: Mapping[str, Any]) -> None:
    """Refuses what would open the server; a Secret or ConfigMap cannot be looked into, so it may not set it either."""
    _judge_prefixes(container, clean)
    for position, variable in enumerate(clean.get("env", ())):
        name = variable.get("name", "")
        spot = container.key("env", None).index(position, variable)
        if name.startswith(RESERVED_PREFIX):
            spot.refuse(f"{show(name)} is reserved; choose a name that does not start with {RESERVED_PREFIX}")
        if name in DANGEROUS and ("valueFrom" in variable or variable.get("value", "") not in OFF):
            spot.refuse(f"{name} is refused: {DANGEROUS[name]}; remove it")
