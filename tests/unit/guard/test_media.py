"""Images in a request: none unless the owner says so, then of the types and sizes said, and what they say they are."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest
from tests.unit.guard import running
from tests.unit.guard.inspectors import HoldBack
from tests.unit.guard.running import Guard, Model, chat, credential, document
from tests.unit.guard.stand import Stand

from bartizan.guard.profiles import media
from bartizan.guard.refusal import Refusal
from bartizan.policy import document as documents
from bartizan.policy import media as media_terms
from bartizan.policy.document import GuardDocument
from bartizan.policy.media import MediaTerms

TERMS = MediaTerms(("image/jpeg", "image/png"), max_bytes=1000, tokens=700)
PNG = b"\x89PNG\r\n\x1a\n" + b"\x00" * 100
JPEG = b"\xff\xd8\xff\xe0" + b"\x00" * 100
WEBP = b"RIFF\x00\x00\x00\x00WEBPVP8 "


def encoded(image: bytes) -> str:
    return base64.b64encode(image).decode()


def url(image: bytes = PNG, kind: str = "image/png") -> str:
    return f"data:{kind};base64,{encoded(image)}"


def shown(address: str, **more: Any) -> dict[str, Any]:
    parts = [{"type": "text", "text": "look"}, {"type": "image_url", "image_url": {"url": address, **more}}]
    return {"model": "demo", "messages": [{"role": "user", "content": parts}]}


def answered(address: str) -> dict[str, Any]:
    part = {"type": "input_image", "detail": "auto", "image_url": address}
    return {"model": "demo", "input": [{"role": "user", "content": [part, {"type": "input_text", "text": "look"}]}]}


def block(image: bytes = PNG, kind: str = "image/png") -> dict[str, Any]:
    return {"type": "image", "source": {"type": "base64", "media_type": kind, "data": encoded(image)}}


def message(*blocks: dict[str, Any]) -> dict[str, Any]:
    return {"model": "demo", "max_tokens": 5, "messages": [{"role": "user", "content": list(blocks)}]}


def opened(**changes: Any) -> GuardDocument:
    return document(media=TERMS, max_output_tokens=100, **changes)


@pytest.fixture(scope="module")
def guard(tmp_path_factory: pytest.TempPathFactory, model: Model) -> Iterator[Guard]:
    with running.guard(tmp_path_factory.mktemp("images"), model.upstream, given=opened()) as started:
        yield started


@pytest.fixture(scope="module")
def claude(tmp_path_factory: pytest.TempPathFactory, model: Model) -> Iterator[Guard]:
    given = opened(protocol="Anthropic")
    with running.guard(tmp_path_factory.mktemp("claude"), model.upstream, given=given) as started:
        yield started


def test_sdks_show_images(guard: Guard, claude: Guard, model: Model) -> None:
    key = credential().reveal()
    with openai.OpenAI(base_url=guard.base_url, api_key=key, max_retries=0) as client:
        client.chat.completions.create(**shown(url(), detail="low"))
        assert url() in model.received()[-1]["body"]
        client.responses.create(**answered(url(JPEG, "image/jpeg")))
        assert encoded(JPEG) in model.received()[-1]["body"]
    with anthropic.Anthropic(base_url=f"http://127.0.0.1:{claude.port}", api_key=key, max_retries=0) as other:
        result = {"type": "tool_result", "tool_use_id": "t", "content": [block(JPEG, "image/jpeg")]}
        other.messages.create(**message(block(), result))
        assert encoded(JPEG) in model.received()[-1]["body"]
        other.messages.count_tokens(model="demo", messages=message(block())["messages"])


def test_without_the_owners_word_there_are_none(tmp_path: Path, model: Model) -> None:
    with running.guard(tmp_path, model.upstream, given=document()) as closed:
        assert closed.ask(shown(url())).json()["error"]["param"] == "messages[0].content[1].type"
        assert closed.ask(answered(url()), path="/v1/responses").status == 400


@pytest.mark.parametrize(
    "address",
    [
        "http://169.254.169.254/latest/meta-data",
        "https://example.com/a.png",
        "file:///etc/passwd",
        "ftp://example.com/a.png",
        "//example.com/a.png",
        "data:text/plain;base64," + encoded(PNG),
        "data:image/svg+xml;base64," + encoded(b"<svg/>"),
        "data:image/gif;base64," + encoded(b"GIF89a"),
        "data:image/png," + encoded(PNG),
        "data:image/png;charset=utf-8;base64," + encoded(PNG),
        "DATA:image/png;base64," + encoded(PNG),
        "data:image/PNG;base64," + encoded(PNG),
        "data:image/png;base64,",
        "data:image/png;base64",
        url(JPEG),
        url(PNG, "image/jpeg"),
        url(PNG + b"\x00" * 1000),
        url() + "=",
        url()[:-1],
        url().replace("A", "A\n", 1),
        url().replace("A", " A", 1),
        url().replace("A", "é", 1),
        "data:image/png;base64," + encoded(PNG).rstrip("=") + "!!" + "=" * 2,
        "data:image/png;base64,data:image/png;base64," + encoded(PNG),
    ],
)
def test_nothing_else_passes_for_an_image(guard: Guard, model: Model, address: str) -> None:
    before = len(model.received())
    for refused in (guard.ask(shown(address)), guard.ask(answered(address), path="/v1/responses")):
        assert refused.status == 400
        assert "image_url" in refused.json()["error"]["param"]
    assert len(model.received()) == before


@pytest.mark.parametrize(
    "body",
    [
        message(block(JPEG)),
        message(block(b"GIF89a", "image/gif")),
        message(block(PNG + b"\x00" * 1000)),
        message({"type": "image", "source": {"type": "url", "url": "http://10.0.0.1/"}}),
        message({"type": "image", "source": {"type": "file", "file_id": "f"}}),
        message({"type": "image", "source": {**block()["source"], "url": "http://10.0.0.1/"}}),
        message({"type": "tool_result", "tool_use_id": "t", "content": [block(JPEG)]}),
        {**message(block()), "messages": [{"role": "assistant", "content": [block()]}]},
        {**message(block()), "system": [block()]},
    ],
)
def test_nothing_else_passes_for_an_image_of_anthropics(claude: Guard, model: Model, body: dict[str, Any]) -> None:
    before = len(model.received())
    assert claude.ask(body, path="/v1/messages", anthropic_version="2023-06-01").status == 400
    assert len(model.received()) == before


def test_only_users_show_images(guard: Guard) -> None:
    for role in ("system", "assistant", "developer"):
        body = shown(url())
        body["messages"][0]["role"] = role
        assert guard.ask(body).status == 400


@pytest.mark.parametrize(
    ("image", "kind", "is_one"),
    [
        (PNG, "image/png", True),
        (JPEG, "image/jpeg", True),
        (b"GIF87a", "image/gif", True),
        (WEBP, "image/webp", True),
        (b"RIFF\x00\x00\x00\x00WAVEfmt ", "image/webp", False),
        (b"RIFF", "image/webp", False),
        (b"\x89PNG", "image/png", False),
        (b"", "image/png", False),
        (b"#!/bin/sh", "image/jpeg", False),
    ],
)
def test_an_image_begins_as_its_type_does(image: bytes, kind: str, *, is_one: bool) -> None:
    rule = media.Image(MediaTerms((kind,), 1000, 1))
    if is_one:
        rule.check(encoded(image), kind, "here")
        return
    with pytest.raises(Refusal):
        rule.check(encoded(image), kind, "here")


@pytest.mark.parametrize(("size", "passes"), [(998, True), (999, True), (1000, True), (1001, False), (1002, False)])
def test_the_largest_image_is_as_large_as_said(size: int, *, passes: bool) -> None:
    rule = media.data_url(TERMS)
    image = PNG + b"\x00" * (size - len(PNG))
    if passes:
        rule.judge(url(image), "here")
        return
    with pytest.raises(Refusal, match="1000 bytes") as refused:
        rule.judge(url(image), "here")
    assert refused.value.param == "here"


@pytest.mark.parametrize(
    ("protocol", "path", "body"),
    [
        ("OpenAI", running.CHAT, shown(url())),
        ("OpenAI", "/v1/responses", answered(url())),
        ("Anthropic", "/v1/messages", message(block(), {"type": "text", "text": "look"})),
    ],
)
def test_an_image_is_one_string_to_the_seam_and_costs_what_was_said(
    tmp_path: Path, protocol: str, path: str, body: dict[str, Any]
) -> None:
    stand, recorder = Stand(tmp_path, opened(protocol=protocol)), HoldBack(0)
    stand.ask(json.dumps(body).encode(), path, inspector=lambda: recorder)
    (image,) = [leaf.text for leaf in recorder.leaves if encoded(PNG) in leaf.text]
    (sent,) = stand.model.bodies
    held = next(entry["heldTokens"] for entry in stand.tape.entries if entry["audit"] == "decision")
    most_output = 5 if protocol == "Anthropic" else 100
    assert held == len(sent) - len(image) + TERMS.tokens + 8 + most_output


@pytest.mark.parametrize(
    "terms",
    [
        {"types": [], "max_bytes": 1, "tokens": 1},
        {"types": ["image/svg+xml"], "max_bytes": 1, "tokens": 1},
        {"types": ["image/png"], "max_bytes": 0, "tokens": 1},
        {"types": ["image/png"], "max_bytes": 1 << 30, "tokens": 1},
        {"types": ["image/png"], "max_bytes": 1, "tokens": 0},
        {"types": ["image/png"], "max_bytes": True, "tokens": 1},
        {"types": ["image/png"], "max_bytes": 1},
        {"types": ["image/png"], "max_bytes": 1, "tokens": 1, "urls": True},
    ],
)
def test_no_document_lets_through_what_no_owner_can_say(terms: dict[str, Any]) -> None:
    with pytest.raises((TypeError, ValueError)):
        media_terms.read(terms)


def test_a_document_says_which_images_pass_and_nothing_where_none_do() -> None:
    signed = documents.encode(opened(), running.SIGNING_KEY).encode()
    assert documents.decode(signed, running.SIGNING_KEY.public_key(), running.ENDPOINT).media == TERMS
    assert documents.content_hash(opened()) != documents.content_hash(document(max_output_tokens=100))
    assert document().media is None


def test_a_chat_without_images_is_held_as_before(guard: Guard, model: Model) -> None:
    answer = guard.ask(chat("hello"))
    (decision, _) = guard.audited(answer.headers["X-Request-Id"])
    assert decision["heldTokens"] == len(model.received()[-1]["body"]) + 8 + 100
