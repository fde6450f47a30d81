"""What pods and their owners say of themselves, in words that a user can act on."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from bartizan.controller.builders.guard_container import GUARD
from bartizan.controller.builders.pod_template import CLOSED

Live = Mapping[str, Any]

CONTAINERS = ("initContainers", "containers", "ephemeralContainers")
API_DEFAULTS = {"automountServiceAccountToken": True, "enableServiceLinks": True}
"""What absence means where it does not mean shut; the API server leaves the others out when they are false."""
HARMLESS_WAITING = frozenset({"PodInitializing", "ContainerCreating"})


def is_gated(pod: Live, templates: Iterable[Live]) -> bool:
    """The guard runs as one of the templates says, and neither host nor stranger shares the pod with it."""
    gate = _gate(pod["spec"])
    return gate is not None and any(gate == _gate(template["spec"]) for template in templates)


def _gate(spec: Live) -> tuple[object, ...] | None:
    """What makes the pod a gated one; None without the guard."""
    guard = _guard(spec)
    if guard is None:
        return None
    closed = [spec.get(field, API_DEFAULTS.get(field, value)) for field, value in CLOSED.items()]
    containers = {group: sorted(item["name"] for item in spec.get(group) or ()) for group in CONTAINERS}
    return guard, closed, containers


def _guard(spec: Live) -> tuple[object, ...] | None:
    """The parts of the sidecar that make it the gate, but for the document's age, which differs by roll-out."""
    for container in spec.get("initContainers") or ():
        if container["name"] == GUARD and container.get("restartPolicy") == "Always":
            arguments = [text for text in container.get("args", ()) if not text.startswith("--document-not-before=")]
            set_by_us = (container.get(name) for name in ("image", "command", "env", "envFrom", "lifecycle"))
            return (arguments, container.get("securityContext", {}).get("runAsUser"), *set_by_us)
    return None


def is_on_lost_node(pod: Live) -> bool:
    """The node has stopped reporting: what its pods do, nobody knows."""
    conditions = pod.get("status", {}).get("conditions") or ()
    return pod.get("status", {}).get("reason") == "NodeLost" or any(
        condition["type"] == "Ready" and condition["status"] == "Unknown" for condition in conditions
    )


def is_being_created(pod: Live) -> bool:
    """It has a node, and no container of it has started yet."""
    statuses = pod.get("status", {}).get("initContainerStatuses") or ()
    return any((item.get("state", {}).get("waiting") or {}).get("reason") in HARMLESS_WAITING for item in statuses)


def is_ready(pod: Live) -> bool:
    """Services send it their traffic."""
    conditions = pod.get("status", {}).get("conditions") or ()
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)


def failures(pods: Iterable[Live], owners: Iterable[Live]) -> list[str]:
    """Why pods do not start, each reason once: from the pods, and from what could not even create them."""
    found = [*(text for pod in pods for text in _of_pod(pod)), *(text for owner in owners for text in _of_owner(owner))]
    return list(dict.fromkeys(found))


def _of_pod(pod: Live) -> Iterator[str]:
    status = pod.get("status", {})
    statuses = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
    for container in statuses:
        waiting = container.get("state", {}).get("waiting") or {}
        if waiting.get("reason") and waiting["reason"] not in HARMLESS_WAITING:
            yield _sentence(f"container {container['name']}", waiting["reason"], waiting.get("message"))
    for condition in status.get("conditions") or ():
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            yield _sentence("pod", condition.get("reason", "Unschedulable"), condition.get("message"))


def _of_owner(owner: Live) -> Iterator[str]:
    for condition in owner.get("status", {}).get("conditions") or ():
        if condition["type"] == "ReplicaFailure" and condition["status"] == "True":
            yield _sentence("pods", condition.get("reason", "FailedCreate"), condition.get("message"))


def _sentence(subject: str, reason: str, message: str | None) -> str:
    return f"{subject}: {reason}: {' '.join(message.split())[:300]}" if message else f"{subject}: {reason}"
