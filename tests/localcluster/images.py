"""Images of the node: archives loaded into containerd, and two of our own made from one static binary each."""

import hashlib
import io
import json
import platform
import tarfile
from pathlib import Path
from typing import Any

from tests.localcluster import sandbox, versions
from tests.localcluster.binaries import tool
from tests.localcluster.complaints import Complaint
from tests.localcluster.places import write_changed
from tests.localcluster.record import Level, Record

PAUSE = "localhost/bartizan-pause:1"
COREDNS = f"localhost/bartizan-coredns:{versions.COREDNS}"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_CTR = ("ctr", "--address", "/run/containerd/containerd.sock", "--namespace", "k8s.io")


def load(record: Record, archive: Path) -> list[str]:
    """Import a docker-archive unless the node has it already; the names that the node knows its images by."""
    if record.level is not Level.NODE:
        raise Complaint(f"{record.name} is a control plane without a node: nothing runs images there")
    contents = _contents(archive)
    names = [name for image in contents for name in image["RepoTags"]]
    wanted = {name: image["Config"] for image in contents for name in image["RepoTags"]}
    if not wanted.items() <= _imported(record).items():
        sandbox.run(record, *_CTR, "images", "import", str(archive.absolute()))
        remembered = {**_imported(record), **wanted}
        write_changed(_memory(record), json.dumps(remembered))
    return names


def _contents(archive: Path) -> list[dict[str, Any]]:
    """The archive's own list: of each image the names, and a configuration whose file name is its digest."""
    try:
        with tarfile.open(archive) as tar:
            listed = tar.extractfile("manifest.json")
            assert listed
            return list(json.load(listed))
    except (OSError, tarfile.TarError, KeyError, ValueError) as error:
        raise Complaint(f"{archive} is no docker-archive of an image: {error}") from error


def _imported(record: Record) -> dict[str, str]:
    """The configuration behind each name that was imported and that the runtime still has."""
    memory = _memory(record)
    known: dict[str, str] = json.loads(memory.read_text()) if memory.exists() else {}
    present = loaded(record)
    return {name: configuration for name, configuration in known.items() if name in present}


def _memory(record: Record) -> Path:
    return record.places.data / "images.json"


def ensure_own(record: Record) -> None:
    present = loaded(record)
    for name, program in ((PAUSE, "pause"), (COREDNS, "coredns")):
        if name not in present:
            archive = record.places.data / f"{program}.tar"
            write_archive(archive, tool(program), name)
            load(record, archive)
            archive.unlink()


def loaded(record: Record) -> list[str]:
    return sandbox.run(record, *_CTR, "images", "list", "--quiet").split()


def is_runtime_ready(record: Record) -> bool:
    return sandbox.succeeds(record, *_CTR, "version")


def write_archive(archive: Path, binary: Path, name: str) -> None:
    """A docker-archive whose one layer holds the binary at the root; the same bytes make the same image."""
    layer = _tar({binary.name: binary.resolve().read_bytes()}, mode=0o755)
    digest = hashlib.sha256(layer).hexdigest()
    configuration = {
        "architecture": _ARCHITECTURES.get(platform.machine(), platform.machine()),
        "os": "linux",
        "config": {"Entrypoint": [f"/{binary.name}"], "User": "65532:65532"},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
    }
    packed_configuration = json.dumps(configuration).encode()
    configuration_file = f"{hashlib.sha256(packed_configuration).hexdigest()}.json"
    index = [{"Config": configuration_file, "RepoTags": [name], "Layers": [f"{digest}/layer.tar"]}]
    files = {
        "manifest.json": json.dumps(index).encode(),
        configuration_file: packed_configuration,
        f"{digest}/layer.tar": layer,
    }
    archive.write_bytes(_tar(files, mode=0o644))


def _tar(files: dict[str, bytes], *, mode: int) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for path, content in files.items():
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode = len(content), mode
            tar.addfile(entry, io.BytesIO(content))
    return packed.getvalue()
