"""Starts processes on a chosen core, reads what they and all their children use from /proc, freezes and ends them."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TypeAlias

Process: TypeAlias = "subprocess.Popen[bytes]"

TICKS = os.sysconf("SC_CLK_TCK")
MIB = 1 << 20
_USER, _CHILDREN_SYSTEM = 11, 14
"""Positions in /proc/<pid>/stat behind the command's closing bracket: utime, stime, cutime, cstime."""


@dataclass(frozen=True)
class Cores:
    """One core for the thing measured; load and backend share the other."""

    measured: int
    load: int

    @classmethod
    def choose(cls) -> "Cores":
        allowed = sorted(os.sched_getaffinity(0))
        if len(allowed) < 2:
            raise SystemExit("bench-guard needs two cores: one for the thing measured, one for load and backend")
        return cls(measured=allowed[-1], load=allowed[0])


@contextlib.contextmanager
def on(core: int) -> Iterator[None]:
    """What is started within runs on this core, with all its threads and children."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@dataclass(frozen=True)
class Streams:
    """Where a process writes; `output` defaults to the log."""

    log: Path
    output: int | IO[bytes] | None = None
    given: IO[bytes] | None = None
    environment: Mapping[str, str] = field(default_factory=dict)


@contextlib.contextmanager
def started(command: list[str], streams: Streams, *, core: int) -> Iterator[Process]:
    """A running process, ended with all its children at the exit whatever happened."""
    environment = {**os.environ, **streams.environment}
    with streams.log.open("wb") as log, on(core):
        output = log if streams.output is None else streams.output
        process = subprocess.Popen(
            command, env=environment, stdin=streams.given or subprocess.DEVNULL, stdout=output, stderr=log
        )
    try:
        yield process
    finally:
        end(process)


def end(process: Process) -> None:
    for pid in tree(process.pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait()


def tree(pid: int) -> list[int]:
    """The process and all that descend from it."""
    found = [pid]
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            children = (task / "children").read_text().split()
            found += [each for child in children for each in tree(int(child))]
    return found


def freeze(pid: int) -> None:
    """Stop a peer whose turn it is not, so that its background work costs the others nothing."""
    for each in tree(pid):
        os.kill(each, signal.SIGSTOP)


def thaw(pid: int) -> None:
    for each in tree(pid):
        os.kill(each, signal.SIGCONT)


def cpu_seconds(pid: int) -> float:
    """User and system time of every thread, ended ones too, of the process and its children, reaped ones too."""
    total = 0
    for each in tree(pid):
        with contextlib.suppress(OSError):
            figures = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
            total += sum(int(figure) for figure in figures[_USER : _CHILDREN_SYSTEM + 1])
    return total / TICKS


def rss_mib(pid: int) -> float:
    """Resident memory of the process and its children; what they share counts for each."""
    pages = 0
    for each in tree(pid):
        with contextlib.suppress(OSError):
            pages += int(Path(f"/proc/{each}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / MIB


def busy_seconds(core: int) -> float:
    """What the core has worked so far, for whomever."""
    (line,) = [line for line in Path("/proc/stat").read_text().splitlines() if line.startswith(f"cpu{core} ")]
    figures = [int(figure) for figure in line.split()[1:9]]
    idle, waiting = figures[3], figures[4]
    return (sum(figures) - idle - waiting) / TICKS
