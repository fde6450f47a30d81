"""Reads the table of bad manifests: each case is the base manifest with a few paths set otherwise."""

import copy
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent / "manifests"


@dataclass(frozen=True)
class Case:
    """`schema` is None where the CRD lets the manifest pass; `pruned` where it drops a field on the way."""

    name: str
    manifest: dict[str, Any]
    parse: str
    schema: str | None = None
    pruned: bool = False


def cases() -> Iterator[Case]:
    base = load(HERE / "base.yaml")
    for path in sorted((HERE / "bad").glob("*.yaml")):
        for name, entry in load(path).items():
            manifest = copy.deepcopy(base)
            for spot, value in entry.pop("set").items():
                place(manifest, spot, value)
            yield Case(f"{path.stem}/{name}", manifest, **entry)


def load(path: Path) -> Any:
    return yaml.load(path.read_text(), Loader=yaml.CSafeLoader)  # as safe, and ten times as fast


def place(manifest: dict[str, Any], spot: str, value: Any) -> None:
    """Sets `a.b[0].c`, making mappings and one more list entry on the way; null removes."""
    *way, last = [int(step[1:-1]) if step[0] == "[" else step for step in re.findall(r"\[\d+\]|[^.\[]+", spot)]
    target: Any = manifest
    for step in way:
        target = target[step] if isinstance(step, int) else target.setdefault(step, {})
    if isinstance(target, list):
        target[last : last + 1] = [value]
    elif value is None:
        del target[last]
    else:
        target[last] = value
