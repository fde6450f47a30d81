"""The commands that let an endpoint go without the operator, as a hurried administrator pastes them: no `set -e`."""

import os
import re
import subprocess
from pathlib import Path

import pytest
from tests.unit.chart.rendering import CHART

PAGE = CHART.parents[1] / "docs" / "install.md"
STUB = """#!/bin/sh
echo "$@" >> "$CALLS"
case "$*" in
  *" $FAILS "*) exit 1 ;;
  *" get "*) echo "$4/llama" ;;
esac
"""


def _script() -> str:
    (script,) = re.findall(r"```sh break-glass\n(.*?)```", PAGE.read_text(), re.DOTALL)
    return str(script)


def _run(tmp_path: Path, *, fails: str) -> list[str]:
    """What kubectl was called with, one of whose commands fails."""
    stub, calls = tmp_path / "kubectl", tmp_path / "calls"
    stub.write_text(STUB)
    stub.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    environment = {"PATH": path, "CALLS": str(calls), "FAILS": fails, "NAMESPACE": "ml", "ENDPOINT": "llama"}
    subprocess.run(["bash", "-c", _script()], env=environment, capture_output=True, check=False)
    return calls.read_text().splitlines()


def test_the_notes_of_the_chart_say_the_same_as_the_page() -> None:
    notes = (CHART / "templates" / "NOTES.txt").read_text()
    indented = "".join(f"  {line}\n" for line in _script().splitlines())
    assert indented in notes


@pytest.mark.parametrize("fails", ["wait pods", "delete deployments"])
def test_while_pods_are_left_or_may_come_back_no_gate_is_let_go(tmp_path: Path, fails: str) -> None:
    calls = _run(tmp_path, fails=fails)
    assert any(fails in call for call in calls)
    assert not [call for call in calls if " patch " in call or " delete networkpolicy" in call]


def test_once_no_pod_is_left_every_gate_is_let_go_even_the_second_time(tmp_path: Path) -> None:
    calls = _run(tmp_path, fails="delete modeldeployments.bartizan.dev")
    let_go = [call.split()[3] for call in calls if " patch " in call]
    assert let_go == ["modeldeployments.bartizan.dev/llama", "networkpolicies/llama"]
