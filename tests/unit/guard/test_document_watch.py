"""Which documents a running guard takes up, and that a bad one changes nothing but what is said of it."""

import json
import math
import time
from collections.abc import Iterator
from pathlib import Path

import jwt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.guard import running
from tests.unit.guard.running import (
    DOCUMENT,
    ENDPOINT,
    SIGNING_KEY,
    Guard,
    Model,
    chat,
    client_key,
    credential,
    document,
    eventually,
)

from bartizan.guard.document_watch import DocumentWatch, Trust
from bartizan.policy import document as documents
from bartizan.policy import keys
from bartizan.policy.document import EndpointRef, GuardDocument
from bartizan.policy.reasons import Reason

OTHER_KEY = keys.signing_key(keys.Hidden(b"another root of precisely 32 B.."))
GOOD = documents.encode(DOCUMENT, SIGNING_KEY)


def _token(payload: bytes, typ: str = documents.TYPE) -> str:
    return jwt.PyJWS(algorithms=["EdDSA"]).encode(payload, SIGNING_KEY, algorithm="EdDSA", headers={"typ": typ})


def _unsigned() -> str:
    payload = GOOD.split(".")[1]
    return f"eyJhbGciOiJub25lIiwidHlwIjoiYmFydGl6YW4tZ3VhcmQtZG9jdW1lbnQrandzIn0.{payload}."


def _changed(**changes: object) -> str:
    return documents.encode(document(version=2_000, **changes), SIGNING_KEY)


