"""The operator's process under the chart's rights: what it says, waits for, repairs, survives, and how it ends."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cluster import installation, operator_process
from tests.cluster.installation import until
from tests.cluster.operator_process import OperatorProcess, apply, exists, manifest, reason
from tests.cluster.plane import Plane, listed

from bartizan.controller import kinds
from bartizan.controller.nesting import DEEPEST

pytestmark = pytest.mark.cluster

NOWHERE = """
clusters: [{name: c, cluster: {server: "https://127.0.0.1:1"}}]
users: [{name: u, user: {token: none}}]
contexts: [{name: x, context: {cluster: c, user: u}}]
current-context: x
"""
"""A kubeconfig of an API server that nobody runs."""


@pytest.fixture(scope="module")
def cluster(plane: Plane) -> Iterator[Plane]:
    """With the chart installed for namespace `ml`; nobody runs the operator's pod, so that the tests can."""
    with plane.lent("ml", "outside", "late", values=listed("ml")) as cluster:
        cluster.kubectl("--namespace", installation.NAMESPACE, "delete", "deployment", installation.ACCOUNT)
        yield cluster


@pytest.fixture
def config(cluster: Plane, tmp_path: Path) -> Path:
    return operator_process.kubeconfig(cluster, tmp_path)


@pytest.fixture
def operator(config: Path, tmp_path: Path) -> Iterator[OperatorProcess]:
    """A ready one."""
    with operator_process.run(config, tmp_path, {"BARTIZAN_NAMESPACES": "ml"}) as operator:
        operator.wait_until_ready()
        yield operator


def test_it_makes_what_an_endpoint_owns_and_ends_at_sigterm(cluster: Plane, operator: OperatorProcess) -> None:
    apply(cluster, "first")
    for kind in (kinds.NETWORK_POLICY, kinds.DEPLOYMENT, kinds.SERVICE, kinds.SERVICE_ACCOUNT, kinds.SECRET):
        name = "first.chat" if kind is kinds.SECRET else "first"
        until(lambda kind=kind, name=name: exists(cluster, kind, name), f"{kind.kind} {name}")  # type: ignore[misc]
    until(lambda: reason(cluster, "first", "Accepted") == "SpecAccepted", "Accepted")
    assert operator.stop() == 0
    assert [line["message"] for line in operator.lines()[-2:]] == ["stopping", "stopped"]


def test_it_repairs_at_once_what_somebody_deletes(cluster: Plane, operator: OperatorProcess) -> None:
    apply(cluster, "repaired")
    until(lambda: exists(cluster, kinds.DEPLOYMENT, "repaired"), "the workload")
    for kind in (kinds.SERVICE, kinds.DEPLOYMENT):
        cluster.kubectl("-n", "ml", "delete", kind.plural, "repaired")
        until(lambda kind=kind: exists(cluster, kind, "repaired"), f"{kind.kind} is back", seconds=3)  # type: ignore[misc]


def test_what_vanished_while_it_was_down_is_back_after_its_start(cluster: Plane, config: Path, tmp_path: Path) -> None:
    settings = {"BARTIZAN_NAMESPACES": "ml"}
    with operator_process.run(config, tmp_path, settings) as operator:
        operator.wait_until_ready()
        apply(cluster, "missed")
        until(lambda: exists(cluster, kinds.DEPLOYMENT, "missed"), "the workload")
    cluster.kubectl("-n", "ml", "delete", "service", "missed")
    with operator_process.run(config, tmp_path, settings):
        until(lambda: exists(cluster, kinds.SERVICE, "missed"), "the Service is back")


def test_an_endpoint_elsewhere_is_told_that_its_namespace_is_not_managed(
    cluster: Plane, config: Path, tmp_path: Path
) -> None:
    apply(cluster, "stranger", "outside")
    with operator_process.run(config, tmp_path, {"BARTIZAN_NAMESPACES": "ml"}):
        until(lambda: reason(cluster, "stranger", "Accepted", "outside") == "NamespaceNotManaged", "the condition")
    assert not exists(cluster, kinds.DEPLOYMENT, "stranger", "outside")


