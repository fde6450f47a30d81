"""The pages on install and rights name every value, every right and every policy of the fence."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.unit.chart.rendering import CHART, render
from tests.unit.chart.test_rights import TABLE

DOCS = Path(__file__).parents[3] / "docs"
INSTALL = (DOCS / "install.md").read_text()
RIGHTS = (DOCS / "rights.md").read_text()
OPAQUE = {"resources", "podLabels"}
"""Values whose insides are Kubernetes' own."""


def _paths(values: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in values.items():
        if isinstance(value, dict) and value and name not in OPAQUE:
            yield from _paths(value, f"{prefix}{name}.")
        else:
            yield prefix + name


@pytest.mark.parametrize("path", list(_paths(yaml.safe_load((CHART / "values.yaml").read_text()))))
def test_every_value_is_in_the_page_on_install(path: str) -> None:
    assert f"`{path}`" in INSTALL


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row['where']}-{row['resource']}-{row['verbs'][0]}")
def test_every_right_is_in_the_page_on_rights(row: dict[str, Any]) -> None:
    lines = [line for line in RIGHTS.lower().splitlines() if row["resource"] in line]
    assert any(all(verb in line for verb in row["verbs"]) for line in lines)


def test_every_fenced_kind_is_in_the_page_on_rights() -> None:
    page = RIGHTS[RIGHTS.index("## What the fence refuses") :]
    for item in render():
        if item["kind"] == "ValidatingAdmissionPolicy":
            kind = item["metadata"]["name"].rpartition("-")[2]
            assert kind in page or kind in ("networkpolicies", "poddisruptionbudgets", "controllerrevisions")
