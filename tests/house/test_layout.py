"""The house's own rules about files, held by a machine."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.house import shape

ROOT = Path(__file__).resolve().parents[2]
ROOMS_WITHOUT_A_QUESTION = {"utils", "helpers", "base", "common", "misc"}
CODE = [*sorted((ROOT / "operator").rglob("*.py")), *sorted((ROOT / "tests").rglob("*.py"))]
TEXT_SUFFIXES = {".md", ".py", ".yaml", ".yml", ".toml", ".go", ".tpl", ".txt", ".json", ".lock", ".sh", ""}


def tracked() -> list[Path]:
    """Files of the repository; a checkout without git has nothing to say here."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / line for line in listed.splitlines() if (ROOT / line).is_file()]


def test_operator_is_a_source_root_and_not_a_package() -> None:
    assert not (ROOT / "operator" / "__init__.py").exists()


@pytest.mark.parametrize("path", [path for path in CODE if "operator" in path.parts], ids=lambda path: path.stem)
def test_no_module_is_named_like_one_of_the_standard_library_or_like_a_drawer(path: Path) -> None:
    if path.stem != "__init__":
        assert path.stem not in sys.stdlib_module_names
    assert path.stem not in ROOMS_WITHOUT_A_QUESTION
    assert path.parent.name == "operator" or path.parent.name not in sys.stdlib_module_names


@pytest.mark.parametrize("path", CODE, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_says_first_what_it_knows(path: Path) -> None:
    text = path.read_text()
    if text.strip():
        assert ast.get_docstring(ast.parse(text)), f"{path.relative_to(ROOT)} has no docstring"


def test_packages_hold_one_docstring_and_no_code() -> None:
    for path in (ROOT / "operator").rglob("__init__.py"):
        body = ast.parse(path.read_text()).body
        assert len(body) == 1, f"{path.relative_to(ROOT)} holds more than its docstring"


def test_files_and_functions_keep_to_the_aims() -> None:
    for name, sizes, aim in shape.MEASURED:
        _, over = shape.measure(name, sizes(), aim)
        assert over == []


FOREIGN_MARKS = re.compile(r"/(work|root)/|[.]pyenv|pypi[.]org|proxy[.]golang|registry[.]npm")
"""Written so that this file does not hold them itself."""


def test_nothing_tells_of_the_machine_that_it_was_made_on() -> None:
    for path in tracked():
        if path.suffix in TEXT_SUFFIXES:
            found = FOREIGN_MARKS.search(path.read_text(errors="replace"))
            assert found is None, f"{path.relative_to(ROOT)}: {found and found.group()}"
