"""The chart as Helm renders it, without a cluster."""

import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from tests.localcluster.api import tool

CHART = Path(__file__).parents[3] / "charts" / "bartizan"
Manifest = dict[str, Any]


def helm(command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs one of Helm's commands that need no cluster."""
    return subprocess.run([str(tool("helm")), command, *arguments], capture_output=True, text=True, check=False)


def template(*values: str) -> subprocess.CompletedProcess[str]:
    """`values` are arguments for --set."""
    arguments = [argument for value in values for argument in ("--set", value)]
    return helm("template", "bartizan", str(CHART), "--namespace", "bartizan-system", *arguments)


@cache
def render(*values: str) -> tuple[Manifest, ...]:
    done = template(*values)
    assert done.returncode == 0, done.stderr
    return tuple(document for document in yaml.safe_load_all(done.stdout) if document)


def find(manifests: tuple[Manifest, ...], kind: str, name: str | None = None, namespace: str | None = None) -> Manifest:
    """The one object of this kind, name and namespace, where given."""
    found = [
        item
        for item in manifests
        if item["kind"] == kind
        and name in (None, item["metadata"]["name"])
        and namespace in (None, item["metadata"].get("namespace"))
    ]
    assert len(found) == 1, f"{len(found)} of {kind} {name}"
    return found[0]
