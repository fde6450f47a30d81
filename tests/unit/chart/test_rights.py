"""The rights that the chart gives are those that the operator uses: no wildcard, none unused, none forbidden."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.unit.chart.rendering import Manifest, find, render

from bartizan.policy.shapes import Refused
from bartizan.policy.template.security import CAPABILITIES
from bartizan.policy.template.volumes import SOURCES

TABLE: list[dict[str, Any]] = yaml.safe_load((Path(__file__).parent / "rights.yaml").read_text())
CONTROLLER = Path(__file__).parents[3] / "operator" / "bartizan" / "controller"
SOURCE = "\n".join(path.read_text() for path in sorted(CONTROLLER.rglob("*.py")))
FORBIDDEN_VERBS = {"*", "impersonate", "escalate", "bind", "deletecollection", "approve", "sign"}
FORBIDDEN_RESOURCES = {"*", "pods/exec", "pods/attach", "pods/portforward", "pods/ephemeralcontainers", "nodes/proxy"}
FORBIDDEN_RESOURCES |= {"serviceaccounts/token", "roles", "rolebindings", "clusterroles", "clusterrolebindings"}
NAMESPACE = "team-a"
PAGES = "(pages)"
"""Stands in the table for a group where a right is none to objects."""
Right = tuple[str, str, str, str]
"""API group, resource, name of the object or nothing, verb."""


def _expected(*places: str) -> set[Right]:
    return {
        (row["group"], row["resource"], row.get("name", ""), verb)
        for row in TABLE
        if row["where"] in places
        for verb in row["verbs"]
    }


def _granted(role: Manifest) -> set[Right]:
    return {
        (group, resource, name, verb)
        for rule in role["rules"]
        for group in rule.get("apiGroups", [PAGES])
        for resource in rule.get("resources", rule.get("nonResourceURLs"))
        for name in rule.get("resourceNames", [""])
        for verb in rule["verbs"]
    }


def _roles(manifests: Iterable[Manifest]) -> list[Manifest]:
    return [item for item in manifests if item["kind"] in ("Role", "ClusterRole")]


def test_with_listed_namespaces_the_cluster_role_holds_no_owned_kind() -> None:
    manifests = render(f"namespaces={{{NAMESPACE}}}")
    assert _granted(find(manifests, "ClusterRole", "bartizan-operator")) == _expected("cluster")
    assert _granted(find(manifests, "Role", "bartizan-operator", NAMESPACE)) == _expected("owned", "listed")
    assert _granted(find(manifests, "Role", "bartizan-operator-root")) == _expected("home")


def test_clients_accounts_may_be_read_and_nothing_else_where_endpoints_may_not_live() -> None:
    manifests = render(f"namespaces={{{NAMESPACE}}}", f"clientNamespaces={{{NAMESPACE},team-b}}")
    assert _granted(find(manifests, "Role", "bartizan-operator-clients", "team-b")) == _expected("clients")
    found = [item["metadata"] for item in manifests if item["metadata"]["name"] == "bartizan-operator-clients"]
    assert {metadata["namespace"] for metadata in found} == {"team-b"}


def test_without_namespaces_secrets_are_written_but_never_read() -> None:
    manifests = render("clientNamespaces={team-b}")
    assert _granted(find(manifests, "ClusterRole", "bartizan-operator")) == _expected("cluster", "owned")
    assert [item["metadata"]["name"] for item in manifests if item["kind"] == "Role"] == ["bartizan-operator-root"]


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row['where']}-{row['resource']}-{row['verbs'][0]}")
def test_every_right_is_used(row: dict[str, Any]) -> None:
    for pattern in row["used"]:
        assert re.search(pattern, SOURCE), f"nothing in the controller matches {pattern}"


@pytest.mark.parametrize("values", [(), (f"namespaces={{{NAMESPACE}}}",)], ids=["everywhere", "listed"])
def test_no_role_holds_a_wildcard_or_a_way_to_more_rights(values: tuple[str, ...]) -> None:
    for role in _roles(render(*values)):
        for group, resource, _, verb in _granted(role):
            assert group != "*"
            assert resource not in FORBIDDEN_RESOURCES
            assert verb not in FORBIDDEN_VERBS


def test_users_may_not_write_a_status() -> None:
    manifests = render()
    for name in ("bartizan-viewer", "bartizan-owner"):
        rights = _granted(find(manifests, "ClusterRole", name))
        assert not [right for right in rights if right[1].endswith("/status")]
    assert {verb for *_, verb in _granted(find(manifests, "ClusterRole", "bartizan-viewer"))} == {
        "get",
        "list",
        "watch",
    }


def test_the_clusters_own_roles_take_the_user_roles_in() -> None:
    manifests = render()
    prefix = "rbac.authorization.k8s.io/aggregate-to-"
    aggregated = {
        name: {label.removeprefix(prefix) for label in find(manifests, "ClusterRole", name)["metadata"]["labels"]}
        & {"view", "edit", "admin"}
        for name in ("bartizan-viewer", "bartizan-owner")
    }
    assert aggregated == {"bartizan-viewer": {"view"}, "bartizan-owner": {"edit", "admin"}}


@pytest.mark.parametrize("values", [(), (f"namespaces={{{NAMESPACE}}}",)], ids=["everywhere", "listed"])
def test_every_writable_owned_kind_has_its_fence(values: tuple[str, ...]) -> None:
    manifests = render(*values)
    fenced = {
        resource
        for item in manifests
        if item["kind"] == "ValidatingAdmissionPolicy"
        for rule in item["spec"]["matchConstraints"]["resourceRules"]
        for resource in rule["resources"]
    }
    writable = {
        resource
        for role in _roles(manifests)
        if role["metadata"]["name"].startswith("bartizan-operator")
        for _, resource, _, verb in _granted(role)
        if verb not in ("get", "list", "watch")
    }
    assert {resource for resource in writable if "/" not in resource} - {"events"} == fenced


def test_the_fence_fails_closed_and_binds_the_operators_account_alone() -> None:
    manifests = render()
    policies = [item for item in manifests if item["kind"] == "ValidatingAdmissionPolicy"]
    bindings = [item for item in manifests if item["kind"] == "ValidatingAdmissionPolicyBinding"]
    assert {item["spec"]["policyName"] for item in bindings} == {item["metadata"]["name"] for item in policies}
    for binding in bindings:
        assert binding["spec"]["validationActions"] == ["Deny"]
        assert "matchResources" not in binding["spec"]
    for policy in policies:
        assert policy["spec"]["failurePolicy"] == "Fail"
        (condition,) = policy["spec"]["matchConditions"]
        account = "system:serviceaccount:bartizan-system:bartizan-operator"
        assert condition["expression"] == f"request.userInfo.username == '{account}'"
        assert all(rule.get("messageExpression") for rule in policy["spec"]["validations"])


def test_the_fence_lets_through_what_the_template_may_ask_for_and_no_more() -> None:
    policy = find(render(), "ValidatingAdmissionPolicy", "bartizan-operator-fence-deployments")
    variables = {item["name"]: item["expression"] for item in policy["spec"]["variables"]}
    assert set(re.findall(r"'(\w+)'", variables["harmlessCapabilities"])) == set(CAPABILITIES)
    allowed = {name for name, judge in SOURCES.items() if not isinstance(judge, Refused)}
    assert set(re.findall(r"has\(volume\.(\w+)\)", variables["isSafe"])) == allowed
