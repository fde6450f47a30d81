"""What an install says and brings, by Helm and by the plain manifest, on a real API server."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cluster.installation import ACCOUNT, NAMESPACE, RELEASE, helm, install, until
from tests.cluster.plane import Plane
from tests.localcluster.api import Cluster

pytestmark = pytest.mark.cluster
INSTALL = Path(__file__).parents[2] / "manifests" / "install.yaml"
FENCED_KINDS = 10
TEAM = "install"


@pytest.fixture(scope="module")
def bare(plane: Plane) -> Iterator[Cluster]:
    with plane.lent(TEAM) as cluster:
        yield cluster


@pytest.fixture
def cluster(bare: Cluster) -> Iterator[Cluster]:
    """Without Bartizan before and after, but for its namespace and what an uninstall leaves."""
    yield bare
    for release in helm(bare, "list", "--short").split():
        helm(bare, "uninstall", release)


def _can(cluster: Cluster, verb: str, resource: str, *who: str) -> bool:
    try:
        return cluster.kubectl("auth", "can-i", verb, resource, "--namespace=default", *who).startswith("yes")
    except subprocess.CalledProcessError as error:
        if error.stdout.startswith("no"):
            return False
        raise


def _operator_pods(cluster: Cluster) -> str:
    return cluster.kubectl("--namespace", NAMESPACE, "get", "pods", "--output=name")


def test_notes_say_what_to_do_next_and_warn_of_rights_everywhere(cluster: Cluster) -> None:
    printed = install(cluster)
    assert "WARNING: `namespaces` is empty" in printed
    assert f"rollout status deployment/{ACCOUNT}" in printed
    assert "break the glass" in printed
    assert "OPEN THE NETWORK" in printed
    printed = helm(cluster, "upgrade", RELEASE, str(_chart()), "--set", f"namespaces={{{TEAM}}}")
    assert "WARNING" not in printed
    assert f"kubectl --namespace {TEAM} get modeldeployments.bartizan.dev" in printed


def _chart() -> Path:
    return INSTALL.parents[1] / "charts" / "bartizan"


def test_a_namespace_that_does_not_exist_fails_the_install(cluster: Cluster) -> None:
    with pytest.raises(subprocess.CalledProcessError) as refused:
        install(cluster, "--set", "namespaces={nowhere}")
    assert 'namespaces "nowhere" not found' in refused.value.stderr


def test_the_fence_compiles_without_a_warning(cluster: Cluster) -> None:
    install(cluster)

    def statuses() -> list[dict[str, object]]:
        items = json.loads(cluster.kubectl("get", "validatingadmissionpolicies", "--output=json"))["items"]
        return [item.get("status", {}) for item in items]

    until(lambda: sum("typeChecking" in status for status in statuses()) == FENCED_KINDS, "the policies are checked")
    assert all(status["typeChecking"] == {} for status in statuses())


def test_the_plain_install_is_accepted_whole_and_its_pod_is_restricted(cluster: Cluster) -> None:
    # An uninstall left it, and two managers of one field would be in each other's way.
    cluster.kubectl("delete", "crd", "modeldeployments.bartizan.dev", "--ignore-not-found")
    cluster.kubectl("apply", "--server-side", "--validate=strict", "--filename", str(INSTALL))
    namespace = json.loads(cluster.kubectl("get", "namespace", NAMESPACE, "--output=json"))
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    until(lambda: ACCOUNT in _operator_pods(cluster), "pod security admits the operator's pod")
    cluster.kubectl("delete", "--filename", str(INSTALL))


def test_the_clusters_view_and_edit_roles_take_modeldeployments_in(cluster: Cluster) -> None:
    install(cluster)
    for role in ("view", "edit"):
        name = f"{role}-test"
        cluster.kubectl("--namespace=default", "create", "rolebinding", name, f"--clusterrole={role}", f"--user={name}")
    resource = "modeldeployments.bartizan.dev"
    until(lambda: _can(cluster, "create", resource, "--as=edit-test"), "edit includes modeldeployments")
    until(lambda: _can(cluster, "list", resource, "--as=view-test"), "view includes modeldeployments")
    assert not _can(cluster, "create", resource, "--as=view-test")
    for verb in ("patch", "update"):
        assert not _can(cluster, verb, resource, "--subresource=status", "--as=edit-test")


def test_another_release_takes_over_what_the_first_one_left(cluster: Cluster) -> None:
    install(cluster)
    helm(cluster, "uninstall", RELEASE)
    with pytest.raises(subprocess.CalledProcessError) as refused:
        helm(cluster, "install", "other", str(_chart()))
    assert "modeldeployments.bartizan.dev" in refused.value.stderr
    helm(cluster, "install", "other", str(_chart()), "--take-ownership")
    helm(cluster, "uninstall", "other")
    cluster.kubectl("delete", "crd", "modeldeployments.bartizan.dev")
