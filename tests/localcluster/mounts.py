"""Mounts below a directory, as this process sees them, and how they go."""

import subprocess
from pathlib import Path

from tests.localcluster.complaints import Complaint


def below(directory: Path) -> list[Path]:
    """The innermost first."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    points = (Path(_unescaped(line.split()[4])) for line in lines)
    return sorted((point for point in points if point.is_relative_to(directory)), reverse=True)


def remove_below(directory: Path) -> None:
    """So that deleting the directory deletes nothing that only shows through it."""
    for point in below(directory):
        subprocess.run(["umount", "--lazy", str(point)], check=False)
    left = below(directory)
    if left:
        raise Complaint(f"{left[0]} is still mounted; unmount it and run down again")


def _unescaped(field: str) -> str:
    """Mountinfo writes blanks and backslashes as octal escapes."""
    return field.encode().decode("unicode_escape")
