"""Images of the node: archives loaded into containerd, and two of our own made from one static binary each."""

import hashlib
import io
import json
import tarfile
from pathlib import Path

from tests.localcluster import sandbox, versions
from tests.localcluster.binaries import tool
from tests.localcluster.complaints import Complaint
from tests.localcluster.record import Level, Record

PAUSE = "localhost/bartizan-pause:1"
COREDNS = f"localhost/bartizan-coredns:{versions.COREDNS}"
_CTR = ("ctr", "--address", "/run/containerd/containerd.sock", "--namespace", "k8s.io")


def load(record: Record, archive: Path) -> list[str]:
    """Import a docker-archive or OCI archive; the names that the node knows it by."""
    if record.level is not Level.NODE:
        raise Complaint(f"{record.name} is a control plane without a node: nothing runs images there")
    if not archive.is_file():
        raise Complaint(f"there is no image archive at {archive}")
    said = sandbox.run(record, *_CTR, "images", "import", str(archive.absolute()))
    return [line.split()[1] for line in said.splitlines() if line.startswith("unpacking ")]


def ensure_own(record: Record) -> None:
    for name, program in ((PAUSE, "pause"), (COREDNS, "coredns")):
        if name not in loaded(record):
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
        "architecture": "amd64",
        "os": "linux",
        "config": {"Entrypoint": [f"/{binary.name}"], "User": "65532:65532"},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
    }
    index = [{"Config": "config.json", "RepoTags": [name], "Layers": [f"{digest}/layer.tar"]}]
    files = {
        "manifest.json": json.dumps(index).encode(),
        "config.json": json.dumps(configuration).encode(),
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
