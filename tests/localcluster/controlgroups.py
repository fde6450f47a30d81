"""The control groups of a node: one tree on cgroup v2, one in each hierarchy on v1."""

from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

from tests.localcluster import waiting
from tests.localcluster.complaints import Complaint

_ROOT = Path("/sys/fs/cgroup")
_KUBELET_WANTS = {"cpu", "cpuset", "hugetlb", "memory", "pids"}
"""Of these it insists, on cgroup v2, on all that the kernel has."""


def create(name: str) -> None:
    """The kubelet wants to find its root in each hierarchy."""
    if _is_unified():
        _delegate()
    for hierarchy in _hierarchies():
        (hierarchy / name).mkdir(exist_ok=True)


def found(name: str) -> list[Path]:
    return [hierarchy / name for hierarchy in _hierarchies() if (hierarchy / name).exists()]


def remove(name: str) -> None:
    """Groups can go only once the last of their processes is reaped, so it may take a moment."""
    for group in found(name):
        if not waiting.holds_within(10, partial(_is_removed, group)):
            raise Complaint(f"{group} still holds processes")


def _is_unified() -> bool:
    return (_ROOT / "cgroup.procs").exists()


def _hierarchies() -> list[Path]:
    if _is_unified():
        return [_ROOT]
    return [entry for entry in _ROOT.iterdir() if not entry.is_symlink() and (entry / "cgroup.procs").exists()]


def _delegate() -> None:
    """Let groups below the root have the controllers; container runtimes do the same."""
    available = set((_ROOT / "cgroup.controllers").read_text().split())
    delegated = _ROOT / "cgroup.subtree_control"
    for controller in (available & _KUBELET_WANTS) - set(delegated.read_text().split()):
        delegated.write_text(f"+{controller}")


def _is_removed(group: Path) -> bool:
    for inner in _innermost_first(group):
        with suppress(OSError):
            inner.rmdir()
    return not group.exists()


def _innermost_first(group: Path) -> Iterator[Path]:
    with suppress(FileNotFoundError):
        for entry in group.iterdir():
            if entry.is_dir():
                yield from _innermost_first(entry)
    yield group
