"""Knows how to make a base image with Python where no image registry can be reached: from Debian's own packages."""

import subprocess
import tempfile
from pathlib import Path

from tests.localcluster import progress

from images import content
from images.engines import Buildah, require
from images.parts import run

SUITE = "bookworm"
PYTHON = "3.11"
"""The Python of that suite."""

PACKAGES = ("python3-minimal", "python3-venv", "ca-certificates")
LEFT_OUT = tuple(f"/usr/share/{kind}/*" for kind in ("doc", "man", "locale", "info"))
TRACES = ("etc/apt/sources.list*", "etc/apt/apt.conf.d/99mmdebstrap", "var/lib/apt/lists/*", "var/cache/apt/*")
"""Of the machine that made the image."""

BALLAST = ("usr/share/perl/*", "usr/lib/*/perl/*", "usr/lib/*/gconv/*")
"""The large Perl comes with the installation's tools and runs nothing afterwards."""

HOST_SOURCES = (Path("/etc/apt/sources.list.d/debian.sources"), Path("/etc/apt/sources.list"))


def ensure(buildah: Buildah) -> str:
    """The base's name; made when it is not there yet."""
    require("buildah", "mmdebstrap")
    name = f"localhost/bartizan-base:{content.key(Path(__file__))}"
    if not buildah.has(name):
        step = progress.step("building a base image from Debian packages (once, about 40 s)")
        with step, tempfile.TemporaryDirectory() as scratch:
            filesystem = Path(scratch) / "base.tar"
            bootstrap(filesystem)
            buildah.take_filesystem(filesystem, name)
    return name


def bootstrap(filesystem: Path) -> None:
    options = ["--quiet", "--variant=minbase", f"--include={','.join(PACKAGES)}"]
    options += [f"--aptopt={line}" for line in host_apt_options()]
    options += [f"--dpkgopt=path-exclude={pattern}" for pattern in LEFT_OUT]
    removed = " ".join(f'"$1"/{pattern}' for pattern in TRACES + BALLAST)
    options += [f"--customize-hook=rm -rf {removed}"]
    sources = [str(source) for source in HOST_SOURCES if is_of_suite(source)][:1]
    run(["mmdebstrap", *options, SUITE, str(filesystem), *sources])


def is_of_suite(source: Path) -> bool:
    return source.exists() and SUITE in source.read_text()


def host_apt_options() -> list[str]:
    """How this machine reaches its packages (a proxy, say) is how the base is reached."""
    dump = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=True).stdout
    kept = ("Acquire::http", "Acquire::https", "Acquire::Check-")
    return [line.rstrip(";") for line in dump.splitlines() if line.startswith(kept) and not line.endswith(' "";')]
