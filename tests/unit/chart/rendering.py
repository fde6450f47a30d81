"""The chart as Helm renders it, without a cluster."""

import subprocess
from functools import cache
from pathlib import Path
from typing import Any, cast

from tests.localcluster.api import tool

from bartizan.cli import documents

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
    read = list(documents.read_text(done.stdout, "chart"))
    assert [document.complaint for document in read if document.complaint] == [], "as strict readers take it"
    return tuple(cast("Manifest", document.value) for document in read if document.value)


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
