"""Volumes: which kinds there may be, and how containers mount them."""

import posixpath
from collections.abc import Iterator, Mapping
from typing import Any

from bartizan.policy.nodes import Node, show
from bartizan.policy.shapes import (
    LABEL,
    LABEL_KEY,
    LABEL_VALUE,
    SUBDOMAIN,
    Choice,
    Judge,
    Many,
    Pairs,
    Record,
    Refused,
    Ruled,
    Switch,
    Text,
    Whole,
)
from bartizan.policy.template.environment import KEY
from bartizan.policy.template.resources import amount, figure
from bartizan.policy.template.security import UNKNOWN
from bartizan.policy.template.self_reference import FIELD_OF_FILE, RESOURCE_OF_FILE

_NODE = Refused("it reaches into the node; use a persistentVolumeClaim")
_TOKEN = Refused("the model has no business with the API server or other identities; remove it")
_DRIVER = Refused("an inline driver is configured by whoever writes the template; use a persistentVolumeClaim")
_OLD = Refused("a network file system named in the pod walks round the network policy; use a persistentVolumeClaim")
_MODE = Whole(0, 0o777)
_FILE = Text(
    253, r"(?!/)(?!(.*/)?\.\.(/|$))[^\x00-\x1f]+", "is not a path within the volume; write it relative and without '..'"
)
_ITEM_PATH = Text(
    253,
    r"(?!/|\.\.)(?!.*/\.\.(/|$))[^\x00-\x1f]+",
    "is not a path for a file of a volume; write it relative and without '..' in front of any part",
)
_ITEMS = Many(Record({"key": KEY, "path": _ITEM_PATH, "mode": _MODE}, required=("key", "path")), 128)
_DOWNWARD_ITEM = Record(
    {"path": _ITEM_PATH, "fieldRef": FIELD_OF_FILE, "resourceFieldRef": RESOURCE_OF_FILE, "mode": _MODE},
    required=("path",),
    one_of=("fieldRef", "resourceFieldRef"),
)
_DOWNWARD = Many(_DOWNWARD_ITEM, 64)


def _judge_size(node: Node, clean: Mapping[str, Any]) -> None:
    if "storage" in clean and not figure(clean["storage"]):
        node.key("storage", clean["storage"]).refuse("0 is no size for a volume; write for example 10Gi")


_SIZE = Ruled(Record({"storage": amount}, required=("storage",)), _judge_size)
_STORAGE = Record({"requests": _SIZE, "limits": _SIZE}, required=("requests",))
_ACCESS_MODE = Choice(("ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod"))
_ONE_POD = "ReadWriteOncePod"


def _judge_modes(node: Node, clean: list[str]) -> None:
    if _ONE_POD in clean and len(clean) > 1:
        node.refuse(f"has {_ONE_POD} beside other modes; keep it alone or remove it")


_CLAIM_SPEC = Record(
    {
        "accessModes": Ruled(Many(_ACCESS_MODE, 4, 1), _judge_modes),
        "resources": _STORAGE,
        "storageClassName": SUBDOMAIN,
        "volumeMode": Choice(("Filesystem",), "raw devices are not for endpoints; write Filesystem"),
    },
    required=("accessModes", "resources"),
    unknown=UNKNOWN,
)
_CLAIM_TEMPLATE = Record(
    {"metadata": Record({"labels": Pairs(LABEL_KEY, LABEL_VALUE, 32)}, unknown=UNKNOWN), "spec": _CLAIM_SPEC},
    required=("spec",),
    unknown=UNKNOWN,
)
_PROJECTED_KINDS = ("configMap", "secret", "downwardAPI", "serviceAccountToken", "clusterTrustBundle", "podCertificate")
_PROJECTED = Record(
    {
        "configMap": Record({"name": SUBDOMAIN, "items": _ITEMS, "optional": Switch()}, required=("name",)),
        "secret": Record({"name": SUBDOMAIN, "items": _ITEMS, "optional": Switch()}, required=("name",)),
        "downwardAPI": Record({"items": _DOWNWARD}),
        "serviceAccountToken": _TOKEN,
        "clusterTrustBundle": _TOKEN,
        "podCertificate": _TOKEN,
    },
    unknown=UNKNOWN,
    one_of=_PROJECTED_KINDS,
)


