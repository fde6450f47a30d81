"""A process is known by pid and start time, and by its mark; no other is ever touched."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.localcluster import processes, waiting
from tests.localcluster.processes import Identity, Launch

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the local cluster needs /proc")


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Launch]:
    yield Launch(["sleep", "60"], tmp_path / "one.json", tmp_path / "one.log", tmp_path, dict(os.environ))
    processes.kill(processes.marked(tmp_path))


def test_a_started_process_is_found_by_record_and_mark(launch: Launch, tmp_path: Path) -> None:
    identity = processes.start(launch)
    assert processes.read(launch.record) == identity
    assert processes.marked(tmp_path) == [identity]
    assert processes.marked(tmp_path / "other") == []


def test_it_leads_a_session_of_its_own(launch: Launch) -> None:
    assert os.getsid(processes.start(launch).pid) != os.getsid(0)


def test_a_stopped_process_is_read_as_gone(launch: Launch) -> None:
    processes.stop(processes.start(launch), grace_seconds=5)
    assert processes.read(launch.record) is None


def test_one_that_ignores_sigterm_is_killed(launch: Launch) -> None:
    stubborn = ["sh", "-c", "trap '' TERM; touch trapped; while :; do sleep 0.1; done"]
    identity = processes.start(Launch(stubborn, launch.record, launch.log, launch.mark, launch.environment))
    processes.stop(identity, grace_seconds=0.2)
    assert not identity.is_alive()


def test_a_recycled_pid_is_not_taken_for_the_process(launch: Launch, tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "60"]) as bystander:
        recycled = Identity(bystander.pid, 1)
        processes.write(launch.record, recycled)
        assert processes.read(launch.record) is None
        processes.stop(recycled, grace_seconds=0)
        assert bystander.poll() is None
        bystander.kill()


@pytest.mark.parametrize("content", ["", "{", "{}", '{"pid": 1}'])
def test_a_torn_record_is_no_process(tmp_path: Path, content: str) -> None:
    (tmp_path / "torn.json").write_text(content)
    assert processes.read(tmp_path / "torn.json") is None


def test_one_whose_last_threads_are_ending_is_not_gone() -> None:
    """Killed, a program of many threads is a zombie for a moment and still listens on its ports."""
    script = (
        "import ctypes, sys, threading\n"
        "threading.Thread(target=sys.stdin.read).start()\n"
        "print('begun', flush=True)\n"
        "ctypes.PyDLL(None).pthread_exit(None)\n"
    )
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin
        assert process.stdout
        assert process.stdout.readline() == b"begun\n"
        try:
            stat = Path(f"/proc/{process.pid}/stat")
            is_zombie = lambda: stat.read_text().rpartition(")")[2].split()[0] == "Z"  # noqa: E731
            waiting.until(is_zombie, seconds=10, complaint=stat.read_text)
            identity = processes.identify(process.pid)
            assert identity.is_alive()
        finally:
            process.kill()
        waiting.until(lambda: not identity.is_alive(), seconds=10, complaint=stat.read_text)
