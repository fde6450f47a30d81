"""What the local cluster writes: images, certificates, kubeconfigs, locks, builds."""

import json
import os
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from tests.localcluster import binaries, certificates, gobuild, images, kubeconfigs, locks, mounts, places
from tests.localcluster.certificates import Subject
from tests.localcluster.complaints import Complaint
from tests.localcluster.kubeconfigs import Access


def test_the_same_binary_makes_the_same_image(tmp_path: Path) -> None:
    binary = tmp_path / "pause"
    binary.write_bytes(b"\x7fELF")
    for name in ("one.tar", "two.tar"):
        images.write_archive(tmp_path / name, binary, "localhost/pause:1")
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()
    with tarfile.open(tmp_path / "one.tar") as archive:
        listed = json.load(archive.extractfile("manifest.json") or pytest.fail("no manifest"))
    assert listed[0]["RepoTags"] == ["localhost/pause:1"]


def test_a_certificate_carries_user_group_and_addresses(tmp_path: Path) -> None:
    pair = certificates.ensure(tmp_path, "node", Subject("system:node:n", "system:nodes", ("10.0.0.2", "n")))
    read = x509.load_pem_x509_certificate(pair.certificate.read_bytes())
    root = x509.load_pem_x509_certificate(certificates.pair(tmp_path, "ca").certificate.read_bytes())
    read.verify_directly_issued_by(root)
    assert read.subject.rfc4514_string() == "CN=system:node:n,O=system:nodes"
    names = read.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["n"]
    assert pair.key.stat().st_mode & 0o777 == 0o600


def test_a_certificate_is_made_once(tmp_path: Path) -> None:
    first = certificates.ensure(tmp_path, "a", Subject("a")).certificate.read_bytes()
    assert certificates.ensure(tmp_path, "a", Subject("a")).certificate.read_bytes() == first


def test_a_kubeconfig_names_its_server_and_is_private(tmp_path: Path) -> None:
    client = certificates.ensure(tmp_path, "a", Subject("a"))
    authority = certificates.pair(tmp_path, "ca").certificate
    path = kubeconfigs.write(tmp_path / "config", Access("one", "https://10.0.0.2:6443", authority, client))
    assert kubeconfigs.server_of(path) == "https://10.0.0.2:6443"
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_kubeconfig_without_a_context_is_a_complaint(tmp_path: Path) -> None:
    (tmp_path / "config").write_text("{}")
    with pytest.raises(Complaint, match="kubectl config use-context"):
        kubeconfigs.server_of(tmp_path / "config")


def test_a_file_that_says_so_already_is_not_touched(tmp_path: Path) -> None:
    before = places.write_changed(tmp_path / "f", "same").stat().st_ino
    assert places.write_changed(tmp_path / "f", "same").stat().st_ino == before
    assert places.write_changed(tmp_path / "f", "other").stat().st_ino != before


def test_a_lock_whose_file_is_deleted_still_excludes(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    with locks.exclusive(lock, waiting_for="nothing"):
        lock.unlink()
    with locks.exclusive(lock, waiting_for="nothing"):
        assert locks.try_hold(lock) is None
    held = locks.try_hold(lock)
    assert held is not None
    os.close(held)


def test_a_build_is_stale_when_its_source_or_version_changes(tmp_path: Path) -> None:
    (tmp_path / "main.go").write_text("package main")
    program = replace(gobuild.PAUSE, source=tmp_path)
    first = gobuild.fingerprint(program)
    assert gobuild.fingerprint(replace(program, version="2")) != first
    (tmp_path / "main.go").write_text("package main // changed")
    assert gobuild.fingerprint(program) != first


def test_brought_binaries_come_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("etcd", "kube-apiserver"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path))
    assert binaries.tool("etcd") == tmp_path / "etcd"
    monkeypatch.setenv("TEST_ASSET_KUBE_APISERVER", "/bin/true")
    assert binaries.tool("kube-apiserver") == Path("/bin/true")
    monkeypatch.setenv("TEST_ASSET_KUBE_APISERVER", "/nowhere")
    with pytest.raises(Complaint, match="cannot be executed"):
        binaries.tool("kube-apiserver")


def test_an_unknown_tool_is_a_complaint_that_lists_the_known() -> None:
    with pytest.raises(Complaint, match=r"no tool is called 'docker'; there are .*helm"):
        binaries.tool("docker")


def test_nothing_is_mounted_below_a_plain_directory(tmp_path: Path) -> None:
    assert mounts.below(tmp_path) == []
