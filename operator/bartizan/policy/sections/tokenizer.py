"""spec.limits.tokenizer: which file input is counted with, and that nothing in the pod can write it."""

from collections.abc import Iterator, Mapping
from typing import Any

from bartizan.policy.model import Tokenizer
from bartizan.policy.nodes import Node, show
from bartizan.policy.shapes import LABEL, Record, Text

DEFAULT_PATH = "tokenizer.json"
LONGEST_PATH = 256
SHAPE = Record(
    {
        "volume": LABEL,
        "path": Text(
            LONGEST_PATH,
            r"(?!/)(?!(.*/)?\.\.(/|$))[^\x00-\x1f]+",
            "is not a path within the volume; write it relative and without '..'",
        ),
    },
    required=("volume",),
)
_REMEDY = "name a volume of type configMap, or a persistentVolumeClaim with readOnly: true"


def judge_volume(node: Node, section: Mapping[str, Any], pod_spec: Mapping[str, Any]) -> None:
    """The volume must be the template's, and read-only by its kind: the model could write what its gate reads."""
    name = section.get("volume")
    if not name:
        return
    spot = node.key("volume", name)
    volumes = pod_spec.get("volumes", ())
    volume = next((volume for volume in volumes if volume.get("name") == name), None)
    if volume is None:
        spot.refuse(f"{show(name)} is not a volume of spec.template; add it under spec.template.spec.volumes")
        return
    if "configMap" in volume:
        return
    claim = volume.get("persistentVolumeClaim")
    if claim is None:
        kind = next((kind for kind in volume if kind != "name"), "nothing")
        spot.refuse(f"{show(name)} is of type {kind}, which may change what the gate reads; {_REMEDY}")
    elif not claim.get("readOnly"):
        spot.refuse(f"{show(name)} can be written, so the model could write what its gate reads; {_REMEDY}")
    else:
        for other in _writers(volumes, claim):
            spot.refuse(
                f"{show(name)} can be written by way of the volume {show(other)}, which has the same claim; set "
                "readOnly: true there, too"
            )


def _writers(volumes: list[dict[str, Any]], claim: Mapping[str, Any]) -> Iterator[str]:
    for volume in volumes:
        other = volume.get("persistentVolumeClaim", {})
        if other.get("claimName") == claim.get("claimName") and not other.get("readOnly"):
            yield volume.get("name", "")


def build(section: Mapping[str, Any]) -> Tokenizer | None:
    return Tokenizer(section["volume"], section.get("path", DEFAULT_PATH)) if section else None
