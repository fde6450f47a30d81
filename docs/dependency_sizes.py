"""Prints what each declared dependency weighs as installed here, with version and licence, for dependencies.md.

python docs/dependency_sizes.py
"""
# ruff: noqa: INP001, T201 # a script that speaks to whoever runs it

import re
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
NAME = re.compile(r"[A-Za-z0-9._-]+")
LICENCE_WORDS = 60


def declared() -> tuple[str, ...]:
    """Names in pyproject.toml, run time before development."""
    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
    lines = [*project["project"]["dependencies"], *project["dependency-groups"]["dev"]]
    return tuple(_name(line) for line in lines)


def locked() -> tuple[str, ...]:
    """Everything that the image holds at run time."""
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    return tuple(line.partition("==")[0] for line in lines if NAME.match(line))


def licence(name: str) -> str:
    """As the package's metadata say."""
    found = metadata.metadata(name)
    classifiers = [text.rpartition(" :: ")[2] for text in found.get_all("Classifier") or () if "License" in text]
    return str(found.get("License-Expression") or found.get("License") or ", ".join(classifiers))[:LICENCE_WORDS]


def megabytes(name: str) -> float:
    """Of all its files but compiled Python."""
    files = metadata.files(name) or ()
    paths = [Path(str(file.locate())) for file in files if file.suffix != ".pyc"]
    return sum(path.stat().st_size for path in paths if path.exists()) / 1e6


def main() -> None:
    for name in declared():
        print(f"{name:20} {metadata.version(name):18} {megabytes(name):6.1f} MB  {licence(name)}")
    installed = [name for name in locked() if _is_installed(name)]
    print(f"run time, with what it brings: {len(installed)} packages, {sum(map(megabytes, installed)):.0f} MB")


def _name(requirement: str) -> str:
    found = NAME.match(requirement)
    return found.group() if found else requirement


def _is_installed(name: str) -> bool:
    """Some are for other systems or Python versions."""
    return any(metadata.distributions(name=name))


if __name__ == "__main__":
    main()
