"""Starts processes of ours from one that has their modules loaded: a fork instead of a fourth of a second of imports.

What runs is what `python -m MODULE` runs, with its own descriptors, environment and exit; only the interpreter's start
is not repeated. A worker of the tests has one such server, and everything that it started ends with it.
"""

import atexit
import contextlib
import functools
import gc
import importlib
import json
import os
import runpy
import select
import selectors
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol

ROOT = Path(__file__).parents[1]
GUARD = ("bartizan.guard.main", "tests.modelserver.server")
OPERATOR = ("bartizan.cli.main", "bartizan.controller.main")
PATHS = {"PYTHONPATH": f"{ROOT / 'operator'}:{ROOT}"}
MOST_BYTES = 1 << 20
HIGHEST_DESCRIPTOR = 1024


class Process(Protocol):
    """What tests need of a process, however it was started."""

    pid: int

    def poll(self) -> int | None: ...
    def wait(self, timeout: float | None = None) -> int: ...
    def kill(self) -> None: ...
    def terminate(self) -> None: ...
    def send_signal(self, sig: int) -> None: ...


class Forked:
    """A process that the server started; as with Popen, no signal goes to one whose end is known."""

    def __init__(self, pid: int, end: BinaryIO) -> None:
        self.pid = pid
        self._end = end
        self._returncode: int | None = None

    def poll(self) -> int | None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self.wait(0)
        return None

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code, negative for a signal; raises TimeoutExpired."""
        if self._returncode is None:
            poll = select.poll()
            poll.register(self._end, select.POLLIN)
            if not poll.poll(None if timeout is None else timeout * 1000):
                raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
            self._returncode = int(self._end.readline())
            self._end.close()
        return self._returncode

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def send_signal(self, sig: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, sig)


class _Client:
    """This worker's end of a server that has these modules loaded."""

    def __init__(self, *preloaded: str) -> None:
        self._lock = threading.Lock()
        self._control, theirs = socket.socketpair()
        command = [sys.executable, "-m", "tests.forkserver", str(theirs.fileno()), *preloaded]
        with theirs:
            self._process = subprocess.Popen(
                command, cwd=ROOT, env={**os.environ, **PATHS}, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()]
            )
        atexit.register(self.end)

    def start(self, job: dict[str, object], stdout: int, stderr: int) -> Forked:
        reader, writer = os.pipe()
        try:
            with self._lock:
                socket.send_fds(self._control, [json.dumps(job).encode() + b"\n"], [stdout, stderr, writer])
        finally:
            os.close(writer)
        end = os.fdopen(reader, "rb", buffering=0)
        return Forked(int(end.readline()), end)

    def end(self) -> None:
        self._control.close()
        self._process.wait()


_client = functools.cache(_Client)


def start(module: str, arguments: Sequence[str], *, stdout: int, stderr: int, **environment: str) -> Forked:
    """Runs `python -m MODULE ARGUMENTS` with these descriptors and with more than the caller's environment."""
    return _client(*GUARD).start(_job(module, arguments, {**os.environ, **environment}), stdout, stderr)


def start_operator(environment: Mapping[str, str], *, stdout: int, stderr: int) -> Forked:
    """Runs `python -m bartizan operator` in this environment."""
    return _client(*OPERATOR).start(_job("bartizan", ["operator"], environment), stdout, stderr)


def _job(module: str, arguments: Sequence[str], environment: Mapping[str, str]) -> dict[str, object]:
    return {"module": module, "arguments": list(arguments), "environment": {**environment, **PATHS}}


@dataclass(frozen=True)
class Job:
    """What a child is to become."""

    module: str
    arguments: list[str]
    environment: dict[str, str]
    descriptors: tuple[int, int, int]


def _next_job(control: socket.socket) -> Job | None:
    """None once nobody is left to ask."""
    data, descriptors = b"", list[int]()
    while not data.endswith(b"\n"):
        more, fresh, _, _ = socket.recv_fds(control, MOST_BYTES, 3)
        if not more:
            return None
        data, descriptors = data + more, descriptors + fresh
    out, err, end = descriptors
    return Job(**json.loads(data), descriptors=(out, err, end))


def _serve(control: socket.socket) -> Job | None:
    """Forks for every job; returns in each child, with its job, and in the server at its end, with None."""
    ends: dict[int, int] = {}
    rung, ring = socket.socketpair()
    with control, rung, ring, selectors.DefaultSelector() as selector:
        ring.setblocking(False)
        signal.set_wakeup_fd(ring.fileno())
        for sock in (control, rung):
            selector.register(sock, selectors.EVENT_READ)
        while True:
            ready = {key.fileobj for key, _ in selector.select()}
            if rung in ready:
                rung.recv(4096)
                _report(ends)
            if control in ready:
                job = _next_job(control)
                if job is None or _fork(job, ends) == 0:
                    break
    if job is None:
        for pid in ends:
            os.kill(pid, signal.SIGKILL)
    return job


def _fork(job: Job, ends: dict[int, int]) -> int:
    """Like `os.fork`; the server tells the child's number, and keeps where to tell its end."""
    pid = os.fork()
    if pid:
        out, err, ends[pid] = job.descriptors
        os.write(ends[pid], b"%d\n" % pid)
        os.close(out)
        os.close(err)
    return pid


def _report(ends: dict[int, int]) -> None:
    """Tell of those that have ended."""
    while ends:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        with contextlib.suppress(BrokenPipeError), os.fdopen(ends.pop(pid), "wb") as end:
            end.write(b"%d\n" % os.waitstatus_to_exitcode(status))


def _become(job: Job, interrupt: Any) -> None:
    """Nothing of the server is left in it: its descriptors, handlers and environment are its own.

    `interrupt` is what SIGINT did where the server was started: in the background of a shell, for one, nothing.
    """
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, interrupt)
    for number, descriptor in enumerate(job.descriptors[:2], start=1):
        os.dup2(descriptor, number)
    os.closerange(3, HIGHEST_DESCRIPTOR)
    os.environ.clear()
    os.environ.update(job.environment)
    sys.argv[1:] = job.arguments
    if not hasattr(sys.modules.get(job.module), "__path__"):
        sys.modules.pop(job.module, None)  # as with `-m`, it is there as __main__ alone
    runpy.run_module(job.module, run_name="__main__", alter_sys=True)


def main() -> None:
    interrupt = signal.signal(signal.SIGINT, signal.SIG_IGN)  # it ends with who asks it, not with its terminal
    signal.signal(signal.SIGCHLD, lambda *_: None)
    for name in sys.argv[2:]:
        importlib.import_module(name)
    assert threading.active_count() == 1, "a fork takes no threads along"
    gc.freeze()
    job = _serve(socket.socket(fileno=int(sys.argv[1])))
    if job is not None:
        _become(job, interrupt)


if __name__ == "__main__":
    main()
