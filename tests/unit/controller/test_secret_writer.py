"""Secrets are written without being read: neither too often nor too seldom, and never over a stranger's."""

import asyncio
from typing import Any

import pytest
from tests.unit.controller import worlds
from tests.unit.controller.fake_transport import FakeTransport

from bartizan.controller.api import Api, ApiError, Call
from bartizan.controller.apply import Did, NameTakenError, Outcome
from bartizan.controller.builders import client_secret
from bartizan.controller.secret_writer import SecretWriter
from bartizan.policy import keys
from bartizan.policy.protocols import Protocol

FENCE = ApiError(403, "Forbidden", "bartizan fence: secrets ml/llama.chat-ui: the operator did not make this object")


class Bench:
    """A server that answers with what was sent, at the resourceVersion and with the additions that a test sets."""

    def __init__(self) -> None:
        self.transport = FakeTransport(self._answer)
        self.now = 0.0
        self.version = "1"
        self.added: dict[str, Any] = {}
        self.refusals: list[ApiError] = []
        self.writer = SecretWriter(Api(self.transport), clock=lambda: self.now, interval_seconds=10)

    def _answer(self, call: Call) -> dict[str, Any] | ApiError:
        if self.refusals:
            return self.refusals.pop(0)
        metadata = {"resourceVersion": self.version, "managedFields": [{"manager": "mallory", "time": "t"}]}
        body = call.body if call.method == "PATCH" and "data" in (call.body or {}) else _secret()
        own = body.get("metadata", {})
        return {**body, "metadata": {**own, **metadata, **self.added}}

    def write(self, epoch: int = 1, seen: dict[str, str] | None = None) -> Outcome | None:
        return asyncio.run(self.writer.ensure(_secret(epoch), seen))

    @property
    def methods(self) -> list[str]:
        return [call.method for call in self.transport.calls]


def _secret(epoch: int = 1) -> dict[str, Any]:
    credential = keys.client_credential(worlds.ROOT, worlds.IDENTITY, "chat-ui", epoch=epoch)
    return client_secret.build(worlds.IDENTITY, "chat-ui", credential, Protocol.OPENAI, has_tls=False)


def test_unseen_it_is_written_again_after_a_while() -> None:
    bench = Bench()
    for now in (0, 5, 9.9, 10, 15):
        bench.now = now
        bench.write()
    assert bench.methods == ["PATCH"] * 2


def test_seen_it_is_written_only_when_it_has_moved() -> None:
    bench = Bench()
    bench.write(seen={})
    bench.now = 1000
    bench.write(seen={"llama.chat-ui": "1"})
    assert len(bench.methods) == 1
    bench.write(seen={"llama.chat-ui": "2"})
    bench.write(seen={})
    assert len(bench.methods) == 3


def test_other_content_is_written_at_once_and_is_no_repair() -> None:
    bench = Bench()
    bench.write()
    bench.version = "2"
    assert bench.write(epoch=2) is None
    assert len(bench.methods) == 2


def test_what_had_to_be_put_back_is_told_with_its_writer() -> None:
    bench = Bench()
    bench.write()
    bench.now, bench.version = 10, "7"
    outcome = bench.write()
    assert outcome is not None
    assert (outcome.did, outcome.kind, outcome.manager) == (Did.REPAIRED, "Secret", "mallory")
    assert outcome.live == {}, "no key goes where outcomes go"


def test_what_others_added_is_taken_away() -> None:
    bench = Bench()
    bench.added = {"finalizers": ["x"], "annotations": {"a": "b"}, "ownerReferences": []}
    bench.write()
    patch = bench.transport.last.body["metadata"]
    assert patch["annotations"] == {"a": None}
    assert patch["finalizers"] is None
    assert patch["ownerReferences"] == _secret()["metadata"]["ownerReferences"]


def test_an_immutable_one_is_made_anew() -> None:
    bench = Bench()
    bench.refusals = [ApiError(422, "Invalid", "data: Forbidden: field is immutable when `immutable` is set")]
    bench.write()
    assert bench.methods == ["PATCH", "DELETE", "PATCH"]


def test_another_refusal_deletes_nothing() -> None:
    bench = Bench()
    bench.refusals = [ApiError(422, "Invalid", "data: too long")]
    with pytest.raises(ApiError):
        bench.write()
    assert bench.methods == ["PATCH"]


def test_a_strangers_secret_is_told_of() -> None:
    bench = Bench()
    bench.refusals = [FENCE]
    with pytest.raises(NameTakenError, match=r"Secret llama\.chat-ui"):
        bench.write()


def test_removing_is_done_once_and_again_after_it_was_issued_anew() -> None:
    bench = Bench()
    names = ["llama.chat-ui"]
    for _ in range(2):
        asyncio.run(bench.writer.remove("ml", names))
    bench.write()
    asyncio.run(bench.writer.remove("ml", names))
    assert bench.methods == ["DELETE", "PATCH", "DELETE"]


def test_a_strangers_secret_under_a_withdrawn_name_is_let_be() -> None:
    bench = Bench()
    bench.refusals = [FENCE]
    asyncio.run(bench.writer.remove("ml", ["llama.chat-ui"]))
    assert bench.methods == ["DELETE"]


def test_what_is_seen_not_to_be_there_is_not_deleted() -> None:
    bench = Bench()
    asyncio.run(bench.writer.remove("ml", ["llama.a", "llama.b"], seen={"llama.b": "1"}))
    assert [call.path.rpartition("/")[2] for call in bench.transport.calls] == ["llama.b"]


def test_of_many_only_so_many_are_deleted_at_once_and_the_rest_later() -> None:
    bench = Bench()
    names = [f"llama.c{number}" for number in range(20)]
    counts = []
    for _ in range(4):
        are_left = asyncio.run(bench.writer.remove("ml", names, most=8))
        counts.append((len(bench.methods), are_left))
    assert counts == [(8, True), (16, True), (20, False), (20, False)]
