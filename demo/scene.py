"""One scene of the story: a command as a user would type it, what it really printed, and a check that can fail."""

import shlex
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from demo.stage import ROOT, Stage

WIDTH = 150
DEADLINE_SECONDS = 60.0


class StoryError(Exception):
    """A scene did not show what it promises."""


@dataclass
class Scenes:
    """Runs scenes and keeps count; `quiet` for tests, which read only what is returned."""

    stage: Stage
    quiet: bool = False
    began: float = field(default_factory=time.monotonic)
    number: int = 0

    def title(self, text: str) -> None:
        self.number += 1
        bold, plain = ("\x1b[1m", "\x1b[0m") if sys.stdout.isatty() else ("", "")
        self._print(f"\n{bold}{self.number}. {text}{plain}")

    def say(self, text: str) -> None:
        self._print(textwrap.fill(text, 110, initial_indent="   ", subsequent_indent="   "))

    def run(self, command: str, *, code: int | None = 0, lines: int = 40, in_shell: bool = False) -> str:
        """Shows and runs a command line; checks its exit code, unless that is None; returns what it printed."""
        self._print(f"   $ {command}")
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", command] if in_shell else shlex.split(command),
            capture_output=True,
            text=True,
            cwd=ROOT,
            env=self.stage.environment(),
            check=False,
        )
        printed = done.stdout + done.stderr
        shown = printed.rstrip().splitlines()
        for line in shown[:lines]:
            self._print("     " + (line if len(line) <= WIDTH else line[: WIDTH - 1] + "…"))
        if len(shown) > lines:
            self._print(f"     … ({len(shown) - lines} more lines)")
        if code is not None and done.returncode != code:
            raise StoryError(f"`{command}` ended with {done.returncode}, not {code}:\n{printed}")
        return printed

    def check(self, holds: object, promise: str) -> None:
        if not holds:
            raise StoryError(f"not so: {promise}")
        self._print(f"   ✓ {promise}")

    def until(self, condition: Callable[[], bool], promise: str, seconds: float = DEADLINE_SECONDS) -> float:
        """Waits for what must come true, and says how long it took."""
        began = time.monotonic()
        while not condition():
            if time.monotonic() - began > seconds:
                raise StoryError(f"not so after {seconds:.0f} s: {promise}")
            time.sleep(0.1)
        took = time.monotonic() - began
        self._print(f"   ✓ {promise} ({took:.1f} s)")
        return took

    def _print(self, text: str) -> None:
        if not self.quiet:
            print(text, flush=True)
