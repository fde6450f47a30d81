"""The endpoint's network policy opens the guard's other ports to those whom the installation names, to nobody else."""

from typing import Any

from tests.unit.controller import worlds

from bartizan.controller.builders import network_policy
from bartizan.controller.settings import Settings
from bartizan.controller.tools import surroundings
from bartizan.policy import names


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


def test_the_first_port_is_for_clients_and_no_rule_names_none() -> None:
    policy = network_policy.build(worlds.wish(), worlds.SURROUNDINGS)
    assert all(rule["ports"] and rule["from"] for rule in policy["spec"]["ingress"])
