"""The node's namespaces: its own mounts, network and processes, all of which end with one process."""

import json
import os
import subprocess
import sys
from contextlib import nullcontext, suppress
from pathlib import Path

from tests.localcluster import controlgroups, locks, network, places, processes, progress, waiting
from tests.localcluster.complaints import Complaint
from tests.localcluster.components import Surroundings
from tests.localcluster.processes import Launch
from tests.localcluster.record import Record

KEEPER = "keeper"


def group(cluster: str) -> str:
    """The control group below which the node's pods live."""
    return f"bartizan-{cluster}"


def ensure(record: Record) -> Surroundings:
    """The node's namespaces with a link to the host; made anew when they died."""
    if not Surroundings(record.places).process(KEEPER):
        with progress.step(f"{record.name}: namespaces of the node"):
            _make(record)
    surroundings = current(record)
    controlgroups.create(group(record.name))
    network.ensure_link(record, surroundings.prefix)
    return surroundings


def current(record: Record) -> Surroundings:
    """The way into the node's namespaces, or none when they died; then nothing runs in them either."""
    keeper = Surroundings(record.places).process(KEEPER)
    if not keeper:
        return Surroundings(record.places, ("false",))
    spaces = Path(f"/proc/{keeper.pid}/ns")
    flags = [f"--{kind}={spaces / file}" for kind, file in _SPACES.items()]
    return Surroundings(record.places, ("nsenter", *flags, "--"))


_SPACES = {"mount": "mnt", "net": "net", "uts": "uts", "ipc": "ipc", "pid": "pid_for_children"}
"""The record names ``unshare``, which stands outside of the process namespace that it made for its child."""


def _make(record: Record) -> None:
    processes.kill(processes.marked(record.places.directory))
    controlgroups.remove(group(record.name))  # a kubelet starts slowly among those of dead containers
    held = _hold_machine(record)
    ready = record.places.sockets / "keeper.ready"
    ready.unlink(missing_ok=True)
    try:
        keeper = processes.start(
            Launch(
                arguments=[
                    *("unshare", "--mount", "--net", "--uts", "--ipc", "--pid", "--fork"),
                    *("--mount-proc", "--kill-child=KILL", "--"),
                    *(sys.executable, "-m", "tests.localcluster.keeper"),
                    *(str(record.places.data), str(ready)),
                ],
                record=record.places.processes / f"{KEEPER}.json",
                log=record.places.log(KEEPER),
                mark=record.places.directory,
                environment={**os.environ, "PYTHONPATH": str(places.REPOSITORY)},
                inherited=(held,),
            )
        )
    finally:
        os.close(held)
    waiting.until(lambda: ready.exists() or not keeper.is_alive(), seconds=20, complaint=lambda: _log(record))
    if not keeper.is_alive():
        raise Complaint(_log(record))


def _log(record: Record) -> str:
    return f"the node's namespaces were not made:\n{record.places.log(KEEPER).read_text()[-1500:]}"


def _hold_machine(record: Record) -> int:
    """The machine's one place for a node; the keeper inherits it, so it is free again when the keeper dies."""
    held = locks.try_hold(places.node_lock())
    if held is None:
        raise Complaint(_taken())
    os.ftruncate(held, 0)
    os.pwrite(held, json.dumps({"directory": str(record.places.directory)}).encode(), 0)
    return held


def await_place() -> None:
    """Complain, or wait as long as ``BARTIZAN_NODE_WAIT_SECONDS`` says, while another node holds the machine."""
    patience = float(os.environ.get("BARTIZAN_NODE_WAIT_SECONDS") or 0)
    if not _is_place_free():
        with progress.step("waiting for another node to go down") if patience else nullcontext():
            waiting.until(_is_place_free, seconds=patience, complaint=_taken)


def _is_place_free() -> bool:
    held = locks.try_hold(places.node_lock())
    if held is not None:
        os.close(held)
    return held is not None


def _taken() -> str:
    directory = places.clusters() / "?"
    with suppress(OSError, ValueError, KeyError):
        directory = Path(json.loads(places.node_lock().read_text())["directory"])
    state = "" if directory.parent == places.clusters() else f"BARTIZAN_STATE={directory.parent} "
    return (
        f"one node at a time fits a machine, and {directory.name!r} ({directory}) holds the place; "
        f"take it down with: {state}python -m tests.localcluster down --name {directory.name}"
    )


def run(record: Record, *command: str) -> str:
    """Run a command to its end inside of the node's namespaces."""
    done = subprocess.run([*current(record).prefix, *command], capture_output=True, text=True, check=False, cwd="/")
    if done.returncode:
        raise Complaint(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def succeeds(record: Record, *command: str) -> bool:
    try:
        run(record, *command)
    except Complaint:
        return False
    return True


def remove_traces(cluster: str) -> None:
    """What outlives the namespaces: the host's end of the link, control groups."""
    network.remove_link(cluster)
    controlgroups.remove(group(cluster))
