"""The launcher's own tests, in its own language."""

import os
import subprocess
from pathlib import Path

import pytest
from tests.localcluster import gobuild

LAUNCHER = Path(__file__).resolve().parents[3] / "launcher"


@pytest.mark.parametrize("command", [("vet", "./..."), ("test", "-count=1", "./...")], ids=lambda command: command[0])
def test_the_launcher_passes_its_own_checks(command: tuple[str, ...]) -> None:
    done = subprocess.run(
        [gobuild._toolchain(), *command],
        cwd=LAUNCHER,
        env={**os.environ, "GOFLAGS": "", "GOWORK": "off"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
