"""The local node runs pods on a network that obeys policies, heals, and leaves the machine as it was."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import pytest
from tests.e2e import company
from tests.localcluster import (
    api,
    controlgroups,
    lifecycle,
    locks,
    mounts,
    network,
    places,
    processes,
    record,
    sandbox,
    waiting,
)
from tests.localcluster.api import Cluster
from tests.localcluster.complaints import Complaint
from tests.localcluster.record import Level, Record

pytestmark = [pytest.mark.node, pytest.mark.xdist_group("node")]

NAME = "e2e-tool"
SHARED_SETTINGS = ("vm/overcommit_memory", "kernel/panic", "kernel/keys/root_maxkeys", "net/ipv4/ip_forward")
CLOSED = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: closed, namespace: kube-system}
spec: {podSelector: {}, policyTypes: [Ingress]}
"""


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    directory = tmp_path_factory.mktemp("state")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("BARTIZAN_STATE", str(directory))
        environment.setenv("BARTIZAN_NODE_LOCK", str(directory / ".node.lock"))  # beside the stage's node
        environment.delenv("USE_EXISTING_CLUSTER", raising=False)
        environment.setenv("BARTIZAN_NODE_WAIT_SECONDS", "600")
        yield directory
        lifecycle.down(NAME)


@pytest.fixture
def cluster(state: Path) -> Cluster:
    """One node for all tests here; each of them leaves it whole, or the next one heals it."""
    made = lifecycle.up(NAME, Level.NODE)
    return Cluster(made.places.kubeconfig, made.server, made.name)


def test_pods_run_and_can_be_entered_and_read(cluster: Cluster) -> None:
    assert "CoreDNS" in cluster.kubectl("exec", "-n", "kube-system", "deploy/coredns", "--", "/coredns", "-version")
    assert "CoreDNS" in cluster.kubectl("logs", "-n", "kube-system", "deploy/coredns")


def test_policies_bite_until_the_enforcer_stops(cluster: Cluster) -> None:
    cluster.kubectl("scale", "-n", "kube-system", "deploy/coredns", "--replicas=2")
    cluster.kubectl("rollout", "status", "-n", "kube-system", "deploy/coredns", "--timeout=60s")
    here, there = pod_addresses(cluster)[:2]
    space = network_space_of(here)
    assert reaches(space, there)
    cluster.kubectl("apply", "-f", "-", stdin=CLOSED)
    waiting.until(lambda: not reaches(space, there), seconds=10, complaint=lambda: "the policy does not bite")
    cluster.stop("enforcer")
    assert reaches(space, there), "without the enforcer the network ignores policies"
    cluster.start("enforcer")
    waiting.until(lambda: not reaches(space, there), seconds=10, complaint=lambda: "the policy does not bite again")
    cluster.kubectl("delete", "-f", "-", stdin=CLOSED)
    waiting.until(lambda: reaches(space, there), seconds=10, complaint=lambda: "the policy is gone and still bites")


@pytest.mark.parametrize("victim", ["kubelet", "containerd", "kube-proxy", "enforcer", sandbox.KEEPER])
def test_up_heals_the_node(cluster: Cluster, victim: str) -> None:
    identity = processes.read(places.of(NAME).processes / f"{victim}.json")
    assert identity
    os.kill(identity.pid, signal.SIGKILL)
    waiting.until(lambda: not identity.is_alive(), seconds=10, complaint=lambda: f"{victim} lives")
    lifecycle.up(NAME, Level.NODE)
    assert {health.partition(" (")[0] for _, health in lifecycle.status(NAME)} == {"ready"}
    waiting.until(dns_answers, seconds=30, complaint=lambda: "no DNS through the Service's address")


