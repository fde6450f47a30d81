"""Knows what of a Pod, a Namespace and a NetworkPolicy decides who may talk to whom."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Manifest = Mapping[str, Any]
Labels = Mapping[str, str]


@dataclass(frozen=True)
class Pod:
    namespace: str
    labels: Labels
    address: str
    named_ports: Mapping[tuple[str, str], int]
    """Protocol and name, to the port's number."""


@dataclass(frozen=True)
class Policy:
    namespace: str
    selector: Manifest
    ingress: tuple[Manifest, ...] | None
    """None: the policy says nothing about this direction. Empty: it allows nothing."""
    egress: tuple[Manifest, ...] | None


def read_pods(manifests: Iterable[Manifest]) -> list[Pod]:
    """Pods that hold an address of their own; one that ends still does, one that has ended does not."""
    return [read_pod(manifest) for manifest in manifests if has_own_address(manifest)]


def has_own_address(manifest: Manifest) -> bool:
    status = manifest.get("status", {})
    has_ended = status.get("phase") in {"Succeeded", "Failed"}
    return bool(status.get("podIP")) and not has_ended and not manifest["spec"].get("hostNetwork", False)


def read_pod(manifest: Manifest) -> Pod:
    metadata = manifest["metadata"]
    ports = {
        (port.get("protocol", "TCP"), port["name"]): port["containerPort"]
        for container in serving_containers(manifest["spec"])
        for port in container.get("ports", [])
        if "name" in port
    }
    return Pod(metadata["namespace"], metadata.get("labels") or {}, manifest["status"]["podIP"], ports)


def serving_containers(spec: Manifest) -> Iterator[Manifest]:
    """A native sidecar serves ports as any container does."""
    yield from spec.get("containers", [])
    yield from (each for each in spec.get("initContainers", []) if each.get("restartPolicy") == "Always")


def read_policy(manifest: Manifest) -> Policy:
    """Deleted policies that wait for a finalizer count like any other, as they do in every engine."""
    spec = manifest["spec"]
    types = spec.get("policyTypes") or ["Ingress", *(["Egress"] if spec.get("egress") else [])]
    return Policy(
        namespace=manifest["metadata"]["namespace"],
        selector=spec.get("podSelector") or {},
        ingress=tuple(spec.get("ingress") or ()) if "Ingress" in types else None,
        egress=tuple(spec.get("egress") or ()) if "Egress" in types else None,
    )


def read_namespace_labels(manifests: Iterable[Manifest]) -> dict[str, Labels]:
    return {each["metadata"]["name"]: each["metadata"].get("labels") or {} for each in manifests}
