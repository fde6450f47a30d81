"""What a template sets to less than the restricted default: allowed, and shown in the condition Hardened."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from bartizan.policy.model import Weakness
from bartizan.policy.nodes import Node
from bartizan.policy.template.security import HARMLESS_CAPABILITY

POD = "spec.template.spec"
GROUPS = ("initContainers", "containers")


def _is_unconfined(profile: Mapping[str, Any]) -> bool:
    return profile.get("type") == "Unconfined"


Weak = Callable[[Any], bool]
INHERITED: Mapping[str, tuple[Weak, str]] = {
    "runAsNonRoot": (lambda value: value is False, "allows root"),
    "runAsUser": (lambda value: value == 0, "runs as root"),
    "seccompProfile": (_is_unconfined, "allows every system call"),
    "appArmorProfile": (_is_unconfined, "switches AppArmor off"),
}
OWN: Mapping[str, tuple[Weak, str]] = {
    "allowPrivilegeEscalation": (lambda value: value is True, "allows setuid programs to gain rights"),
    "readOnlyRootFilesystem": (lambda value: value is False, "leaves the image's files writable"),
}
REACH: Mapping[str, str] = {
    "SETUID": ", with which root can become the guard's user",
    "SETGID": ", with which root can join the guard's group",
}


def find(spec: Mapping[str, Any]) -> tuple[Weakness, ...]:
    """All weaknesses of all containers; one that is inherited names the pod's field."""
    return tuple(
        Weakness(container.get("name", ""), field, why)
        for group in GROUPS
        for position, container in enumerate(spec.get(group, ()))
        for field, why in _of_container(f"{POD}.{group}[{position}]", container, spec.get("securityContext", {}))
    )


def judge_root(spec: Node, clean: Mapping[str, Any]) -> None:
    """Root must be asked for in so many words; the kubelet would refuse the pod otherwise, and less clearly."""
    pod = clean.get("securityContext", {})
    for group in GROUPS:
        for position, container in enumerate(clean.get(group, ())):
            own = container.get("securityContext", {})
            merged = {**pod, **own}
            if merged.get("runAsUser") == 0 and merged.get("runAsNonRoot", True):
                holder = spec.key(group, None).index(position, container) if "runAsUser" in own else spec
                holder.key("securityContext", None).key("runAsUser", 0).refuse(
                    "0 is root; name another user, or write runAsNonRoot: false beside it and see it as Hardened=False"
                )


def _of_container(path: str, container: Mapping[str, Any], pod: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    own = container.get("securityContext", {})
    for field, (weak, why) in INHERITED.items():
        holder, context = (path, own) if field in own else (POD, pod)
        if field in context and weak(context[field]):
            yield f"{holder}.securityContext.{field}", why
    for field, (weak, why) in OWN.items():
        if field in own and weak(own[field]):
            yield f"{path}.securityContext.{field}", why
    for added in own.get("capabilities", {}).get("add", ()):
        if added != HARMLESS_CAPABILITY:
            yield f"{path}.securityContext.capabilities.add", f"adds the capability {added}{REACH.get(added, '')}"