def test_the_machine_takes_one_node_and_names_its_holder(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BARTIZAN_NODE_WAIT_SECONDS")
    with pytest.raises(Complaint, match=f"'{cluster.name}' .* holds the place"):
        lifecycle.up("second", Level.NODE)
    assert "second" not in record.names()


def test_a_machine_that_lacks_programs_is_told_which(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "containerd, iproute2" in api.lacking(Level.NODE)


def test_up_mends_a_link_that_was_deleted(cluster: Cluster) -> None:
    subprocess.run(["ip", "link", "delete", network.link_name(NAME)], check=True)
    lifecycle.up(NAME, Level.NODE)
    assert cluster.kubectl("get", "nodes", "-o", "name") == "node/node1\n"


def test_the_host_shows_nothing_but_one_link(state: Path) -> None:
    lifecycle.down(NAME)
    with locks.exclusive(company.HOST, waiting_for="another test changes what the host shows"):
        before = Host.seen()
        lifecycle.up(NAME, Level.NODE)
        during = Host.seen()
        lifecycle.down(NAME)
        assert Host.seen() == before
    assert during.links - before.links == {network.link_name(NAME)}
    assert during.others == before.others


def test_down_leaves_nothing(cluster: Cluster, state: Path) -> None:
    assert lifecycle.down(cluster.name)
    assert left_in(state) == []


@pytest.mark.parametrize("component", [sandbox.KEEPER, "containerd", "kubelet"])
def test_down_cleans_up_after_a_tool_that_was_killed(state: Path, component: str) -> None:
    lifecycle.down(NAME)
    tool = subprocess.Popen(
        [sys.executable, "-m", "tests.localcluster", "up", "node", "--name", NAME],
        cwd=places.REPOSITORY,
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    began = places.of(NAME).processes / f"{component}.json"
    deadline = time.monotonic() + 60
    while not began.exists() and time.monotonic() < deadline:
        time.sleep(0.001)
    tool.kill()
    tool.wait()
    assert lifecycle.down(NAME)
    assert left_in(state) == []


def known() -> Record:
    return lifecycle.existing(NAME)


def pod_addresses(cluster: Cluster) -> list[str]:
    query = "jsonpath={.items[*].status.podIP}"
    return cluster.kubectl("get", "pods", "-n", "kube-system", "-l", "k8s-app=kube-dns", "-o", query).split()


def network_space_of(address: str) -> str:
    for space in json.loads(sandbox.run(known(), "ip", "-json", "netns", "list")):
        if f"inet {address}/" in sandbox.run(known(), "ip", "-n", space["name"], "-4", "address"):
            return str(space["name"])
    raise AssertionError(f"no network namespace has {address}")


def reaches(space: str, address: str) -> bool:
    connect = f"import socket; socket.create_connection(({address!r}, 8181), timeout=1)"
    return sandbox.succeeds(known(), "ip", "netns", "exec", space, sys.executable, "-c", connect)


def dns_answers() -> bool:
    ask = "import socket; s = socket.create_connection(('10.96.0.10', 53), timeout=1)"
    return sandbox.succeeds(known(), sys.executable, "-c", ask)


@dataclass(frozen=True)
class Host:
    """What a node could change for others on the machine."""

    links: frozenset[str]
    routes: str
    others: dict[str, object]

    @classmethod
    def seen(cls) -> Self:
        folders = (Path(folder) for folder in ("/opt", "/etc", "/run", "/var/lib", "/var/log"))
        others: dict[str, object] = {
            "firewall": shown("nft", "list", "ruleset"),
            "mounts": len(Path("/proc/self/mountinfo").read_text().splitlines()),
            "settings": [Path("/proc/sys", setting).read_text() for setting in SHARED_SETTINGS],
            "files": {str(folder): sorted(entry.name for entry in folder.iterdir()) for folder in folders},
        }
        links = frozenset(entry.name for entry in Path("/sys/class/net").iterdir())
        return cls(links, shown("ip", "route"), others)


def shown(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def left_in(state: Path) -> list[object]:
    files = [file.name for file in state.iterdir() if file.name not in (".allocation.lock", ".node.lock")]
    links = [network.link_name(NAME)] if network.exists(network.link_name(NAME)) else []
    groups = controlgroups.found(sandbox.group(NAME))
    return [*processes.marked(state), *files, *links, *groups, *mounts.below(state)]