BAD = {
    "empty": ("", Reason.DOCUMENT_SIGNATURE_INVALID),
    "half written": (GOOD[: len(GOOD) // 2], Reason.DOCUMENT_SIGNATURE_INVALID),
    "garbage": ("\x00\xff garbage", Reason.DOCUMENT_SIGNATURE_INVALID),
    "another key": (documents.encode(document(version=2_000), OTHER_KEY), Reason.DOCUMENT_SIGNATURE_INVALID),
    "algorithm none": (_unsigned(), Reason.DOCUMENT_SIGNATURE_INVALID),
    "other type": (_token(b"{}", typ="JWT"), Reason.DOCUMENT_SIGNATURE_INVALID),
    "too large": ("x" * (documents.MAX_BYTES + 1), Reason.DOCUMENT_MALFORMED),
    "no object": (_token(b"[]"), Reason.DOCUMENT_MALFORMED),
    "text": (_token(b'"text"'), Reason.DOCUMENT_MALFORMED),
    "no fields": (_token(b"{}"), Reason.DOCUMENT_MALFORMED),
    "other version of the format": (_token(b'{"apiVersion":"guard.bartizan.dev/v9"}'), Reason.DOCUMENT_MALFORMED),
    "unknown protocol": (_changed(protocol="Gopher"), Reason.DOCUMENT_MALFORMED),
    "no limits": (_changed(requests=()), Reason.DOCUMENT_MALFORMED),
    "no replicas": (_changed(replicas=0), Reason.DOCUMENT_MALFORMED),
    "other namespace": (_changed(endpoint=EndpointRef("x", "llama", "uid-1", "namespace-uid-1")), "DocumentForeign"),
    "other endpoint": (_changed(endpoint=EndpointRef("ml", "x", "uid-1", "namespace-uid-1")), "DocumentForeign"),
    "other life": (_changed(endpoint=EndpointRef("ml", "llama", "x", "namespace-uid-1")), "DocumentForeign"),
    "other namespace's life": (_changed(endpoint=EndpointRef("ml", "llama", "uid-1", "x")), "DocumentForeign"),
    "older": (documents.encode(document(version=999), SIGNING_KEY), Reason.DOCUMENT_OUTDATED),
    "as old and different": (documents.encode(document(model="x"), SIGNING_KEY), Reason.DOCUMENT_OUTDATED),
}


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory, model: Model) -> Iterator[Guard]:
    with running.guard(tmp_path_factory.mktemp("watched"), model.upstream) as started:
        yield started


@pytest.mark.parametrize(("text", "reason"), BAD.values(), ids=BAD)
def test_a_bad_document_is_refused_and_the_last_good_one_stays(watched: Guard, text: str, reason: str) -> None:
    watched.write(text.encode("latin-1"))
    eventually(lambda: watched.status()["documentReason"] == reason, reason)
    status = watched.status()
    assert (status["ready"], status["documentHash"]) == (True, documents.hash_of(GOOD))
    assert watched.ask(chat()).status == 200
    assert watched.metric("bartizan_guard_document_good") == 0
    watched.write(GOOD)
    eventually(lambda: watched.status()["documentReason"] == "GuardReady", "good again")


def test_the_age_of_what_is_in_force_is_told(tmp_path: Path, model: Model) -> None:
    """Of the version, which is the time of issue; not of the file, which is newer."""
    age = "bartizan_guard_document_age_seconds"
    with running.guard(tmp_path, model.upstream, given=None) as guard:
        assert math.isnan(guard.metric(age))
        issued = time.time() - 3600
        guard.take_up(document(version=int(issued * 1000)))
        assert 3600 <= guard.metric(age) <= time.time() - issued + 1
        first = guard.metric(age)
        assert guard.metric(age) > first, "computed at the scrape"
        guard.take_up(document(version=int(issued * 1000) + 3_590_000))
        assert 10 <= guard.metric(age) < first


def test_a_vanished_document_stays_in_force_and_shows(watched: Guard) -> None:
    (watched.folder / "document").unlink()
    eventually(lambda: watched.status()["documentReason"] == "DocumentAbsent", "the absence")
    assert watched.ask(chat()).status == 200
    watched.write(GOOD)
    eventually(lambda: watched.status()["documentReason"] == "GuardReady", "good again")


@pytest.mark.parametrize("text", [None, GOOD[:-10]], ids=["none", "bad"])
def test_without_any_good_document_everything_is_refused(tmp_path: Path, model: Model, text: str | None) -> None:
    if text is not None:
        (tmp_path / "document").write_text(text)
    with running.guard(tmp_path, model.upstream, given=None) as guard:
        assert guard.get("statusPort", "/readyz").status == 503
        for answer in (guard.ask(chat()), guard.ask(chat(), key=""), guard.ask(path="/v1/models")):
            assert (answer.status, answer.code) == (503, "service_unavailable")
        guard.write(GOOD)
        eventually(lambda: guard.get("statusPort", "/readyz").status == 200, "ready")
        assert guard.ask(chat()).status == 200


def test_documents_below_the_floor_are_outdated(tmp_path: Path, model: Model) -> None:
    with running.guard(tmp_path, model.upstream, "--document-not-before", "1001") as guard:
        assert guard.status()["reason"] == "DocumentOutdated"
        assert guard.ask(chat()).status == 503
        guard.take_up(document(version=1001))
        assert guard.ask(chat()).status == 200


def test_t55_a_withdrawn_key_is_dead_as_soon_as_the_document_is_there(tmp_path: Path, model: Model) -> None:
    with running.guard(tmp_path, model.upstream) as guard:
        assert guard.ask(chat()).status == 200
        began = time.monotonic()
        guard.write(documents.encode(document(version=1001, keys=(client_key(epoch=2),)), SIGNING_KEY))
        eventually(lambda: guard.ask(chat()).status == 401, "the old key is dead")
        assert time.monotonic() - began < 1
        assert guard.ask(chat(), key=credential(epoch=2).reveal()).status == 200


def test_t55_a_key_withdrawn_while_the_body_is_on_its_way_is_dead(tmp_path: Path, model: Model) -> None:
    body = json.dumps(chat()).encode()
    with running.guard(tmp_path, model.upstream) as guard, guard.connect() as sock:
        sock.sendall(running.request_bytes(body)[: -len(body)])
        guard.take_up(document(version=1001, keys=(client_key(epoch=2),)))
        sock.sendall(body)
        assert running.read_all(sock).startswith(b"HTTP/1.1 401")


def test_t55_a_withdrawn_key_ends_its_answers_and_nobody_elses(tmp_path: Path, model: Model) -> None:
    data = running.request_bytes(json.dumps(chat("/count 100 /slow 20", stream=True)).encode())
    other = data.replace(credential().reveal().encode(), credential("batch").reveal().encode())
    with running.guard(tmp_path, model.upstream) as guard, guard.connect() as withdrawn, guard.connect() as kept:
        withdrawn.sendall(data)
        kept.sendall(other)
        request_id = withdrawn.recv(400).split(b"X-Request-Id: ")[1].split(b"\r\n")[0].decode()
        guard.take_up(document(version=1001, keys=(client_key("batch"),)))
        assert [line["reason"] for line in guard.audited(request_id)] == ["Allowed", "CredentialWithdrawn"]
        assert not running.read_all(withdrawn).endswith(b"0\r\n\r\n")
        assert running.read_all(kept).endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
        assert guard.metric('bartizan_guard_requests_total{reason="CredentialWithdrawn"') == 1


def test_t55_a_withdrawn_key_hears_so_where_its_answer_has_not_begun(tmp_path: Path, model: Model) -> None:
    before = len(model.received())
    with running.guard(tmp_path, model.upstream) as guard, guard.connect() as sock:
        sock.sendall(running.request_bytes(json.dumps(chat("/hold")).encode()))
        eventually(lambda: len(model.received()) == before + 1, "held by the model")
        guard.take_up(document(version=1001, keys=(client_key(epoch=2),)))
        assert running.read_all(sock).startswith(b"HTTP/1.1 401 ")
        number = model.received()[-1]["number"]
        eventually(lambda: {"number": number, "event": "client gone"} in model.events(), "cancelled at the model")
        assert guard.metric("bartizan_guard_requests_in_flight") == 0


def test_a_kubelets_swap_of_links_is_seen(tmp_path: Path, model: Model) -> None:
    """A Secret's volume: document → ..data/document, ..data → a dated folder, swapped by a rename."""
    for name, version in (("..2026_1", 1_000), ("..2026_2", 2_000)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "document").write_text(documents.encode(document(version=version), SIGNING_KEY))
    (tmp_path / "..data").symlink_to("..2026_1")
    (tmp_path / "document").symlink_to("..data/document")
    with running.guard(tmp_path, model.upstream, given=None) as guard:
        assert guard.status()["documentVersion"] == 1_000
        (tmp_path / "..data_tmp").symlink_to("..2026_2")
        (tmp_path / "..data_tmp").rename(tmp_path / "..data")
        eventually(lambda: guard.status()["documentVersion"] == 2_000, "the new document", 2)


def test_swaps_under_load_mix_nothing(tmp_path: Path, model: Model) -> None:
    """With every document one other client is in: a request passes exactly when some document near it says so."""
    with running.guard(tmp_path, model.upstream) as guard:
        for version in range(2_000, 2_020):
            client = ("chat-ui", "batch")[version % 2]
            guard.take_up(document(version=version, keys=(client_key(client),)))
            inside = guard.ask(chat(), key=credential(client).reveal()).status
            outside = guard.ask(chat(), key=credential(("batch", "chat-ui")[version % 2]).reveal()).status
            assert (inside, outside) == (200, 401)


FILES = st.sampled_from(["good", "torn", "foreign", "unsigned", "absent"])


@settings(max_examples=60)
@given(steps=st.lists(st.tuples(FILES, st.integers(1, 30)), max_size=12))
def test_what_is_in_force_never_gets_older_and_is_always_ours(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]]
) -> None:
    file = tmp_path_factory.mktemp("swap") / "document"
    taken: list[GuardDocument] = []
    trust = Trust(SIGNING_KEY.public_key(), ENDPOINT, not_before=5)
    watch = DocumentWatch(file, trust, taken_up=lambda ready: taken.append(ready.document))
    newest = 0
    for kind, version in steps:
        _put(file, kind, version)
        watch.look()
        newest = max(newest, version) if kind == "good" and version >= 5 else newest
        assert (watch.current.document.version if watch.current else 0) == newest
        assert watch.is_good == (kind == "good" and version == newest)
    assert [document.version for document in taken] == sorted({document.version for document in taken})
    assert all(document.endpoint == ENDPOINT for document in taken)


def _put(file: Path, kind: str, version: int) -> None:
    good = documents.encode(document(version=version), SIGNING_KEY)
    foreign = documents.encode(document(version=version, endpoint=EndpointRef("a", "b", "c", "d")), SIGNING_KEY)
    unsigned = documents.encode(document(version=version), OTHER_KEY)
    texts = {"good": good, "torn": good[:-20], "foreign": foreign, "unsigned": unsigned}
    file.unlink(missing_ok=True)
    if kind in texts:
        fresh = file.with_name(f"fresh-{time.monotonic_ns()}")
        fresh.write_text(texts[kind])
        fresh.rename(file)
