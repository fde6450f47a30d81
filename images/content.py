"""Knows the keys under which things are cached: a hash of all that goes into them."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

KEY_LENGTH = 16


def key(*parts: str | Path) -> str:
    """Text counts as it stands; a file by name and bytes; a directory by all files in it."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, str):
            digest.update(f"text {part}\0".encode())
            continue
        for file in files(part):
            digest.update(f"file {file.name if file == part else file.relative_to(part)}\0".encode())
            digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:KEY_LENGTH]


def files(root: Path) -> Iterable[Path]:
    return [root] if root.is_file() else sorted(file for file in root.rglob("*") if file.is_file())