def test_a_namespace_without_rights_is_named_and_the_others_are_served(
    cluster: Plane, config: Path, tmp_path: Path
) -> None:
    settings = {"BARTIZAN_NAMESPACES": "ml,late", "BARTIZAN_RESYNC_SECONDS": "2"}
    with operator_process.run(config, tmp_path, settings) as operator:
        operator.wait_for("permission missing", namespace="late", subject="deployments")
        operator.wait_for("watching", namespaces="ml")
        apply(cluster, "served")
        until(lambda: exists(cluster, kinds.DEPLOYMENT, "served"), "the workload in ml")
        assert not operator.said("watching", namespaces="late")
        operator.wait_until_ready()
        assert operator.metric("bartizan_operator_lacks") > 0
        apply(cluster, "waiting", "late")
        until(lambda: reason(cluster, "waiting", "Accepted", "late") == "NamespaceWithoutRights", "told", seconds=60)
        role = ["-n", "late", "create", "rolebinding", "late", f"--serviceaccount={installation.NAMESPACE}:"]
        role[-1] += installation.ACCOUNT
        cluster.kubectl(*role, "--clusterrole=cluster-admin")
        operator.wait_for("no longer so", seconds=60, was="permission missing")
        operator.wait_for("watching", seconds=60, namespaces="late")
        until(lambda: reason(cluster, "waiting", "Accepted", "late") == "SpecAccepted", "it is taken up", seconds=60)
        assert operator.metric("bartizan_operator_lacks") == 0
        assert operator.process.poll() is None


@pytest.mark.parametrize("place", ["spec", "metadata"])
def test_t79_an_object_nested_as_deeply_as_can_be_is_refused_and_hides_no_other(
    cluster: Plane, config: Path, tmp_path: Path, place: str
) -> None:
    settings = {"BARTIZAN_NAMESPACES": "ml", "BARTIZAN_RESYNC_SECONDS": "2"}
    with operator_process.run(config, tmp_path, settings) as operator:
        operator.wait_until_ready()
        bury(cluster, f"deep-{place}", place)
        until(lambda: accepted_of_deep(cluster, f"deep-{place}") == "SpecRefused", "it is refused")
        resyncs = operator.metric("bartizan_operator_resyncs_total")
        apply(cluster, f"beside-{place}")
        until(lambda: exists(cluster, kinds.DEPLOYMENT, f"beside-{place}"), "the other one's workload", seconds=2)
        operator.wait_until(
            lambda: operator.metric("bartizan_operator_resyncs_total") > resyncs + 1, "two resyncs", seconds=20
        )
        assert not operator.said("resync missed objects")
        assert not operator.said("watch is deaf")
    with operator_process.run(config, tmp_path, settings) as successor:
        successor.wait_until_ready()
        apply(cluster, f"later-{place}")
        until(lambda: exists(cluster, kinds.DEPLOYMENT, f"later-{place}"), "a later one's workload")


def accepted_of_deep(cluster: Plane, name: str) -> str:
    """The condition's reason, by kubectl: the object itself is nested too deeply to be read here."""
    path = 'jsonpath={.status.conditions[?(@.type=="Accepted")].reason}'
    return cluster.kubectl("-n", "ml", "get", "mdep", name, "-o", path)


def bury(cluster: Plane, name: str, place: str) -> None:
    """A ModelDeployment with as many levels as the API server takes, in a part of the template that nobody knows."""
    body = manifest(name)
    body["spec"]["template"].setdefault(place, {})["x"] = "DEEP"
    levels = DEEPEST - 10
    text = json.dumps(body).replace('"DEEP"', '{"a":' * levels + "1" + "}" * levels)
    cluster.kubectl(
        "create", "--raw", "/apis/bartizan.dev/v1alpha1/namespaces/ml/modeldeployments", "-f", "-", stdin=text
    )


def test_an_api_server_that_is_away_is_waited_for_at_the_start_and_later(
    cluster: Plane, operator: OperatorProcess, config: Path, tmp_path: Path
) -> None:
    apply(cluster, "patient")
    until(lambda: exists(cluster, kinds.DEPLOYMENT, "patient"), "the workload")
    cluster.stop("kube-apiserver")
    try:
        with operator_process.run(config, tmp_path, {"BARTIZAN_NAMESPACES": "ml"}) as newcomer:
            for waiting in (operator, newcomer):
                waiting.wait_for("api server unreachable")
                assert waiting.ask("health", "/livez") == (200, "ok\n"), "a restart would change nothing"
                assert waiting.ask("health", "/readyz")[0] == 503
            cluster.start("kube-apiserver")
            newcomer.wait_until_ready()
    finally:
        cluster.start("kube-apiserver")
    operator.wait_for("no longer so", was="api server unreachable")
    operator.wait_until_ready()
    cluster.kubectl("-n", "ml", "delete", "service", "patient")
    until(lambda: exists(cluster, kinds.SERVICE, "patient"), "the Service is back", seconds=10)


