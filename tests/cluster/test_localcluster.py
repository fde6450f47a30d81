"""The local control plane comes up, heals, and leaves nothing, whoever was killed in between."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.localcluster import api, lifecycle, places, processes, record, waiting
from tests.localcluster.api import Cluster
from tests.localcluster.complaints import Complaint
from tests.localcluster.record import Level

pytestmark = pytest.mark.cluster

COMPONENTS = ["etcd", "kube-apiserver", "kube-controller-manager"]
STANDING = "standing"


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A state directory of the test's own; whatever a failed test left in it is ended."""
    monkeypatch.setenv("BARTIZAN_STATE", str(tmp_path / "clusters"))
    monkeypatch.delenv("USE_EXISTING_CLUSTER", raising=False)
    yield tmp_path / "clusters"
    processes.kill(processes.marked(tmp_path))


@pytest.fixture(scope="module")
def standing_state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    directory = tmp_path_factory.mktemp("standing")
    yield directory
    processes.kill(processes.marked(directory))


@pytest.fixture
def standing(state: Path, standing_state: Path, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """One for all tests that leave it as it was; the next one would heal it."""
    monkeypatch.setenv("BARTIZAN_STATE", str(standing_state))
    made = lifecycle.up(STANDING, Level.CONTROL_PLANE)
    return Cluster(made.places.kubeconfig, made.server, made.name)


def test_a_control_plane_answers_and_goes_without_a_trace(state: Path) -> None:
    with api.control_plane() as cluster:
        assert cluster.kubectl("get", "namespace", "default", "-o", "name") == "namespace/default\n"
        assert len(processes.marked(state)) == len(COMPONENTS)
    assert left_in(state) == []


def test_a_second_up_changes_nothing(standing: Cluster) -> None:
    before = pids(standing.name)
    with api.control_plane(standing.name):
        assert pids(standing.name) == before
    assert healths(standing.name) == ["ready"] * 3, "the context found it up, so it has to leave it up"


@pytest.mark.parametrize("victims", [["kube-apiserver"], ["etcd"], COMPONENTS])
def test_up_heals_what_was_killed_and_keeps_the_data(standing: Cluster, victims: list[str]) -> None:
    name, kept = standing.name, "kept-" + "-".join(victims)
    standing.kubectl("create", "namespace", kept)
    before = pids(name)
    for victim in victims:
        os.kill(before[victim], signal.SIGKILL)
    waiting.until(lambda: healths(name).count("down") == len(victims), seconds=10, complaint=lambda: "still up")
    lifecycle.up(name, Level.CONTROL_PLANE)
    assert healths(name) == ["ready"] * 3
    assert standing.kubectl("get", "namespace", kept, "-o", "name") == f"namespace/{kept}\n"
    after = pids(name)
    assert {component for component in COMPONENTS if before[component] != after[component]} == set(victims)


def test_a_component_stops_and_starts_alone(standing: Cluster) -> None:
    standing.stop("kube-controller-manager")
    assert healths(standing.name) == ["ready", "ready", "down"]
    standing.start("kube-controller-manager")
    assert healths(standing.name) == ["ready"] * 3


@pytest.mark.parametrize("moment", ["cluster.json", "processes/etcd.json", "processes/kube-apiserver.json"])
def test_down_cleans_up_after_a_tool_that_was_killed(state: Path, moment: str) -> None:
    kill_tool_at(state / "torn" / moment)
    assert lifecycle.down("torn")
    assert left_in(state) == []


def test_up_finishes_what_a_killed_tool_began(state: Path) -> None:
    kill_tool_at(state / "torn" / "processes/etcd.json")
    lifecycle.up("torn", Level.CONTROL_PLANE)
    assert healths("torn") == ["ready"] * 3
    lifecycle.down("torn")
    assert left_in(state) == []


def test_a_process_without_a_record_is_found_by_its_mark(state: Path) -> None:
    with api.control_plane("lost"):
        (state / "lost" / "processes" / "etcd.json").unlink()
    assert left_in(state) == []


def test_clusters_of_a_killed_test_run_are_swept(state: Path) -> None:
    script = "import os\nfrom tests.localcluster import api\nwith api.control_plane('orphan'): os.kill(os.getpid(), 9)"
    subprocess.run([sys.executable, "-c", script], cwd=places.REPOSITORY, check=False, capture_output=True)
    assert record.names() == ["orphan"]
    lifecycle.sweep()
    assert left_in(state) == []


def test_several_come_up_side_by_side(state: Path) -> None:
    with ThreadPoolExecutor(3) as pool:
        made = list(pool.map(lambda name: lifecycle.up(name, Level.CONTROL_PLANE), ["a", "b", "c"]))
    assert len({port for one in made for port in one.ports.values()}) == sum(len(one.ports) for one in made)
    assert all(healths(one.name) == ["ready"] * 3 for one in made)
    for one in made:
        lifecycle.down(one.name)
    assert left_in(state) == []


def test_an_existing_cluster_is_used_and_left_alone(standing: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USE_EXISTING_CLUSTER", "1")
    monkeypatch.setenv("KUBECONFIG", str(standing.kubeconfig))
    with api.control_plane() as cluster:
        assert (cluster.server, cluster.is_ours) == (standing.server, False)
    assert healths(standing.name) == ["ready"] * 3


def test_a_binary_that_was_brought_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrapper = tmp_path / "my-etcd"
    wrapper.write_text(f'#!/bin/sh\nexec {api.tool("etcd")} "$@" --log-level=error\n')
    wrapper.chmod(0o755)
    monkeypatch.setenv("TEST_ASSET_ETCD", str(wrapper))
    with api.control_plane("mine"):
        command = Path(f"/proc/{pids('mine')['etcd']}/cmdline").read_text().split("\0")
        assert "--log-level=error" in command


def test_a_name_stays_with_its_level(standing: Cluster) -> None:
    with pytest.raises(Complaint, match=f"'{STANDING}' is a control-plane; take it down first"):
        lifecycle.up(standing.name, Level.NODE)


def test_a_component_that_cannot_start_shows_its_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_ASSET_ETCD", "/bin/false")
    with pytest.raises(Complaint, match=r"etcd ended as soon as it was started"):
        lifecycle.up("broken", Level.CONTROL_PLANE)
    lifecycle.down("broken")


def kill_tool_at(file: Path) -> None:
    """Start ``up`` in a process of its own and kill it the moment ``file`` is there."""
    name = file.relative_to(places.clusters()).parts[0]
    tool = subprocess.Popen(
        [sys.executable, "-m", "tests.localcluster", "up", "control-plane", "--name", name],
        cwd=places.REPOSITORY,
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 30
    while not file.exists() and time.monotonic() < deadline:
        pass
    tool.kill()
    tool.wait()


def pids(name: str) -> dict[str, int]:
    folder = places.of(name).processes
    return {component: json.loads((folder / f"{component}.json").read_text())["pid"] for component in COMPONENTS}


def healths(name: str) -> list[str]:
    return [health.partition(" (")[0] for _, health in lifecycle.status(name)]


def left_in(state: Path) -> list[object]:
    files = [file.name for file in state.iterdir() if file.name != ".allocation.lock"]
    return [*processes.marked(state), *files]
