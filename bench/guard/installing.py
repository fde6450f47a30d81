"""Puts the peers' packages into the cache, each into a place of its own named after its lock file."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

LOCKS = Path(__file__).parent / "locks"
LONGEST_INSTALL_SECONDS = 600


class NotRun(Exception):  # noqa: N818 -- a finding for the report, not an error of the bench
    """Why a peer has no figures."""


def python_environment(name: str) -> Path:
    """The `bin` folder of a virtual environment with what `<name>.lock` says; raises NotRun."""
    place = _place(name, LOCKS / f"{name}.lock")
    if not (place / ".complete").exists():
        _run([sys.executable, "-m", "venv", "--clear", str(place)])
        pip = [str(place / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        _run([*pip, "--require-hashes", "-r", str(LOCKS / f"{name}.lock")])
        (place / ".complete").touch()
    return place / "bin"


def node_modules(name: str) -> Path:
    """The `node_modules` folder with what the `package-lock.json` in the folder `name` says; raises NotRun."""
    if not shutil.which("node") or not shutil.which("npm"):
        raise NotRun("node and npm are not installed")
    place = _place(name, LOCKS / name / "package-lock.json")
    if not (place / ".complete").exists():
        place.mkdir(parents=True, exist_ok=True)
        for file in (LOCKS / name).glob("*.json"):
            shutil.copy(file, place)
        _run(["npm", "ci", "--prefix", str(place), "--ignore-scripts", "--no-audit", "--no-fund"])
        (place / ".complete").touch()
    return place / "node_modules"


def _place(name: str, lock: Path) -> Path:
    digest = hashlib.sha256(lock.read_bytes() + sys.version.encode()).hexdigest()[:16]
    cache = os.environ.get("BARTIZAN_CACHE") or Path.home() / ".cache" / "bartizan"
    return Path(cache) / "bench" / f"{name}-{digest}"


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST_INSTALL_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotRun(f"not installed: {type(error).__name__}") from error
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()[-1]
        raise NotRun(f"not installed: {last[:160]}")
