"""The endpoint's network policy opens the guard's other ports to those whom the installation names, to nobody else."""

from typing import Any

from tests.unit.controller import worlds

from bartizan.controller.builders import network_policy
from bartizan.controller.settings import Settings
from bartizan.controller.stores import Store
from bartizan.controller.tools import surroundings
from bartizan.policy import names
from bartizan.policy.document import SharedStore


def _rules(port: int, **settings: Any) -> list[dict[str, Any]]:
    """Who may reach a port."""
    policy = network_policy.build(worlds.wish(), surroundings(Settings(guard_image="x", **settings)))
    return [rule for rule in policy["spec"]["ingress"] if {"protocol": "TCP", "port": port} in rule["ports"]]


def _namespace(name: str) -> dict[str, Any]:
    return {"matchLabels": {"kubernetes.io/metadata.name": name}}


def test_t23_metrics_are_shut_until_a_namespace_is_named() -> None:
    assert _rules(names.METRICS_PORT) == []


def test_t23_metrics_are_open_to_the_named_namespace_alone() -> None:
    (rule,) = _rules(names.METRICS_PORT, monitoring_namespace="prometheus")
    assert rule["from"] == [{"namespaceSelector": _namespace("prometheus"), "podSelector": {}}]
    assert rule["ports"] == [{"protocol": "TCP", "port": names.METRICS_PORT}], "and nothing else of the pod's"


def test_t23_metrics_are_open_to_the_labelled_pods_alone() -> None:
    labels = (("app", "prometheus"),)
    (rule,) = _rules(names.METRICS_PORT, monitoring_namespace="monitoring", monitoring_pod_labels=labels)
    selector = {"matchLabels": {"app": "prometheus"}}
    assert rule["from"] == [{"namespaceSelector": _namespace("monitoring"), "podSelector": selector}]


def test_t23_the_status_port_is_open_to_the_operators_pods_alone() -> None:
    (rule,) = _rules(names.STATUS_PORT, namespace="home", monitoring_namespace="prometheus")
    labels = {"app.kubernetes.io/name": "bartizan", "app.kubernetes.io/component": "operator"}
    assert rule["from"] == [{"namespaceSelector": _namespace("home"), "podSelector": {"matchLabels": labels}}]


def _egress(*stores: Store, chosen: str | None = None) -> list[dict[str, Any]]:
    found = surroundings(Settings(guard_image="x", stores=stores))
    wish = worlds.wish(limits={"store": chosen} if chosen else {})
    rules: list[dict[str, Any]] = network_policy.build(wish, found)["spec"]["egress"]
    return rules


def test_the_way_out_to_a_store_is_open_to_who_uses_it_and_to_nothing_else_there() -> None:
    at = SharedStore("192.0.2.7", 6379)
    port = [{"protocol": "TCP", "port": 6379}]
    assert _egress(Store("limits", at)) == []
    assert _egress(chosen="limits") == []
    assert _egress(Store("other", at), chosen="limits") == []
    assert _egress(Store("limits", at), chosen="limits") == [
        {"to": [{"ipBlock": {"cidr": "192.0.2.7/32"}}], "ports": port}
    ]
    (rule,) = _egress(Store("limits", at, "valkey", (("app", "valkey"),)), chosen="limits")
    selector = {"matchLabels": {"app": "valkey"}}
    assert rule == {"to": [{"namespaceSelector": _namespace("valkey"), "podSelector": selector}], "ports": port}


def test_the_first_port_is_for_clients_and_no_rule_names_none() -> None:
    policy = network_policy.build(worlds.wish(), worlds.SURROUNDINGS)
    assert all(rule["ports"] and rule["from"] for rule in policy["spec"]["ingress"])
