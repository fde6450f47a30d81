"""Processes from the fork server are those that an interpreter of their own would be, and none outlives its worker."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests import forkserver
from tests.unit.guard.running import eventually

MODULE = "tests.unit.portrait"


def test_what_it_starts_differs_in_nothing_from_what_the_interpreter_starts(tmp_path: Path) -> None:
    command = [sys.executable, "-m", MODULE, "an", "argument"]
    environment = {**os.environ, **forkserver.PATHS, "ONE_MORE": "set"}
    asked = {"cwd": forkserver.ROOT, "stdin": subprocess.DEVNULL, "capture_output": True, "text": True}
    by_itself = subprocess.run(command, env=environment, check=False, **asked)  # type: ignore[call-overload]
    with (tmp_path / "out").open("wb") as out, (tmp_path / "err").open("wb") as err:
        forked = forkserver.start(MODULE, ["an", "argument"], stdout=out.fileno(), stderr=err.fileno(), ONE_MORE="set")
        assert forked.wait(20) == by_itself.returncode == 7
    ours, theirs = json.loads((tmp_path / "out").read_text()), json.loads(by_itself.stdout)
    assert [name for name in theirs if ours[name] != theirs[name]] == []  # and no environment in a report
    assert (tmp_path / "err").read_text() == by_itself.stderr


def test_its_end_is_told_once_it_has_ended_and_not_before(tmp_path: Path) -> None:
    process = _sleeper(tmp_path)
    assert process.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.01)
    process.kill()
    assert process.wait(20) == process.poll() == -signal.SIGKILL
    process.terminate()  # whoever has its number now gets nothing


def test_nothing_that_it_started_outlives_who_asked_for_it(tmp_path: Path) -> None:
    """Not even where that one was killed, as a worker is whose test hangs."""
    script = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from tests.unit import test_forkserver\n"
        "print(test_forkserver._sleeper(Path(sys.argv[1])).pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    environment = {**os.environ, **forkserver.PATHS}
    command = [sys.executable, "-c", script, str(tmp_path)]
    killed = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    eventually(lambda: not Path(f"/proc/{int(killed.stdout)}").exists(), "it is gone")


def _sleeper(folder: Path) -> forkserver.Forked:
    with (folder / "out").open("wb") as out:
        return forkserver.start(
            "tests.modelserver", ["--socket", str(folder / "m")], stdout=out.fileno(), stderr=out.fileno()
        )