def test_sigterm_ends_it_while_it_still_waits(tmp_path: Path) -> None:
    nowhere = tmp_path / "kubeconfig"
    nowhere.write_text(NOWHERE)
    with operator_process.run(nowhere, tmp_path) as operator:
        operator.wait_for("api server unreachable")
        assert operator.stop() == 0


def test_a_steady_state_is_not_written_to(cluster: Plane, config: Path, tmp_path: Path) -> None:
    settings = {"BARTIZAN_NAMESPACES": "ml", "BARTIZAN_RESYNC_SECONDS": "2"}
    with operator_process.run(config, tmp_path, settings) as operator:
        operator.wait_until_ready()
        apply(cluster, "steady")
        until(lambda: reason(cluster, "steady", "Ready") != "", "a status")
        before = -1.0
        resyncs = operator.metric("bartizan_operator_resyncs_total")

        def is_steady() -> bool:
            nonlocal before, resyncs
            if operator.metric("bartizan_operator_resyncs_total") < resyncs + 2:
                return False
            now = sum(written(operator, kind) for kind in ("Service", "Deployment", "NetworkPolicy", "ModelDeployment"))
            is_same, before = now == before, now
            resyncs = operator.metric("bartizan_operator_resyncs_total")
            return is_same

        until(is_steady, "two resyncs without a write", seconds=60)


def written(operator: OperatorProcess, kind: str) -> float:
    _, text = operator.ask("metrics", "/metrics")
    lines = [line for line in text.splitlines() if line.startswith("bartizan_operator_api_writes_total{")]
    return sum(float(line.rpartition(" ")[2]) for line in lines if f'kind="{kind}"' in line)


def test_neither_keys_nor_root_are_ever_logged(cluster: Plane, operator: OperatorProcess) -> None:
    apply(cluster, "quiet")
    until(lambda: exists(cluster, kinds.SECRET, "quiet.chat"), "the client's Secret")
    operator.stop()
    log = operator.log.read_text()
    root = json.loads(cluster.kubectl("-n", installation.NAMESPACE, "get", "secret", "bartizan-root", "-o", "json"))
    client = json.loads(cluster.kubectl("-n", "ml", "get", "secret", "quiet.chat", "-o", "json"))
    for encoded in [*root["data"].values(), client["data"]["api_key"]]:
        assert encoded not in log
        assert base64.b64decode(encoded).decode("latin-1") not in log


def test_a_wrong_setting_ends_it_with_its_name(tmp_path: Path) -> None:
    with operator_process.run(tmp_path / "none", tmp_path, {"BARTIZAN_WORKERS": "many"}) as operator:
        assert operator.process.wait(timeout=20) == 2
        assert operator.said("settings wrong", error="BARTIZAN_WORKERS")


def test_no_credentials_end_it_with_the_remedy(tmp_path: Path) -> None:
    with operator_process.run(tmp_path / "none", tmp_path) as operator:
        assert operator.process.wait(timeout=20) == 1
        (line,) = operator.said("no credentials for an api server")
        assert "KUBECONFIG" in line["remedy"]


def test_rights_that_are_lost_while_it_runs_are_said_and_their_return_heals(
    cluster: Plane, operator: OperatorProcess
) -> None:
    apply(cluster, "bereft")
    until(lambda: exists(cluster, kinds.DEPLOYMENT, "bereft"), "the workload")
    binding = cluster.kubectl("-n", "ml", "get", "rolebinding", installation.ACCOUNT, "-o", "json")
    cluster.kubectl("-n", "ml", "delete", "rolebinding", installation.ACCOUNT)
    try:
        cluster.kubectl("-n", "ml", "annotate", "mdep", "bereft", "look=again")
        until(lambda: reason(cluster, "bereft", "Accepted") == "NamespaceWithoutRights", "it is said", seconds=60)
        assert operator.ask("health", "/livez") == (200, "ok\n"), "a restart would change nothing"
        cluster.kubectl("-n", "ml", "delete", "service", "bereft")
    finally:
        cluster.kubectl("create", "-f", "-", stdin=_anew(binding))
    until(lambda: exists(cluster, kinds.SERVICE, "bereft"), "what was missed is repaired", seconds=90)
    until(lambda: reason(cluster, "bereft", "Accepted") == "SpecAccepted", "it is said, too", seconds=90)
    assert operator.process.poll() is None


def _anew(manifest: str) -> str:
    item = json.loads(manifest)
    item["metadata"] = {name: item["metadata"][name] for name in ("name", "namespace", "labels", "annotations")}
    return json.dumps(item)
