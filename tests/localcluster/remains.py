"""What a cluster may leave behind besides processes: mounts below its directory, control groups."""

import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from tests.localcluster import waiting
from tests.localcluster.complaints import Complaint

_CONTROL_GROUPS = Path("/sys/fs/cgroup")


def mounts_below(directory: Path) -> list[Path]:
    """Mount points in this process's view, the innermost first."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    points = (Path(_unescaped(line.split()[4])) for line in lines)
    return sorted((point for point in points if point.is_relative_to(directory)), reverse=True)


def unmount_below(directory: Path) -> None:
    """So that deleting the directory deletes nothing that only shows through it."""
    for point in mounts_below(directory):
        subprocess.run(["umount", "--lazy", str(point)], check=False)
    left = mounts_below(directory)
    if left:
        raise Complaint(f"{left[0]} is still mounted; unmount it and run down again")


def control_groups(name: str) -> list[Path]:
    """The groups called ``name`` in each hierarchy (one on cgroup v2, many on v1)."""
    found = [_CONTROL_GROUPS / name, *_CONTROL_GROUPS.glob(f"*/{name}")]
    return [group for group in found if (group / "cgroup.procs").exists()]


def create_control_groups(name: str) -> None:
    """In each hierarchy that has controllers; the kubelet insists on finding its root there."""
    hierarchies = [_CONTROL_GROUPS, *_CONTROL_GROUPS.iterdir()]
    for hierarchy in hierarchies:
        if (hierarchy / "cgroup.procs").exists() and not _is_inner(hierarchy):
            (hierarchy / name).mkdir(exist_ok=True)


def _is_inner(group: Path) -> bool:
    """On cgroup v2 what lies below the root are groups, on v1 hierarchies."""
    return group != _CONTROL_GROUPS and (_CONTROL_GROUPS / "cgroup.procs").exists()


def remove_control_groups(name: str) -> None:
    """Groups vanish only once the last of their processes is reaped, so it may take a moment."""
    for group in control_groups(name):
        waiting.until(
            lambda group=group: _is_removed(group),  # type: ignore[misc]
            seconds=10,
            complaint=lambda group=group: f"{group} still holds processes",  # type: ignore[misc]
        )


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


def _unescaped(field: str) -> str:
    """Mountinfo writes blanks and backslashes as octal escapes."""
    return field.encode().decode("unicode_escape")
