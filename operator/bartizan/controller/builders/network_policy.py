"""NetworkPolicy: closed both ways; in to the guard's port from declared clients, out to nothing that is not named."""

import ipaddress
from collections.abc import Mapping
from typing import Any

from bartizan.controller.builders.surroundings import Surroundings, pod_selector
from bartizan.policy import addresses, names
from bartizan.policy.identity import Identity
from bartizan.policy.model import AccessFrom, EgressRule, Manifest, ModelDeployment, NamespaceScope, Spec

NAMESPACE_NAME_LABEL = "kubernetes.io/metadata.name"
"""Set by the API server itself on every namespace; a tenant cannot move it."""


def build(deployment: ModelDeployment, surroundings: Surroundings, *, name: str | None = None) -> dict[str, Any]:
    """The endpoint's policy; it has no owner, so that no cascade takes it away before the pods have gone."""
    return _policy(
        deployment.identity,
        name=name,
        ingress=_ingress(deployment.spec, surroundings),
        egress=[
            *_egress(deployment.spec.egress, surroundings),
            *_store_rules(deployment.spec.limits.store, surroundings),
        ],
    )


def build_closed(identity: Identity, *, name: str | None = None) -> dict[str, Any]:
    """For an endpoint whose spec was never accepted: pods with its labels reach nothing and are reached by nothing."""
    return _policy(identity, name=name, ingress=[], egress=[])


def _policy(
    identity: Identity,
    *,
    name: str | None,
    ingress: list[dict[str, Any]],
    egress: list[dict[str, Any]],
) -> dict[str, Any]:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {
            "name": name or identity.name,
            "namespace": identity.namespace,
            "labels": names.managed_labels(identity.name, identity.uid),
            "finalizers": [names.FINALIZER],
        },
        "spec": {
            "podSelector": {"matchLabels": pod_selector(identity)},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": ingress,
            "egress": egress,
        },
    }


def _ingress(spec: Spec, surroundings: Surroundings) -> list[dict[str, Any]]:
    port = names.guard_port(has_tls=spec.serving.has_tls)
    rules: list[dict[str, Any]] = [
        {"from": _peers(spec.access_from), "ports": [_tcp(port)]},
        _status_rule(surroundings),
    ]
    if surroundings.monitoring_namespace:
        scraper = _pods(surroundings.monitoring_namespace, surroundings.monitoring_pod_labels)
        rules.append({"from": [scraper], "ports": [_tcp(names.METRICS_PORT)]})
    return rules


def _peers(access: AccessFrom) -> list[dict[str, Any]]:
    by_scope: dict[NamespaceScope, dict[str, Any]] = {
        NamespaceScope.SAME: {"podSelector": {}},
        NamespaceScope.SELECTOR: {"namespaceSelector": access.selector},
        NamespaceScope.ALL: {"namespaceSelector": {}},
    }
    return [by_scope[access.namespaces], *({"ipBlock": {"cidr": block}} for block in access.ip_blocks)]


def _status_rule(surroundings: Surroundings) -> dict[str, Any]:
    operator = _pods(surroundings.operator_namespace, surroundings.operator_pod_labels)
    return {"from": [operator], "ports": [_tcp(names.STATUS_PORT)]}


def _egress(rules: tuple[EgressRule, ...], surroundings: Surroundings) -> list[dict[str, Any]]:
    if not rules:
        return []
    named = [{"to": [_peer(peer) for peer in rule.to], "ports": [dict(port) for port in rule.ports]} for rule in rules]
    return [*named, _dns_rule(surroundings)]


def _store_rules(name: str | None, surroundings: Surroundings) -> list[dict[str, Any]]:
    """To the store and its one port. The model's processes share the way, not the password."""
    store = surroundings.stores.get(name or "")
    if store is None:
        return []
    peer = _pods(store.namespace, dict(store.labels)) if store.namespace else {"ipBlock": _only(store.place.address)}
    return [{"to": [peer], "ports": [_tcp(store.place.port)]}]


def _only(address: str) -> dict[str, Any]:
    return {"cidr": str(ipaddress.ip_network(address))}


def _peer(peer: Manifest) -> dict[str, Any]:
    if "ipBlock" not in peer:
        return dict(peer)
    block = peer["ipBlock"]
    excepted = [*block.get("except", ()), *addresses.exceptions_within(block["cidr"])]
    return {"ipBlock": {"cidr": block["cidr"], **({"except": sorted(set(excepted))} if excepted else {})}}


def _dns_rule(surroundings: Surroundings) -> dict[str, Any]:
    """Without DNS no named egress is of use; without named egress DNS would only carry data out."""
    return {
        "to": [_pods(surroundings.dns_namespace, surroundings.dns_pod_labels)],
        "ports": [{"protocol": "UDP", "port": 53}, _tcp(53)],
    }


def _pods(namespace: str, labels: Mapping[str, str]) -> dict[str, Any]:
    return {
        "namespaceSelector": {"matchLabels": {NAMESPACE_NAME_LABEL: namespace}},
        "podSelector": {"matchLabels": dict(labels)} if labels else {},
    }


def _tcp(port: int) -> dict[str, Any]:
    return {"protocol": "TCP", "port": port}
