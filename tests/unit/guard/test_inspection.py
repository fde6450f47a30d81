"""The seam sees everything: each string of each request, each text of each answer wherever its bytes are cut."""

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from tests.unit.guard.inspectors import Blot, HoldBack
from tests.unit.guard.running import document
from tests.unit.guard.seeds import CANARY, seeded
from tests.unit.guard.stand import Stand

from bartizan.guard.answers import Streamed
from bartizan.guard.enforcement import PROFILES
from bartizan.guard.event_stream import EventStream
from bartizan.guard.inspection import Inspector, Leaf, LetPass, Place
from bartizan.guard.profiles.contract import Terms
from bartizan.guard.profiles.openai_answers import DONE, ChunkReader
from bartizan.guard.refusal import Refusal
from bartizan.guard.tally import Tally
from bartizan.policy.reasons import Reason

BUILT = {name: build(Terms("demo")) for name, build in PROFILES.items()}
ROUTES = {
    (name, route.path.decode()): route.schema
    for name, profile in BUILT.items()
    for route in profile.routes.values()
    if route.schema is not None
}
LEAVES = [
    (protocol, path, body)
    for (protocol, path), rule in ROUTES.items()
    for body in seeded(rule)
    if body.get("model") != CANARY  # another model is refused whatever its name
]
COUNTED = {
    ("OpenAI", "/v1/chat/completions"): 59,
    ("OpenAI", "/v1/completions"): 7,
    ("OpenAI", "/v1/embeddings"): 3,
    ("OpenAI", "/v1/responses"): 55,
    ("KServeV2", "/v2/models/demo/infer"): 5,
    ("Anthropic", "/v1/messages"): 49,
    ("Anthropic", "/v1/messages/count_tokens"): 47,
}


def test_there_is_a_body_for_each_string_of_the_schemas() -> None:
    found = Counter((protocol, path) for protocol, path, _ in LEAVES)
    assert found == COUNTED, "a new string of a schema? look at it, then count it"


@pytest.fixture(scope="module")
def stands(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Stand]:
    return {name: Stand(tmp_path_factory.mktemp("stand"), document(protocol=name)) for name in PROFILES}


@pytest.mark.parametrize(
    ("protocol", "path", "body"), LEAVES, ids=[f"{path}-{json.dumps(body)[:80]}" for _, path, body in LEAVES]
)
def test_every_string_that_reaches_the_model_was_seen(
    stands: dict[str, Stand], protocol: str, path: str, body: dict[str, Any]
) -> None:
    stand, recorder = stands[protocol], HoldBack(0)
    before = len(stand.model.bodies)
    stand.wire.written = b""
    stand.ask(json.dumps(body).encode(), path, inspector=lambda: recorder)
    (sent,) = stand.model.bodies[before:]
    assert CANARY.encode() in sent
    assert [leaf.text for leaf in recorder.leaves].count(CANARY) == 1


def test_what_the_seam_refuses_reaches_no_model_and_holds_nothing(tmp_path: Path) -> None:
    class Refuses(LetPass):
        def request(self, leaves: Iterable[Leaf]) -> None:
            if any("hello" in leaf.text for leaf in leaves):
                raise Refusal(Reason.FIELD_INVALID, "Say something else.")

    stand = Stand(tmp_path)
    assert stand.ask(inspector=Refuses)[0] == 400
    assert stand.model.bodies == []
    (entry,) = stand.tape.entries
    assert (entry["audit"], entry["reason"]) == ("decision", "FieldInvalid")
    assert all(level.held == 0 for level in stand.gate.budgets._levels["chat-ui"].values())


TEXTS = {0: "a 😀 se", 1: "the secret of é"}
PIECES = [
    b": ping\r\n\r\n",
    b'data: {"choices":[{"index":0,"delta":{"role":"assistant","content":"a "}}]}\n\n',
    b'data: {"choices":[{"index":1,"delta":{"content":"the sec"}},',
    '{"index":0,"delta":{"content":"😀"}}]}\r\n\r\n'.encode(),
    b'id: 7\ndata: {"choices":\ndata: [{"index":1,"delta":{"content":"ret"}}]}\n\n',
    b'data: {"choices":[{"index":0,"delta":{"content":" se"},"finish_reason":"stop"}]}\n\n',
    b'data: {"choices":[{"index":1,"delta":{"content":" of \\u00e9"}}]}\r\rdata: [DONE]\n\n',
]
WIRE = b"".join(PIECES)


def streamed(inspector: Inspector, pieces: Iterable[bytes]) -> dict[int, str]:
    """What a caller puts together, by choice."""
    tally = Tally()
    answer = Streamed(ChunkReader(inspector, tally, shows_usage=False), tally, 100)
    out = b"".join([answer.piece(piece) for piece in pieces]) + answer.end()
    found: dict[int, str] = {}
    for event in EventStream().feed(out):
        for choice in json.loads(event.data)["choices"] if event.data and event.data != DONE else ():
            found[choice["index"]] = found.get(choice["index"], "") + choice["delta"].get("content", "")
    return found


@pytest.mark.parametrize("most", [0, 1, 4, 100])
def test_holding_back_loses_nothing_wherever_the_bytes_are_cut(most: int) -> None:
    assert streamed(HoldBack(most), (bytes([byte]) for byte in WIRE)) == TEXTS
    for cut in range(len(WIRE) + 1):
        assert streamed(HoldBack(most), (WIRE[:cut], WIRE[cut:])) == TEXTS


def test_no_split_lets_a_term_escape() -> None:
    blotted = {0: TEXTS[0], 1: "the ****** of é"}
    for cut in range(len(WIRE) + 1):
        assert streamed(Blot("secret"), (WIRE[:cut], WIRE[cut:])) == blotted
    for cut in range(len("a secret here") + 1):
        said = ["a secret here"[:cut], "a secret here"[cut:]]
        chunks = [json.dumps({"choices": [{"index": 0, "delta": {"content": text}}]}).encode() for text in said]
        wire = [b"data: %b\n\n" % chunk for chunk in (*chunks, DONE)]
        assert streamed(Blot("secret"), wire) == {0: "a ****** here"}


def test_a_place_tells_choices_and_fields_apart() -> None:
    holding = HoldBack(0)
    streamed(holding, PIECES)
    assert {place: text for place, text in holding.seen.items() if place.path[-1] == "content"} == {
        Place(index, ("delta", "content")): text for index, text in TEXTS.items()
    }
