"""Security contexts: which fields may be set at all; what is merely weaker than the default is `weaknesses`' matter."""

from collections.abc import Mapping
from typing import Any

from bartizan.policy import names
from bartizan.policy.nodes import Absent, Node
from bartizan.policy.shapes import Choice, Judge, Many, Only, Record, Refused, Ruled, Switch, Text, Whole

HIGHEST_ID = 2**31 - 1
HARMLESS_CAPABILITY = "NET_BIND_SERVICE"
"""The one that the restricted profile of Kubernetes allows."""
CAPABILITIES = (
    HARMLESS_CAPABILITY,
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "IPC_LOCK",
    "KILL",
    "SETGID",
    "SETUID",
)
"""May be added: none of them reaches beyond the container. SYS_ADMIN, NET_ADMIN, NET_RAW, SYS_PTRACE,
DAC_READ_SEARCH, BPF and their kin do, so they are not here."""

CONFINED_TYPES = ("container_t", "container_init_t", "container_kvm_t", "container_engine_t")
"""SELinux types that the Pod Security Standards allow."""
UNKNOWN = "is not on the allow-list for pod templates; remove it"


_ID = Whole(0, HIGHEST_ID)


def judge_user(node: Node) -> int | Absent:
    user = _ID(node)
    if user == names.GUARD_UID:
        return node.refuse(f"{user} is the guard's user; choose another")
    return user


def judge_group(node: Node) -> int | Absent:
    group = _ID(node)
    if group == names.GUARD_UID:
        return node.refuse(f"{group} is the guard's group; choose another")
    return group


def judge_group_of_all(node: Node) -> int | Absent:
    """A group that every process of the pod is in, whatever its container says."""
    group = judge_group(node)
    if group == 0 and not isinstance(group, Absent):
        return node.refuse("0 is root's group, and the guard would be in it, too; write runAsGroup on the container")
    return group


_PROFILE = Record(
    {
        "type": Choice(("RuntimeDefault", "Localhost", "Unconfined")),
        "localhostProfile": Text(
            253, r"(?!/)(?!(.*/)?\.\.(/|$))[!-~]+", "is not a path below the kubelet's profiles; write it relative"
        ),
    },
    required=("type",),
    unknown=UNKNOWN,
)
_WINDOWS = Refused("endpoints run on Linux; remove it")
_LEVEL = Text(
    253, r"s[0-9]+(-s[0-9]+)?(:c[0-9]+([.,]c[0-9]+)*)?", "is not a SELinux level; write for example s0:c123,c456"
)
_SELINUX: dict[str, Judge] = {
    "level": _LEVEL,
    "type": Choice(CONFINED_TYPES, "other types leave the container's confinement; write container_t or remove it"),
    "user": Refused("a SELinux user of one's own leaves the container's confinement; remove it"),
    "role": Refused("a SELinux role of one's own leaves the container's confinement; remove it"),
}
_CAPABILITY = Choice(
    CAPABILITIES, "others reach beyond the container; remove it, or write it without CAP_ and in capitals"
)


def _judge_profile(node: Node, clean: Mapping[str, Any]) -> None:
    is_local = clean.get("type") == "Localhost"
    if "type" in clean and is_local != ("localhostProfile" in clean):
        node.key("localhostProfile", None).refuse("belongs to type Localhost; add or remove it")


PROFILE = Ruled(_PROFILE, _judge_profile)


def _judge_dropped(node: Node, clean: list[str]) -> None:
    if "ALL" not in clean:
        node.refuse("does not hold ALL; write drop: [ALL] and name under `add` what is needed")


_DROPPED = Ruled(
    Many(Text(64, r"[A-Z_]+", "is not a capability; write it in capitals, without CAP_"), 64), _judge_dropped
)

_SHARED: dict[str, Judge] = {
    "runAsUser": judge_user,
    "runAsGroup": judge_group,
    "runAsNonRoot": Switch(),
    "seccompProfile": PROFILE,
    "appArmorProfile": PROFILE,
    "seLinuxOptions": Record(_SELINUX, unknown=UNKNOWN),
    "windowsOptions": _WINDOWS,
}
_FOR_ALL = "at the pod it would hold for the guard, too; write it on the containers that need it"
_APPARMOR_OF_POD = Record(
    {"type": Choice(("RuntimeDefault",), _FOR_ALL), "localhostProfile": Refused(_FOR_ALL)},
    required=("type",),
    unknown=UNKNOWN,
)
POD = Record(
    {
        **_SHARED,
        "appArmorProfile": _APPARMOR_OF_POD,
        "seLinuxOptions": Record({**_SELINUX, "type": Refused(_FOR_ALL)}, unknown=UNKNOWN),
        "fsGroup": judge_group_of_all,
        "fsGroupChangePolicy": Choice(("OnRootMismatch", "Always")),
        "supplementalGroups": Many(judge_group_of_all, 32),
        "supplementalGroupsPolicy": Choice(("Merge", "Strict")),
        "seLinuxChangePolicy": Choice(("Recursive",)),
        "sysctls": Refused("kernel settings of the pod hold for the guard, too; remove it"),
    },
    unknown=UNKNOWN,
)
CONTAINER = Record(
    {
        **_SHARED,
        "allowPrivilegeEscalation": Switch(),
        "readOnlyRootFilesystem": Switch(),
        "privileged": Only(False, "a privileged container owns the node; name single capabilities instead"),
        "procMount": Choice(("Default",), "an unmasked /proc shows and sets the node's kernel; remove it"),
        "capabilities": Record({"add": Many(_CAPABILITY, 32), "drop": _DROPPED}, unknown=UNKNOWN),
    },
    unknown=UNKNOWN,
)
