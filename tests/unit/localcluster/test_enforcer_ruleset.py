"""Promises of the enforcer's pure part that need no network to be kept."""

from typing import Any

import pytest
from tests.localcluster.enforcer.ruleset import render

CLOSED = {"metadata": {"namespace": "ml", "name": "closed"}, "spec": {"podSelector": {}}}


def pod(address: str, *, phase: str = "Running", **spec: Any) -> dict[str, Any]:
    metadata = {"namespace": "ml", "name": "pod", "labels": {"app": "model"}}
    return {"metadata": metadata, "spec": spec, "status": {"phase": phase, "podIP": address}}


def table(*pods: dict[str, Any], policy: dict[str, Any] = CLOSED) -> str:
    return render([policy], pods, [{"metadata": {"name": "ml"}}], table="t")


def test_the_order_of_objects_does_not_change_the_text() -> None:
    first, second = pod("10.0.0.1"), pod("10.0.0.2")
    assert table(first, second) == table(second, first)


def test_a_load_replaces_the_whole_table_in_one_transaction() -> None:
    assert table().startswith("table inet t\ndelete table inet t\ntable inet t {")


@pytest.mark.parametrize("phase", ["Pending", "Running", "Unknown"])
def test_a_pod_with_an_address_is_isolated_from_its_first_moment(phase: str) -> None:
    assert "10.0.0.1" in table(pod("10.0.0.1", phase=phase))


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_an_ended_pods_address_is_nobodys(phase: str) -> None:
    assert "10.0.0.1" not in table(pod("10.0.0.1", phase=phase))


def test_a_pod_on_the_nodes_network_is_not_isolated() -> None:
    assert "10.0.0.1" not in table(pod("10.0.0.1", hostNetwork=True))


def test_blocks_of_version_six_are_rendered_as_such() -> None:
    block = {"ipBlock": {"cidr": "2001:db8::/32", "except": ["2001:db8:1::/48"]}}
    policy = CLOSED | {"spec": {"podSelector": {}, "ingress": [{"from": [block]}]}}
    text = table(pod("10.0.0.1"), policy=policy)
    assert "ip6 saddr 2001:db8::/32 ip6 saddr != 2001:db8:1::/48 return" in text


def test_an_unknown_operator_is_an_error_and_not_a_match() -> None:
    selector = {"matchExpressions": [{"key": "app", "operator": "Like", "values": ["m*"]}]}
    with pytest.raises(ValueError, match="no operator 'Like'"):
        table(pod("10.0.0.1"), policy=CLOSED | {"spec": {"podSelector": selector}})
