"""What tests import: clusters as context managers, and the tools beside them."""

import os
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.localcluster import binaries, images, kubeconfigs, lifecycle, machine, record
from tests.localcluster.complaints import Complaint
from tests.localcluster.record import Level

tool = binaries.tool


@dataclass(frozen=True)
class Cluster:
    """A running cluster. One that the user brought (``USE_EXISTING_CLUSTER``) has no name."""

    kubeconfig: Path
    server: str
    name: str = ""

    @property
    def is_ours(self) -> bool:
        return bool(self.name)

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """What kubectl printed; raises CalledProcessError with its complaint as a note."""
        command = [str(tool("kubectl")), f"--kubeconfig={self.kubeconfig}", *arguments]
        brief = {**os.environ, "GOGC": "off"}  # it ends before a collection would be worth its work
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False, env=brief)
        if done.returncode:
            error = subprocess.CalledProcessError(done.returncode, command, done.stdout, done.stderr)
            error.add_note(done.stderr)
            raise error
        return done.stdout

    def load_image(self, archive: Path) -> list[str]:
        return images.load(lifecycle.existing(self._own(f"load {archive} into it yourself")), archive)

    def stop(self, component: str) -> None:
        lifecycle.stop(self._own("its components are yours"), component)

    def start(self, component: str) -> None:
        lifecycle.start(self._own("its components are yours"), component)

    def _own(self, remedy: str) -> str:
        if not self.is_ours:
            raise Complaint(f"{self.server} is a cluster that you brought (USE_EXISTING_CLUSTER): {remedy}")
        return self.name


def lacking(level: Level) -> str:
    """Why this machine cannot have a cluster of ``level``; empty when it can."""
    if _is_brought():
        return ""
    try:
        machine.check(level)
    except Complaint as complaint:
        return str(complaint)
    return ""


@contextmanager
def control_plane(name: str | None = None) -> Iterator[Cluster]:
    """An API server with etcd and controller manager. Without a name a fresh one; see ``_cluster`` for its end."""
    with _cluster(name, Level.CONTROL_PLANE) as cluster:
        yield cluster


@contextmanager
def node(name: str | None = None) -> Iterator[Cluster]:
    """A cluster with one node that runs pods; one at a time on a machine."""
    with _cluster(name, Level.NODE) as cluster:
        yield cluster


def found(name: str) -> Cluster:
    """One that somebody else has brought up, as it is: nothing of it is healed. The user's own where that is used."""
    if _is_brought():
        return _existing()
    known = lifecycle.existing(name)
    return Cluster(known.places.kubeconfig, known.server, known.name)


@contextmanager
def _cluster(name: str | None, level: Level) -> Iterator[Cluster]:
    """A cluster that was up before stays up; one that was made here goes down at the end."""
    if _is_brought():
        yield _existing()
        return
    lifecycle.sweep()
    chosen = name or f"test-{secrets.token_hex(4)}"
    stays = record.read(chosen) is not None
    try:
        known = lifecycle.up(chosen, level, owned=not stays)
        yield Cluster(known.places.kubeconfig, known.server, known.name)
    finally:
        if not stays:
            lifecycle.down(chosen)


def _is_brought() -> bool:
    return os.environ.get("USE_EXISTING_CLUSTER", "").lower() in {"1", "true"}


def _existing() -> Cluster:
    """The user's own cluster: the current context of the kubeconfig that kubectl would use."""
    named = os.environ.get("KUBECONFIG", "").split(os.pathsep)[0] or "~/.kube/config"
    path = Path(named).expanduser()
    if not path.exists():
        raise Complaint(f"USE_EXISTING_CLUSTER is set, but there is no kubeconfig at {path}; set KUBECONFIG")
    return Cluster(path, kubeconfigs.server_of(path))
