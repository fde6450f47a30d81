"""Knows how to make what goes into the images: the locked wheels, the project's own wheel, the launcher."""

import contextlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path

from tests.localcluster import gobuild, places, progress
from tests.localcluster.complaints import Complaint

from images import content

REPOSITORY = places.REPOSITORY
PYPROJECT = REPOSITORY / "pyproject.toml"
OPERATOR = REPOSITORY / "operator"
LICENSE = REPOSITORY / "LICENSE"
LAUNCHER = REPOSITORY / "launcher"
BUILD_BACKEND = REPOSITORY / "images" / "build-backend.lock"

BYPRODUCTS = shutil.ignore_patterns("__pycache__", "*.egg-info")

SOURCE_DATE_EPOCH = "1700000000"
"""One time for all files of a wheel: the same sources give the same bytes."""

GLIBC_TAGS = ("manylinux_2_28", "manylinux_2_17", "manylinux2014")
"""Every base that is considered has at least glibc 2.28."""

_PATCH_RELEASE = re.compile(r" ; python_full_version [<>=!]+ '[0-9.]+'(?= \\$|$)", re.MULTILINE)


def version() -> str:
    found: str = tomllib.loads(PYPROJECT.read_text())["project"]["version"]
    return found


def dependencies(lock: Path, python: str) -> Path:
    """A directory with the wheels of a lock, for a base with that Python, and the lock beside them."""
    machine = platform.machine()
    wanted = of_every_patch_release(lock.read_text())
    home = places.cache() / "wheels" / content.key(wanted, python, machine)
    if not home.exists():
        with progress.step(f"fetching the wheels of {lock.name} for Python {python}"):
            tags = [f"--platform={tag}_{machine}" for tag in GLIBC_TAGS]
            fetch = ["download", "--no-deps", "--require-hashes", "--only-binary=:all:", f"--python-version={python}"]
            with scratch(home) as partial:
                (partial / "requirements.lock").write_text(wanted)
                listed = f"--requirement={partial / 'requirements.lock'}"
                run([sys.executable, "-m", "pip", "--quiet", *fetch, *tags, f"--dest={partial}", listed])
                shutil.copy(lock, partial / "requirements.lock")
    return home


def of_every_patch_release(lock: str) -> str:
    """The lock with what any patch release of a Python needs: pip asks the one that runs it, and not the base's."""
    return _PATCH_RELEASE.sub("", lock)


def program() -> Path:
    """A directory with the wheel of Bartizan itself, built from a copy: nothing is left in the checkout."""
    with tempfile.TemporaryDirectory() as staged:
        source = Path(staged)
        shutil.copytree(OPERATOR, source / "operator", ignore=BYPRODUCTS)
        shutil.copy(PYPROJECT, source)
        shutil.copy(LICENSE, source)
        # The metadata want a page to read; an empty one keeps images from changing with the docs.
        (source / "README.md").touch()
        home = places.cache() / "wheels" / content.key("bartizan", BUILD_BACKEND, source)
        if not home.exists():
            with progress.step("building Bartizan's wheel"), scratch(home) as partial:
                build_wheel(source, partial)
    return home


def build_wheel(source: Path, target: Path) -> None:
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if uv is None:
        raise Complaint("uv is missing; run `make venv` and call images/build with that Python")
    arguments = ["build", "--quiet", "--wheel", "--require-hashes", f"--build-constraints={BUILD_BACKEND}"]
    run([uv, *arguments, f"--out-dir={target}", str(source)], SOURCE_DATE_EPOCH=SOURCE_DATE_EPOCH)


def launcher() -> Path:
    """The static binary, made as the local cluster's components are: cached, locked, Go fetched if need be."""
    made = gobuild.Program(
        name="launcher",
        version=version(),
        names=("launcher",),
        duration="a few seconds",
        source=LAUNCHER,
        stamped=("main",),
    )
    return gobuild.build(made) / "launcher"


@contextlib.contextmanager
def scratch(home: Path) -> Iterator[Path]:
    """A directory beside its final place, moved there only if all went well."""
    home.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(dir=home.parent, prefix=".partial-"))
    try:
        yield partial
        partial.chmod(0o755)
        partial.rename(home)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def run(command: list[str], **environment: str) -> str:
    """What the command printed; its complaint is ours."""
    done = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Complaint(f"{' '.join(command[:3])} … failed:\n{(done.stdout + done.stderr)[-3000:]}")
    return done.stdout
