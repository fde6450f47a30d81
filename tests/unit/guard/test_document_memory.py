"""A guard whose container starts anew does not take up a document older than the last one that it enforced."""

import json
from pathlib import Path

import pytest
from tests.unit.guard import running
from tests.unit.guard.running import DOCUMENT, SIGNING_KEY, Model, chat, client_key, document

from bartizan.guard.document_memory import FILE_NAME, DocumentMemory
from bartizan.policy import document as documents

GARBAGE = [b"", b"\n", b"12", b"x\n", b"-1\n", b"1 2\n", b"1\n2\n", b"\xff\n", b"\xd9\xa1\n", b"9" * 5000 + b"\n"]


def test_what_was_kept_is_recalled(tmp_path: Path) -> None:
    for version in (1, 1_764_126_311_000):
        DocumentMemory(tmp_path).keep(version)
        assert DocumentMemory(tmp_path).recall() == version
    assert [file.name for file in tmp_path.iterdir()] == [FILE_NAME]


def test_the_first_start_and_no_directory_recall_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    DocumentMemory(None).keep(5)
    assert (DocumentMemory(None).recall(), DocumentMemory(tmp_path).recall()) == (0, 0)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("text", GARBAGE, ids=range(len(GARBAGE)))
def test_garbage_is_no_memory_and_is_said(tmp_path: Path, text: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / FILE_NAME).write_bytes(text)
    assert DocumentMemory(tmp_path).recall() == 0
    assert json.loads(capfd.readouterr().err)["message"] == "document memory cannot be read"


def test_a_memory_that_cannot_be_written_is_said(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    DocumentMemory(tmp_path / "absent").keep(5)
    assert json.loads(capfd.readouterr().err)["message"] == "document memory cannot be written"


def test_t63_an_older_document_is_not_taken_up_after_a_restart(tmp_path: Path, model: Model) -> None:
    state = tmp_path / "state"
    state.mkdir()
    flags = ["--state-directory", str(state)]
    newer = document(version=2_000, keys=(client_key(epoch=2),))
    with running.guard(tmp_path, model.upstream, *flags) as guard:
        guard.take_up(newer)
    with running.guard(tmp_path, model.upstream, *flags, given=DOCUMENT) as guard:
        assert guard.status()["reason"] == "DocumentOutdated"
        assert guard.ask(chat()).status == 503
        guard.write(documents.encode(newer, SIGNING_KEY))
        running.eventually(lambda: guard.status()["documentVersion"] == 2_000, "the one that was enforced")
    (state / FILE_NAME).write_text("garbage")
    with running.guard(tmp_path, model.upstream, *flags, given=DOCUMENT) as guard:
        assert guard.ask(chat()).status == 200
        assert "document memory cannot be read" in guard.log()
