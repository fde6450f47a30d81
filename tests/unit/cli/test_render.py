"""`bartizan render` prints what an endpoint would own and nothing else, and says what it cannot render."""

from pathlib import Path

import pytest
import yaml
from tests.unit.cli.test_check import EXAMPLES, GOOD, OTHER

from bartizan.cli.main import main


def render(tmp_path: Path, text: str, *arguments: str) -> int:
    file = tmp_path / "x.yaml"
    file.write_text(text)
    return main(["render", "-f", str(file), *arguments])


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples_are_rendered_without_keys(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["render", "-f", str(path)]) == 0
    printed = list(yaml.safe_load_all(capsys.readouterr().out))
    assert {"NetworkPolicy", "Deployment", "Secret", "Service"} <= {manifest["kind"] for manifest in printed}
    assert {value for item in printed for value in item.get("stringData", {}).values()} == {"(made by the operator)"}
    assert not [item for item in printed if "data" in item]


def test_a_namespace_is_for_those_that_name_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert render(tmp_path, GOOD, "--namespace", "team-a") == 0
    printed = list(yaml.safe_load_all(capsys.readouterr().out))
    assert {manifest["metadata"]["namespace"] for manifest in printed} == {"team-a"}


@pytest.mark.parametrize("text", [OTHER, GOOD.replace("bartizan.dev/v1alpha1", "example.com/v1"), ""])
def test_a_file_without_ours_prints_nothing_but_that(
    tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert render(tmp_path, text) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == f"{tmp_path / 'x.yaml'}: holds no ModelDeployment of bartizan.dev\n"


def test_what_is_good_is_printed_beside_what_is_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert render(tmp_path, f"{GOOD}---{GOOD.replace('replicas', '')}  replicas: -1\n") == 1
    printed = capsys.readouterr()
    assert "kind: Deployment" in printed.out
    assert f"{tmp_path / 'x.yaml'}:2: spec.replicas: -1 is out of bounds" in printed.err
