"""Volumes: which kinds there may be, and how containers mount them."""

from collections.abc import Mapping

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
    Switch,
    Text,
    Whole,
)
from bartizan.policy.template.environment import FIELD_REFERENCE, RESOURCE_REFERENCE
from bartizan.policy.template.resources import amount
from bartizan.policy.template.security import UNKNOWN

_NODE = Refused("it reaches into the node; use a persistentVolumeClaim")
_TOKEN = Refused("the model has no business with the API server or other identities; remove it")
_DRIVER = Refused("an inline driver is configured by whoever writes the template; use a persistentVolumeClaim")
_OLD = Refused("a network file system named in the pod walks round the network policy; use a persistentVolumeClaim")
_MODE = Whole(0, 0o777)
_FILE = Text(
    253, r"(?!/)(?!(.*/)?\.\.(/|$))[^\x00-\x1f]+", "is not a path within the volume; write it relative and without '..'"
)
_ITEMS = Many(Record({"key": Text(253), "path": _FILE, "mode": _MODE}, required=("key", "path")), 128)
_DOWNWARD_ITEM = Record(
    {"path": _FILE, "fieldRef": FIELD_REFERENCE, "resourceFieldRef": RESOURCE_REFERENCE, "mode": _MODE},
    required=("path",),
    one_of=("fieldRef", "resourceFieldRef"),
)
_DOWNWARD = Many(_DOWNWARD_ITEM, 64)
_SIZE = Record({"storage": amount}, required=("storage",))
_STORAGE = Record({"requests": _SIZE, "limits": _SIZE}, required=("requests",))
_ACCESS_MODE = Choice(("ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod"))
_CLAIM_SPEC = Record(
    {
        "accessModes": Many(_ACCESS_MODE, 4, 1),
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
)

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
    "projected": Record({"sources": Many(_PROJECTED, 32), "defaultMode": _MODE}),
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
MOUNTS = Many(
    Record(
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
    ),
    64,
)
