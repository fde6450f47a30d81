"""Promises about image archives that need no engine to be kept."""

import io
import json
import tarfile
from pathlib import Path

import pytest
from images import engines
from tests.localcluster.complaints import Complaint


def archive(path: Path, **files: bytes) -> Path:
    with tarfile.open(path, "w") as packed:
        for name, text in files.items():
            entry = tarfile.TarInfo(name.replace("_json", ".json"))
            entry.size = len(text)
            packed.addfile(entry, io.BytesIO(text))
    return path


def test_an_archive_gets_all_names_and_keeps_its_layers(tmp_path: Path) -> None:
    manifest = json.dumps([{"RepoTags": ["a:1"], "Layers": ["layer"]}]).encode()
    old = archive(tmp_path / "old.tar", layer=b"bytes", manifest_json=manifest)
    engines.rename(old, tmp_path / "new.tar", ("a:1", "a:dev"))
    with tarfile.open(tmp_path / "new.tar") as new:
        read = {entry.name: new.extractfile(entry) for entry in new}
        layer, renamed = read["layer"], read["manifest.json"]
        assert layer is not None
        assert renamed is not None
        assert layer.read() == b"bytes"
        assert json.load(renamed) == [{"RepoTags": ["a:1", "a:dev"], "Layers": ["layer"]}]


def test_an_engine_that_was_asked_for_and_is_silent_is_a_complaint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(Complaint, match="podman does not answer"):
        engines.choose("podman")


def test_without_docker_and_podman_buildah_builds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert engines.choose(None).program == "buildah"
