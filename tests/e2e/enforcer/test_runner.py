"""The enforcer as a process, beside a real API server. Its addresses are reserved for examples: nobody is cut off."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.e2e import company
from tests.localcluster import locks
from tests.localcluster.api import Cluster, control_plane

pytestmark = [pytest.mark.cluster, pytest.mark.node]

ROOT = Path(__file__).parents[3]
TABLE = f"bartizan_test_{os.getpid()}"
DEADLINE_SECONDS = 30
ADDRESS = "203.0.113.7"
CLOSED = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "NetworkPolicy",
    "metadata": {"name": "closed"},
    "spec": {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]},
}
POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "model"},
    "spec": {"containers": [{"name": "model", "image": "none"}]},
}


def table() -> str:
    """What the kernel holds; empty when there is no such table."""
    listed = ["nft", "list", "table", "inet", TABLE]
    return subprocess.run(listed, capture_output=True, text=True, check=False).stdout


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not holds():
        assert time.monotonic() < deadline, f"not in time; the table is:\n{table()}"
        time.sleep(0.05)


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with control_plane() as made:
        until(lambda: "default" in made.kubectl("get", "serviceaccounts"))
        yield made


@pytest.fixture
def enforcer(cluster: Cluster) -> Iterator[subprocess.Popen[bytes]]:
    with locks.exclusive(company.HOST, waiting_for="another test looks at what the host shows"):
        command = [sys.executable, "-m", "tests.localcluster.enforcer"]
        command += ["--kubeconfig", str(cluster.kubeconfig), "--table", TABLE]
        process = subprocess.Popen(command, cwd=ROOT)
        try:
            until(lambda: bool(table()))
            yield process
        finally:
            process.terminate()
            process.wait(DEADLINE_SECONDS)


def test_the_table_follows_the_cluster_and_goes_at_the_end(cluster: Cluster, enforcer: subprocess.Popen[bytes]) -> None:
    cluster.kubectl("create", "-f", "-", stdin=json.dumps(CLOSED))
    cluster.kubectl("create", "-f", "-", stdin=json.dumps(POD))
    status = json.dumps({"status": {"phase": "Running", "podIP": ADDRESS, "podIPs": [{"ip": ADDRESS}]}})
    cluster.kubectl("patch", "pod", "model", "--subresource=status", "--patch", status)
    until(lambda: table().count(f"{ADDRESS} : jump") == 2)

    cluster.stop("kube-apiserver")
    cluster.start("kube-apiserver")
    assert f"{ADDRESS} : jump" in table(), "policies must hold while the API server is away"

    cluster.kubectl("delete", "networkpolicy", "closed")
    until(lambda: ADDRESS not in table())

    enforcer.terminate()
    assert enforcer.wait(DEADLINE_SECONDS) == 0
    assert table() == ""
