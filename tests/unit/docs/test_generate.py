"""Generated files are current, and the pages name what they are about."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from bartizan.policy.reasons import Reason
from bartizan.policy.template import pod

ROOT = Path(__file__).parents[3]
CRD = yaml.safe_load((ROOT / "crds" / "bartizan.dev_modeldeployments.yaml").read_text())
SCHEMA = CRD["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
REFERENCE = ROOT / "docs" / "reference"


def test_generated_files_are_current() -> None:
    command = [sys.executable, str(ROOT / "docs" / "generate.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_charts_copy_says_what_the_source_says() -> None:
    text = (ROOT / "charts" / "bartizan" / "templates" / "crds.yaml").read_text()
    copy = yaml.safe_load("\n".join(line for line in text.splitlines() if not line.startswith("{{")))
    assert copy["metadata"].pop("annotations") == {"helm.sh/resource-policy": "keep"}
    assert copy == CRD


def fields(schema: dict[str, Any], path: str) -> list[tuple[str, dict[str, Any]]]:
    found = []
    for name, child in schema.get("properties", {}).items():
        found.append((f"{path}.{name}", child))
        found += fields(child, f"{path}.{name}")
        found += fields(child.get("items", {}), f"{path}.{name}[]")
    return found


def test_every_field_is_described_and_documented() -> None:
    page = (REFERENCE / "modeldeployment.md").read_text()
    for part in ("spec", "status"):
        for path, schema in fields(SCHEMA["properties"][part], part):
            assert len(schema.get("description", "")) > 8, path
            assert f"| `{path}` |" in page, path


def test_every_text_and_list_is_bounded() -> None:
    def judge(schema: dict[str, Any], path: str) -> None:
        if schema.get("type") == "string" and "enum" not in schema and schema.get("format") != "date-time":
            assert "maxLength" in schema, path
        if schema.get("type") == "array":
            assert "maxItems" in schema, path
            judge(schema["items"], f"{path}[]")
        if "additionalProperties" in schema:
            assert "maxProperties" in schema, path
            judge(schema["additionalProperties"], f"{path}{{}}")
        for name, child in schema.get("properties", {}).items():
            judge(child, f"{path}.{name}")

    for part in ("spec", "status"):
        judge(SCHEMA["properties"][part], part)


def test_every_figure_of_the_spec_is_bounded() -> None:
    for path, schema in fields(SCHEMA["properties"]["spec"], "spec"):
        if schema.get("type") == "integer":
            assert {"minimum", "maximum"} <= set(schema), path


def test_every_rule_has_a_message_with_a_remedy() -> None:
    def judge(schema: dict[str, Any]) -> None:
        for rule in schema.get("x-kubernetes-validations", ()):
            assert any(mark in rule["message"] for mark in (";", ", since", ", so")), rule
        for child in (*schema.get("properties", {}).values(), *([schema["items"]] if "items" in schema else [])):
            judge(child)

    judge(SCHEMA)


def test_every_reason_and_pod_field_is_documented() -> None:
    reasons, template = (REFERENCE / "reasons.md").read_text(), (REFERENCE / "template.md").read_text()
    assert all(f"| `{reason}` |" in reasons for reason in Reason)
    assert all(f"| `{name}` |" in template for name in (*pod.POD.fields, *pod.CONTAINER.fields))