def _judge_paths(node: Node, clean: list[dict[str, Any]]) -> None:
    """Two sources may not write one file."""
    seen: set[str] = set()
    for position, source in enumerate(clean):
        for path in _paths(source):
            if path in seen:
                node.index(position, source).refuse(
                    f"writes {show(path)}, as an item before it does; choose another path"
                )
            seen.add(path)


def _paths(source: Mapping[str, Any]) -> Iterator[str]:
    for kind in source.values():
        yield from (posixpath.normpath(item["path"]) for item in kind.get("items", ()) if "path" in item)


SOURCES: Mapping[str, Judge] = {
    "emptyDir": Record(
        {
            "medium": Text(32, r"(Memory|HugePages(-[0-9]+[KMG]i)?)?", "is not a medium; write Memory or remove it", 0),
            "sizeLimit": amount,
        }
    ),
    "configMap": Record(
        {"name": SUBDOMAIN, "items": _ITEMS, "defaultMode": _MODE, "optional": Switch()}, required=("name",)
    ),
    "secret": Record(
        {"secretName": SUBDOMAIN, "items": _ITEMS, "defaultMode": _MODE, "optional": Switch()}, required=("secretName",)
    ),
    "persistentVolumeClaim": Record({"claimName": SUBDOMAIN, "readOnly": Switch()}, required=("claimName",)),
    "downwardAPI": Record({"items": _DOWNWARD, "defaultMode": _MODE}),
    "ephemeral": Record({"volumeClaimTemplate": _CLAIM_TEMPLATE}, required=("volumeClaimTemplate",)),
    "projected": Record(
        {"sources": Ruled(Many(_PROJECTED, 32, 1), _judge_paths), "defaultMode": _MODE}, required=("sources",)
    ),
    "image": Refused("older clusters that are supported drop it unsaid; fill a persistentVolumeClaim by a Job"),
    "hostPath": _NODE,
    "csi": _DRIVER,
    "flexVolume": _DRIVER,
    **dict.fromkeys(("nfs", "iscsi", "cephfs", "glusterfs", "rbd", "fc", "flocker", "quobyte", "storageos"), _OLD),
    **dict.fromkeys(("azureDisk", "azureFile", "awsElasticBlockStore", "cinder", "gcePersistentDisk"), _OLD),
    **dict.fromkeys(("photonPersistentDisk", "portworxVolume", "scaleIO", "vsphereVolume"), _OLD),
    "gitRepo": Refused("it runs git as root on the node; fill a persistentVolumeClaim by a Job"),
}
SHAPE = Many(Record({"name": LABEL, **SOURCES}, required=("name",), unknown=UNKNOWN, one_of=tuple(SOURCES)), 64)

_MOUNT_PATH = Text(
    512,
    r"/[^:\x00-\x1f]*",
    "is not a path to mount at; start it with '/' and leave out ':'",
)
_MOUNT = Record(
    {
        "name": LABEL,
        "mountPath": _MOUNT_PATH,
        "subPath": _FILE,
        "subPathExpr": Refused("the path would depend on variables; use subPath"),
        "readOnly": Switch(),
        "recursiveReadOnly": Choice(("Disabled", "IfPossible", "Enabled")),
        "mountPropagation": Choice(("None",), "mounts that spread reach into the node; remove it"),
    },
    required=("name", "mountPath"),
    unknown=UNKNOWN,
)


def _judge_mount(node: Node, clean: Mapping[str, Any]) -> None:
    if clean.get("recursiveReadOnly", "Disabled") != "Disabled" and not clean.get("readOnly"):
        node.key("recursiveReadOnly", None).refuse("belongs to readOnly: true; add that or remove this")


MOUNTS = Many(Ruled(_MOUNT, _judge_mount), 64)
