"""`bartizan check` says file, document, path and remedy, and its exit code can be trusted."""

import io
from pathlib import Path

import pytest

from bartizan.cli.main import main

EXAMPLES = sorted((Path(__file__).parents[3] / "manifests" / "examples").glob("*.yaml"))
GOOD = """
apiVersion: bartizan.dev/v1alpha1
kind: ModelDeployment
metadata: {name: tiny}
spec:
  model: {name: tiny}
  template: {spec: {containers: [{name: model, image: x, command: [serve]}]}}
"""
OTHER = "apiVersion: v1\nkind: Namespace\nmetadata: {name: ml}\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "x.yaml"


def check(file: Path, text: str) -> int:
    file.write_text(text)
    return main(["check", "-f", str(file)])


def test_says_ok(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(file, f"{OTHER}---{GOOD}") == 0
    assert capsys.readouterr().out == "ok\n"


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples_are_ok(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "-f", str(path)]) == 0
    assert capsys.readouterr().out.endswith("ok\n")


def test_names_file_document_path_and_remedy(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = GOOD.replace("spec:\n", "spec:\n  limts: {}\n", 1)
    assert check(file, f"{OTHER}---{GOOD}---{bad}") == 1
    wanted = "spec.limts: is not a field of a ModelDeployment; remove it; did you mean limits?"
    assert capsys.readouterr().out == f"{file}:3: {wanted}\n"


def test_a_weakness_is_a_warning_only(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weak = GOOD.replace("command: [serve]", "command: [serve], securityContext: {readOnlyRootFilesystem: false}")
    assert check(file, weak) == 0
    warning, verdict = capsys.readouterr().out.splitlines()
    assert warning.startswith(f"{file}:1: warning: spec.template.spec.containers[0].securityContext.readOnlyRootFile")
    assert verdict == "ok"


def test_a_value_that_speaks_of_warnings_does_not_pass(file: Path) -> None:
    assert check(file, GOOD.replace("model: {name: tiny}", "model: {name: 'a: warning: b'}")) == 1


def test_a_key_that_stands_twice_is_refused(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(file, GOOD.replace("spec:\n", "spec:\n  replicas: 1\n  replicas: 2\n", 1)) == 1
    assert "'replicas' stands twice" in capsys.readouterr().out


@pytest.mark.parametrize(
    "text",
    ["{", "a: [", "\t", "a: *b", "[" * 5000, "!!python/object:os.system {}", "a: !!int x"],
    ids=range(7),
)
def test_what_is_not_yaml_is_said_and_not_raised(file: Path, capsys: pytest.CaptureFixture[str], text: str) -> None:
    assert check(file, text) == 1
    assert f"{file}:1: is not YAML: " in capsys.readouterr().out


def test_a_file_without_ours_is_a_problem(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    foreign = GOOD.replace("bartizan.dev/v1alpha1", "example.com/v1")
    assert check(file, f"{OTHER}---{foreign}") == 1
    assert capsys.readouterr().out == f"{file}: holds no ModelDeployment of bartizan.dev\n"


def test_a_missing_version_is_a_problem(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(file, GOOD.replace("apiVersion: bartizan.dev/v1alpha1\n", "")) == 1
    assert "apiVersion: is missing; write bartizan.dev/v1alpha1" in capsys.readouterr().out


def test_a_misspelt_kind_is_a_problem(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(file, GOOD.replace("kind: ModelDeployment", "kind: ModelDeploymnt")) == 1
    assert "kind: 'ModelDeploymnt' is not ModelDeployment" in capsys.readouterr().out


def test_a_list_stands_for_its_items(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    item = GOOD.strip().replace("\n", "\n  ").replace("name: tiny}\nspec", "name: 3}\nspec")
    assert check(file, f"apiVersion: v1\nkind: List\nitems:\n- {item}\n  status: {{}}\n  data: {{}}\n") == 1
    assert f"{file}:1.items[0]: data: " in capsys.readouterr().out


def test_standard_input_is_read(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(GOOD.replace("tiny}\nspec", "3}\nspec")))
    assert main(["check", "-f", "-"]) == 1
    assert capsys.readouterr().out.startswith("stdin:1: metadata.name: ")


def test_a_file_that_is_not_there_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "-f", str(tmp_path / "none.yaml"), "-f", str(EXAMPLES[0])]) == 1
    assert "none.yaml: cannot be read: " in capsys.readouterr().out


def test_dates_stay_text(file: Path) -> None:
    assert check(file, GOOD.replace("model: {name: tiny}", "model: {name: 2026-01-01}")) == 0


@pytest.mark.parametrize("tagged", ["!!bool x", "!!timestamp x", "!!int ''", "!!float x", "!!omap [a]"])
def test_a_value_that_does_not_fit_its_tag_is_a_complaint(
    file: Path, tagged: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check(file, f"{GOOD}  replicas: {tagged}\n") == 1
    assert "is not YAML" in capsys.readouterr().out


def test_merged_aliases_of_aliases_do_not_fill_the_memory(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    levels = [f"x{level}: &x{level} {{<<: [{', '.join([f'*x{level - 1}'] * 4)}]}}" for level in range(1, 40)]
    assert check(file, "\n".join(["x0: &x0 {a: 1}", *levels])) == 1
    assert "more than 10000 entries after merging" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        ("foo", "metadata: 'foo' is not a mapping"),
        ("[1]", "metadata: a list is not a mapping"),
        ("{name: tiny, namespace: Team_A}", "metadata.namespace: 'Team_A' is not a DNS label"),
        ("{name: tiny, namespace: [a]}", "metadata.namespace: a list is not text"),
        ("{name: tiny, namespace: ''}", "metadata.namespace: '' has 0 characters"),
    ],
)
@pytest.mark.parametrize("command", ["check", "render"])
def test_odd_metadata_is_said_and_not_raised(
    file: Path, command: str, metadata: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text(GOOD.replace("{name: tiny}\nspec", f"{metadata}\nspec"))
    assert main([command, "-f", str(file)]) == 1
    assert f"{file}:1: {said}" in "".join(capsys.readouterr())


@pytest.mark.parametrize("text", [GOOD, GOOD.replace("apiVersion: bartizan.dev/v1alpha1\n", "")], ids=["group", "bare"])
@pytest.mark.parametrize("command", ["check", "render"])
def test_a_kind_in_small_letters_is_a_problem(
    file: Path, command: str, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text(text.replace("kind: ModelDeployment", "kind: modeldeployment"))
    assert main([command, "-f", str(file)]) == 1
    assert "kind: 'modeldeployment' is not ModelDeployment; write ModelDeployment" in "".join(capsys.readouterr())
