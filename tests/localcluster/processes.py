"""Detached processes that are found again: by a record of pid and start time, and by a mark in their environment."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.localcluster import waiting

MARK = "BARTIZAN_LOCAL_CLUSTER"
"""This environment variable holds the state directory; it survives a tool that dies before it wrote the record."""


_offspring: list["subprocess.Popen[bytes]"] = []
"""Kept so that ended ones are reaped; they are meant to outlive this process."""


@dataclass(frozen=True)
class Identity:
    """A process that no recycled pid can be taken for."""

    pid: int
    started: int
    """In clock ticks since boot, as the kernel counts."""

    def is_alive(self) -> bool:
        return started_at(self.pid) == self.started

    def kill(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            if self.is_alive():
                os.kill(self.pid, number)


@dataclass(frozen=True)
class Launch:
    """What to run and where its traces go."""

    arguments: Sequence[str]
    record: Path
    log: Path
    mark: Path
    environment: Mapping[str, str]
    inherited: tuple[int, ...] = ()
    """File descriptors that the process keeps open."""
    enters: bool = False
    """The first process (nsenter) only forks the real one into other namespaces."""


def start(launch: Launch) -> Identity:
    with launch.log.open("ab") as log:
        process = subprocess.Popen(
            launch.arguments,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            pass_fds=launch.inherited,
            cwd=launch.mark,
            env={**launch.environment, MARK: str(launch.mark)},
        )
    identity = identify(process.pid)
    if launch.enters:
        identity = _entered(process) or identity
    write(launch.record, identity)
    _offspring.append(process)
    return identity


def _entered(process: subprocess.Popen[bytes]) -> Identity | None:
    """The child that ``nsenter`` forked; None when it ended at once."""
    waiting.holds_within(5, lambda: process.poll() is not None or bool(children(process.pid)))
    for pid in children(process.pid):
        return identify(pid)
    return None


def identify(pid: int) -> Identity:
    return Identity(pid, started_at(pid) or 0)


def write(record: Path, identity: Identity) -> None:
    fresh = record.with_suffix(".new")
    fresh.write_text(json.dumps({"pid": identity.pid, "started": identity.started}))
    fresh.replace(record)


def read(record: Path) -> Identity | None:
    """The process of the record while it lives; None afterwards."""
    try:
        held = json.loads(record.read_text())
        identity = Identity(held["pid"], held["started"])
    except (FileNotFoundError, ValueError, KeyError):
        return None
    return identity if identity.is_alive() else None


def started_at(pid: int) -> int | None:
    """None for a process that is gone or a zombie; one whose last threads are ending holds its ports still."""
    fields = _stat(pid)
    is_gone = not fields or (fields[0] in "ZX" and int(fields[17]) <= 1)
    return None if is_gone else int(fields[19])


def children(pid: int) -> list[int]:
    return [other for other in _pids() if (fields := _stat(other)) and int(fields[1]) == pid]


def marked(directory: Path) -> list[Identity]:
    """All processes that a cluster in or below ``directory`` started, recorded or not."""
    found = []
    for pid in _pids():
        mark = _environment(pid).get(MARK)
        if mark and Path(mark).is_relative_to(directory) and pid != os.getpid():
            found.append(identify(pid))
    return found


def marked_as(directory: Path, arguments: Sequence[str]) -> list[Identity]:
    """Those of the marked that run this very command."""
    return [identity for identity in marked(directory) if _command(identity.pid) == list(arguments)]


def stop(identity: Identity, *, grace_seconds: float) -> None:
    """SIGTERM, and SIGKILL when it is alive after ``grace_seconds``."""
    identity.kill(signal.SIGTERM)
    if not waiting.holds_within(grace_seconds, lambda: _all_gone([identity])):
        kill([identity])


def kill(identities: Sequence[Identity]) -> None:
    for identity in identities:
        identity.kill(signal.SIGKILL)
    waiting.until(
        lambda: _all_gone(identities),
        seconds=20,
        complaint=lambda: f"processes outlive SIGKILL: {[one.pid for one in identities if one.is_alive()]}",
    )


def _all_gone(identities: Sequence[Identity]) -> bool:
    reap()
    return not any(identity.is_alive() for identity in identities)


def reap() -> None:
    """Collect what this very process started and what ended since."""
    _offspring[:] = [process for process in _offspring if process.poll() is None]


def _pids() -> Iterator[int]:
    return (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the state on; a command's name may hold blanks and brackets."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def _command(pid: int) -> list[str]:
    try:
        raw = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return []
    return raw.decode(errors="replace").split("\0")[:-1]


def _environment(pid: int) -> dict[str, str]:
    try:
        raw = Path(f"/proc/{pid}/environ").read_bytes()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return {}
    pairs = (entry.partition("=") for entry in raw.decode(errors="replace").split("\0"))
    return {name: value for name, _, value in pairs}
