"""Finds and kills processes of pods, from the node: what a kernel short of memory does to them."""

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from demo.stage import Stage

from bartizan.controller.builders import hooks

GUARD = "bartizan guard"
MODEL = "modelserver"
LAUNCHER = f"{hooks.LAUNCHER} "
"""Starts the model, ends with it, and has its command in its own."""


def kill(stage: Stage, pod: dict[str, Any], program: str) -> None:
    """SIGKILL to the pod's process whose command line holds `program`."""
    os.kill(pid_of(stage, pod, program), signal.SIGKILL)


def pid_of(stage: Stage, pod: dict[str, Any], program: str) -> int:
    if not stage.cluster.is_ours:
        pytest.skip("the nodes of a cluster that you brought are not ours to kill processes on")
    commands = _processes(pod["metadata"]["uid"])
    found = [pid for pid, command in commands if program in command and not command.startswith(LAUNCHER)]
    assert len(found) == 1, f"{pod['metadata']['name']} runs {program!r} {len(found)} times"
    return found[0]


def resident_kilobytes(pid: int) -> int:
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1])


def _processes(pod_uid: str) -> Iterator[tuple[int, str]]:
    """Processes of the pod with their command lines; the node's are seen from the host, too."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):  # it may end while it is looked at
                if f"pod{pod_uid}" in (entry / "cgroup").read_text():
                    yield int(entry.name), (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
