"""The documentation names what there is, points to what there is, and shows manifests that hold."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry, Metric
from tests.unit.docs import pages
from tests.unit.docs.pages import DOCS, PAGES, ROOT, Block, Link

from bartizan.cli import check, documents, ours
from bartizan.controller import metrics as operator_metrics
from bartizan.controller import settings as operator_settings
from bartizan.controller.conditions import JUDGES
from bartizan.guard import settings as guard_settings
from bartizan.guard.audit import Audit
from bartizan.guard.metrics import Metrics
from bartizan.guard.request import Head
from bartizan.guard.visit import Visit
from bartizan.policy.reasons import Reason

REFERENCE = {page.stem: page.read_text() for page in (DOCS / "reference").glob("*.md")}
EVERYTHING = "\n".join(page.read_text() for page in PAGES)
SOURCES = ("operator", "tests/localcluster", "demo", "images", "bench")
"""Where variables are read; unit tests make up some of their own."""


def _exposed(registry: CollectorRegistry) -> list[str]:
    return [_name(metric) for metric in registry.collect()]


def _name(metric: Metric) -> str:
    return f"{metric.name}_total" if metric.type == "counter" else str(metric.name)


METRICS = [*_exposed(operator_metrics.REGISTRY), *_exposed(Metrics().registry)]
SUFFIXES = ("_bucket", "_sum", "_count")


@pytest.mark.parametrize("declared", operator_settings.declarations(), ids=lambda declared: declared.field)
def test_every_setting_of_the_operator_is_named(declared: operator_settings.Declaration) -> None:
    assert f"| `{declared.variable}` | `{declared.flag}` |" in REFERENCE["settings"]
    assert declared.explanation in REFERENCE["settings"]


@pytest.mark.parametrize("flag", [action.option_strings[-1] for action in guard_settings._parser()._actions])
def test_every_flag_of_the_guard_is_named(flag: str) -> None:
    assert flag == "--help" or f"| `{flag}` |" in REFERENCE["guard"]


@pytest.mark.parametrize("metric", METRICS)
def test_every_metric_is_named(metric: str) -> None:
    assert f"| `{metric}` |" in REFERENCE["metrics"]


@pytest.mark.parametrize("condition", JUDGES)
def test_every_condition_is_named(condition: str) -> None:
    assert condition in REFERENCE["modeldeployment"]
    assert f"`{condition}`" in (DOCS / "operations.md").read_text()


def test_every_field_of_the_audit_is_named() -> None:
    lines: list[bytes] = []

    class Sink:
        def write(self, line: bytes, *, must_not_wait: bool) -> None:
            assert must_not_wait
            lines.append(line)

    visit = Visit("req_1", Head(b"GET", b"/", (), None), 0.0)
    audit = Audit(Sink(), chain="c", endpoint="ml/qwen", now=lambda: 0.0)
    audit.decision(visit.described(Reason.ALLOWED, None))
    assert {field for field in json.loads(lines[0]) if f"`{field}`" not in REFERENCE["guard"]} == set()


def test_every_variable_of_the_repository_is_named_in_some_page() -> None:
    files = [path for folder in SOURCES for path in (ROOT / folder).rglob("*.py")]
    used = {name for path in files for name in re.findall(r"\bBARTIZAN_[A-Z_]*[A-Z]\b", path.read_text())}
    assert {name for name in used if name not in EVERYTHING} == set()


@pytest.mark.parametrize("page", PAGES, ids=pages.name)
def test_a_metric_that_a_page_names_exists(page: Path) -> None:
    named = set(re.findall(r"\bbartizan_(?:operator|guard)_[a-z_]*[a-z]\b", page.read_text()))
    known = {*METRICS, *(metric + suffix for metric in METRICS for suffix in SUFFIXES)}
    assert named - known == set()


@pytest.mark.parametrize("page", PAGES, ids=pages.name)
def test_a_make_target_that_a_page_names_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?:`|\$ )make ([a-z-]+)", page.read_text()))
    assert named - targets == set()


@pytest.mark.parametrize("link", pages.links(), ids=str)
def test_a_link_leads_somewhere(link: Link) -> None:
    path, _, anchor = link.target.partition("#")
    target = (link.page.parent / path).resolve() if path else link.page
    assert target.exists()
    assert not anchor or anchor in pages.anchors(target)


@pytest.mark.parametrize("block", pages.blocks("yaml"), ids=str)
def test_a_manifest_on_a_page_holds(block: Block) -> None:
    found = tuple(documents.read_text(block.text, str(block)))
    assert [document.complaint for document in found if document.complaint] == []
    if any(ours.is_ours(document.value) for document in found):
        assert [str(finding) for finding in check.judge(found, str(block)) if not finding.is_warning] == []


def test_the_pages_show_manifests() -> None:
    shown = [item for block in pages.blocks("yaml") for item in yaml.safe_load_all(block.text)]
    assert {item["kind"] for item in shown if isinstance(item, dict) and "kind" in item} >= {"ModelDeployment"}


def test_every_threat_that_a_test_tries_is_in_the_threat_model() -> None:
    assert _tried() - pages.threat_numbers() == set()


def test_every_numbered_threat_to_requests_has_a_test_that_names_it() -> None:
    rows = pages.threat_numbers("Requests")
    assert {24, 61} <= rows
    assert rows - _tried() == set()


def _tried() -> set[int]:
    return {int(number) for path in (ROOT / "tests").rglob("*.py") for number in _numbers(path)}


def _numbers(path: Path) -> list[str]:
    return re.findall(r"def test_t(\d+)_", path.read_text())


def _dependencies() -> list[str]:
    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
    groups = (
        project["build-system"]["requires"],
        project["project"]["dependencies"],
        project["dependency-groups"]["dev"],
    )
    return [re.split(r"[<>=~!;\[ ]", line)[0] for group in groups for line in group]


@pytest.mark.parametrize("dependency", _dependencies())
def test_every_dependency_says_what_it_is_for(dependency: str) -> None:
    rows = [line for line in (DOCS / "dependencies.md").read_text().splitlines() if line.startswith("| ")]
    assert [row for row in rows if dependency in row.split(" | ")[0].strip("| ").split(", ")]
