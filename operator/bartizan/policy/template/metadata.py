"""Labels and annotations of the pods: by allow-listed prefix, since other controllers act on what they say."""

from bartizan.policy.nodes import Absent, Node, show
from bartizan.policy.shapes import LABEL_KEY, LABEL_VALUE, Pairs, Record, Refused, Text
from bartizan.policy.template.security import UNKNOWN

LABEL_PREFIXES = ("app.kubernetes.io/", "helm.sh/", "kueue.x-k8s.io/")
RESERVED_LABELS = ("app.kubernetes.io/managed-by", "pod-template-hash")
ACTING_LABELS = ("aadpodidbinding",)
"""Plain names that somebody acts on all the same: this one binds an identity of the cloud's to the pod."""
ACTING_ANNOTATIONS = ("cni", "networks")
"""Multus and its like attach networks by them."""
ANNOTATION_PREFIXES = (
    "app.kubernetes.io/",
    "checksum/",
    "cluster-autoscaler.kubernetes.io/",
    "helm.sh/",
    "karpenter.sh/",
    "kubectl.kubernetes.io/",
)
ASK = "remove it, or propose the prefix for the allow-list with what acts on it"


def _is_plain(key: str) -> bool:
    """A name that nobody owns; container runtimes (Kata, CRI-O) read dotted ones without a prefix."""
    return "/" not in key and "." not in key and key not in ACTING_ANNOTATIONS


def label_key(node: Node) -> str | Absent:
    key = LABEL_KEY(node)
    if isinstance(key, Absent):
        return key
    if key in RESERVED_LABELS:
        return node.refuse("is set by the operator or by Kubernetes; remove it")
    if ("/" not in key and key not in ACTING_LABELS) or key.startswith(LABEL_PREFIXES):
        return key
    allowed = ", ".join(LABEL_PREFIXES)
    return node.refuse(
        f"{show(key)} may not be set: controllers act on labels like it; {ASK} (allowed: plain names, {allowed})"
    )


def annotation_key(node: Node) -> str | Absent:
    key = LABEL_KEY(node)
    if isinstance(key, Absent) or _is_plain(key) or key.startswith(ANNOTATION_PREFIXES):
        return key
    allowed = ", ".join(ANNOTATION_PREFIXES)
    return node.refuse(
        f"{show(key)} may not be set: annotations like it attach networks, sidecars or rights; "
        f"{ASK} (allowed: plain names without dots, {allowed})"
    )


_NOT_FOR_TEMPLATES = Refused("the Deployment gives each pod its own; remove it")
SHAPE = Record(
    {
        "labels": Pairs(label_key, LABEL_VALUE, 64),
        "annotations": Pairs(annotation_key, Text(8192, shortest=0), 64),
        **dict.fromkeys(("name", "namespace", "generateName", "finalizers", "ownerReferences"), _NOT_FOR_TEMPLATES),
    },
    unknown=UNKNOWN,
)
