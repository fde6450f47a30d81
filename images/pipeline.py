"""Knows the order of the work: parts, then images, then archives, each only if something in it changed."""

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.localcluster import locks, places, progress
from tests.localcluster.complaints import Complaint

from images import content, engines, local_base, parts
from images.engines import Buildah, Engine, Recipe

HERE = Path(__file__).parent
REGISTRY_BASE = "docker.io/library/python:3.13-slim"
MODEL_SERVER = places.REPOSITORY / "tests" / "modelserver"
KEPT_ARCHIVES = 3


@dataclass(frozen=True)
class Base:
    name: str
    python: str


@dataclass(frozen=True)
class Image:
    """One of the project's images: how it is called, what it depends on, what else lies in its context."""

    name: str
    archive: str
    containerfile: Path
    lock: Path
    lay: Callable[[Path], dict[str, str]]
    """Puts the image's own parts into the context; returns build arguments that tell them."""


def lay_bartizan(context: Path) -> dict[str, str]:
    program = parts.program()
    shutil.copytree(program, context / "program")
    shutil.copy(parts.launcher(), context / "launcher")
    (context / "launcher").chmod(0o555)
    return {"PROGRAM": program.name}


def lay_model(context: Path) -> dict[str, str]:
    shutil.copytree(MODEL_SERVER, context / "modelserver", ignore=parts.BYPRODUCTS)
    return {}


IMAGES = (
    Image(
        name="localhost/bartizan",
        archive="bartizan.tar",
        containerfile=HERE / "Containerfile",
        lock=places.REPOSITORY / "requirements.lock",
        lay=lay_bartizan,
    ),
    Image(
        name="localhost/bartizan-demo-model",
        archive="model.tar",
        containerfile=HERE / "model.Containerfile",
        lock=HERE / "demo-requirements.lock",
        lay=lay_model,
    ),
)


def main(arguments: Sequence[str]) -> int:
    wanted = parse(arguments)
    try:
        with locks.exclusive(places.cache() / "images" / ".lock", waiting_for="it is building images"):
            engine = engines.choose(wanted.engine)
            base = choose_base(engine, os.environ.get("BASE_IMAGE"))
            for image in IMAGES:
                print(*build(image, engine, base), flush=True)
    except Complaint as complaint:
        print(f"images/build: {complaint}", file=sys.stderr)
        return 1
    return 0


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="images/build",
        description="Builds the project's images. Prints a line for each: name with content tag, archive, size. "
        "The image also has the tag dev.",
        epilog=f"BASE_IMAGE sets the base; else docker and podman use {REGISTRY_BASE}, and buildah makes one from "
        "Debian packages, without a registry.",
    )
    parser.add_argument("--engine", choices=("docker", "podman", "buildah"), help="default: the first that answers")
    return parser.parse_args(arguments)


def choose_base(engine: Engine, named: str | None) -> Base:
    if isinstance(engine, Buildah):
        engines.require("buildah")
        if named is None:
            return Base(local_base.ensure(engine), local_base.PYTHON)
    name = named or REGISTRY_BASE
    return Base(name, engine.python_of(name))


def build(image: Image, engine: Engine, base: Base) -> tuple[str, Path, str]:
    """Lay out the context anew each time: its hash is the tag, and an archive of that name is current."""
    with tempfile.TemporaryDirectory() as scratch:
        context = Path(scratch)
        wheels = parts.dependencies(image.lock, base.python)
        shutil.copytree(wheels, context / "dependencies")
        shutil.copy(image.containerfile, context / "Containerfile")
        own = image.lay(context)
        key = content.key(base.name, context)
        archive = places.cache() / "images" / key / image.archive
        arguments = {"BASE": base.name, "DEPENDENCIES": wheels.name, **own}
        if not archive.exists():
            make(Recipe(context, arguments, (f"{image.name}:{key}", f"{image.name}:dev")), engine, archive)
            forget_old(image)
    return f"{image.name}:{key}", archive, f"{archive.stat().st_size / 1e6:.0f} MB"


def make(recipe: Recipe, engine: Engine, archive: Path) -> None:
    with parts.scratch(archive.parent) as partial, progress.step(f"building {recipe.names[0]}"):
        engine.build(recipe, partial / archive.name)


def forget_old(image: Image) -> None:
    """Archives are large; the newest few stay, for whoever goes back and forth."""
    found = (places.cache() / "images").glob(f"*/{image.archive}")
    for old in sorted(found, key=lambda archive: archive.stat().st_mtime)[:-KEPT_ARCHIVES]:
        shutil.rmtree(old.parent)
