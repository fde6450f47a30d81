"""Where the local cluster keeps its things: binaries in the cache, clusters in the state directory."""

import os
from dataclasses import dataclass
from pathlib import Path

MODULE_DIRECTORY = Path(__file__).resolve().parent
REPOSITORY = MODULE_DIRECTORY.parents[1]


def cache() -> Path:
    chosen = os.environ.get("BARTIZAN_CACHE")
    if chosen:
        return Path(chosen).expanduser().absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser().absolute() / "bartizan"


def binaries() -> Path:
    return cache() / "bin"


def clusters() -> Path:
    chosen = os.environ.get("BARTIZAN_STATE")
    return Path(chosen).expanduser().absolute() if chosen else cache() / "clusters"


def node_lock() -> Path:
    """Held by the one node of the machine for as long as it lives; nodes with other locks may live beside it."""
    return Path(os.environ.get("BARTIZAN_NODE_LOCK") or "/run/lock/bartizan-node.lock")


@dataclass(frozen=True)
class ClusterPlaces:
    """The files of one cluster; all of them vanish with ``directory``."""

    directory: Path

    @property
    def record(self) -> Path:
        return self.directory / "cluster.json"

    @property
    def kubeconfig(self) -> Path:
        return self.directory / "kubeconfig"

    @property
    def certificates(self) -> Path:
        return self.directory / "pki"

    @property
    def configuration(self) -> Path:
        return self.directory / "etc"

    @property
    def processes(self) -> Path:
        return self.directory / "processes"

    @property
    def logs(self) -> Path:
        return self.directory / "logs"

    @property
    def data(self) -> Path:
        return self.directory / "data"

    @property
    def sockets(self) -> Path:
        return self.directory / "run"

    def log(self, component: str) -> Path:
        return self.logs / f"{component}.log"

    def create(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        for place in (
            self.certificates,
            self.configuration,
            self.processes,
            self.logs,
            self.data,
            self.sockets,
        ):
            place.mkdir(exist_ok=True)


def of(name: str) -> ClusterPlaces:
    return ClusterPlaces(clusters() / name)


def write_changed(path: Path, content: str) -> Path:
    """Write a file, readable to its owner only, unless it says so already."""
    if not path.exists() or path.read_text() != content:
        fresh = path.with_name(f".{path.name}.new")
        fresh.touch(mode=0o600)
        fresh.write_text(content)
        fresh.replace(path)
    return path


def lock_of(name: str) -> Path:
    """Beside the cluster's directory, because the lock must outlive it."""
    return clusters() / f".{name}.lock"
