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
from tests.localcluster.complaints import Complaint
from tests.localcluster.record import Level

pytestmark = pytest.mark.cluster

COMPONENTS = ["etcd", "kube-apiserver", "kube-controller-manager"]


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A state directory of the test's own; whatever a failed test left in it is ended."""
    monkeypatch.setenv("BARTIZAN_STATE", str(tmp_path / "clusters"))
    monkeypatch.delenv("USE_EXISTING_CLUSTER", raising=False)
    yield tmp_path / "clusters"
    processes.kill(processes.marked(tmp_path))


def test_a_control_plane_answers_and_goes_without_a_trace(state: Path) -> None:
    with api.control_plane() as cluster:
        assert cluster.kubectl("get", "namespace", "default", "-o", "name") == "namespace/default\n"
        assert len(processes.marked(state)) == len(COMPONENTS)
    assert left_in(state) == []


def test_a_second_up_changes_nothing() -> None:
    with api.control_plane("twice"):
        before = pids("twice")
        with api.control_plane("twice"):
            assert pids("twice") == before
        assert healths("twice") == ["ready"] * 3, "the inner context found it up, so it has to leave it up"


@pytest.mark.parametrize("victims", [["kube-apiserver"], ["etcd"], COMPONENTS])
def test_up_heals_what_was_killed_and_keeps_the_data(victims: list[str]) -> None:
    with api.control_plane("hurt") as cluster:
        cluster.kubectl("create", "namespace", "kept")
        before = pids("hurt")
        for victim in victims:
            os.kill(before[victim], signal.SIGKILL)
        waiting.until(lambda: healths("hurt").count("down") == len(victims), seconds=10, complaint=lambda: "still up")
        lifecycle.up("hurt", Level.CONTROL_PLANE)
        assert healths("hurt") == ["ready"] * 3
        assert cluster.kubectl("get", "namespace", "kept", "-o", "name") == "namespace/kept\n"
        after = pids("hurt")
        assert {name for name in COMPONENTS if before[name] != after[name]} == set(victims)


def test_a_component_stops_and_starts_alone() -> None:
    with api.control_plane("one") as cluster:
        cluster.stop("kube-controller-manager")
        assert healths("one") == ["ready", "ready", "down"]
        cluster.start("kube-controller-manager")
        assert healths("one") == ["ready"] * 3


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


def test_an_existing_cluster_is_used_and_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    with api.control_plane("brought") as own:
        monkeypatch.setenv("USE_EXISTING_CLUSTER", "1")
        monkeypatch.setenv("KUBECONFIG", str(own.kubeconfig))
        with api.control_plane() as cluster:
            assert (cluster.server, cluster.is_ours) == (own.server, False)
        assert healths("brought") == ["ready"] * 3


def test_a_binary_that_was_brought_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrapper = tmp_path / "my-etcd"
    wrapper.write_text(f'#!/bin/sh\nexec {api.tool("etcd")} "$@" --log-level=error\n')
    wrapper.chmod(0o755)
    monkeypatch.setenv("TEST_ASSET_ETCD", str(wrapper))
    with api.control_plane("mine"):
        command = Path(f"/proc/{pids('mine')['etcd']}/cmdline").read_text().split("\0")
        assert "--log-level=error" in command


def test_a_name_stays_with_its_level() -> None:
    with (
        api.control_plane("plain") as cluster,
        pytest.raises(Complaint, match="'plain' is a control-plane; take it down first"),
    ):
        lifecycle.up(cluster.name, Level.NODE)


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
