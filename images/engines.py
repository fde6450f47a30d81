"""Knows how docker, podman and buildah build an image and save it to an archive."""

import io
import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.localcluster import places, progress
from tests.localcluster.complaints import Complaint

from images.parts import run

PACKAGES = {"buildah": "buildah", "mmdebstrap": "mmdebstrap"}
"""Each program that may be missing, and the Debian package that has it."""

ASK_VERSION = ("python3", "-c", "import sys; print('%d.%d' % sys.version_info[:2])")


@dataclass(frozen=True)
class Recipe:
    """One image: where its context lies, with the Containerfile in it, and what it is called."""

    context: Path
    arguments: dict[str, str]
    names: tuple[str, ...]

    @property
    def words(self) -> list[str]:
        words = [f"--file={self.context / 'Containerfile'}"]
        words += [f"--tag={name}" for name in self.names]
        return words + [f"--build-arg={name}={value}" for name, value in self.arguments.items()]


@dataclass(frozen=True)
class Engine:
    """docker, or podman, which takes the same words."""

    program: str = "docker"

    def build(self, recipe: Recipe, archive: Path) -> None:
        environment = {"DOCKER_BUILDKIT": "1"}
        run([self.program, "build", "--quiet", *recipe.words, str(recipe.context)], **environment)
        several = ["--multi-image-archive"] if self.program == "podman" else []
        run([self.program, "save", *several, f"--output={archive}", *recipe.names])

    def python_of(self, base: str) -> str:
        return run([self.program, "run", "--rm", "--entrypoint", ASK_VERSION[0], base, *ASK_VERSION[1:]]).strip()


@dataclass(frozen=True)
class Buildah(Engine):
    """Needs no daemon; keeps its images in the cache, apart from the user's own."""

    program: str = "buildah"

    def call(self, command: str, *words: str) -> str:
        store = places.cache() / "images" / "storage"
        own = [f"--root={store}", f"--runroot={store}-run", f"--storage-driver={storage_driver(store)}"]
        return run([self.program, *own, command, *words], BUILDAH_ISOLATION="chroot").strip()

    def build(self, recipe: Recipe, archive: Path) -> None:
        self.call("build", "--quiet", "--layers", *recipe.words, str(recipe.context))
        partial = archive.with_suffix(".partial")
        self.call("push", "--quiet", recipe.names[0], f"docker-archive:{partial}:{recipe.names[0]}")
        rename(partial, archive, recipe.names)
        partial.unlink()

    def python_of(self, base: str) -> str:
        container = self.call("from", base)
        try:
            return self.call("run", container, *ASK_VERSION)
        finally:
            self.call("rm", container)

    def has(self, name: str) -> bool:
        return bool(self.call("images", "--quiet", "--filter", f"reference={name}"))

    def take_filesystem(self, tar: Path, name: str) -> None:
        container = self.call("from", "scratch")
        try:
            self.call("add", "--quiet", container, str(tar), "/")
            self.call("commit", "--quiet", container, name)
        finally:
            self.call("rm", container)


def storage_driver(store: Path) -> str:
    """The copying driver where the cache lies on an overlay itself, as in a container."""
    store.parent.mkdir(parents=True, exist_ok=True)
    kind = subprocess.run(["stat", "-f", "-c", "%T", store.parent], capture_output=True, text=True, check=True)
    return "vfs" if "overlay" in kind.stdout else "overlay"


def rename(source: Path, target: Path, names: Sequence[str]) -> None:
    """Copy a docker-archive and give its image all names; buildah's own push knows one."""
    with tarfile.open(source) as old, tarfile.open(target, "w") as new:
        for entry in old:
            content = old.extractfile(entry) if entry.isfile() else None
            if content is not None and entry.name == "manifest.json":
                manifest = json.load(content)
                manifest[0]["RepoTags"] = list(names)
                text = json.dumps(manifest).encode()
                entry.size, content = len(text), io.BytesIO(text)
            new.addfile(entry, content)


def choose(wanted: str | None) -> Engine:
    """The one asked for; else a docker or podman that answers; else buildah."""
    if wanted == "buildah":
        return Buildah()
    for program in (wanted,) if wanted else ("docker", "podman"):
        if shutil.which(program) and answers(program):
            return Engine(program)
    if wanted:
        raise Complaint(f"{wanted} does not answer to `{wanted} info`; start it or choose another --engine")
    return Buildah()


def answers(program: str) -> bool:
    return subprocess.run([program, "info"], capture_output=True, check=False).returncode == 0


def require(*programs: str) -> None:
    """Have the programs, or install them where that is ours to do."""
    missing = [program for program in programs if not shutil.which(program)]
    if not missing:
        return
    packages = [PACKAGES[program] for program in missing]
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise Complaint(f"missing on this machine: {', '.join(packages)}; install them, or choose --engine docker")
    with progress.step(f"installing {' '.join(packages)}"):
        run(["apt-get", "update", "--quiet"])
        install = ["apt-get", "install", "--yes", "--quiet", "--no-install-recommends", *packages]
        run(install, DEBIAN_FRONTEND="noninteractive")
