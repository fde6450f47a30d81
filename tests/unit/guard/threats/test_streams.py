"""Answers that hide a word by cutting it up, before a running guard whose seam blots it out, over real sockets."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.unit.guard import blotting_guard, running
from tests.unit.guard.blotting_guard import TERM
from tests.unit.guard.running import chat
from tests.unit.guard.scripted import Scripted, chunked, scripted, whole

DONE = b"data: [DONE]\n\n"


@pytest.fixture(scope="module")
def hiding(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scripted]:
    with scripted(tmp_path_factory.mktemp("hiding") / "model.sock") as server:
        yield server


@pytest.fixture(scope="module")
def seeing(tmp_path_factory: pytest.TempPathFactory, hiding: Scripted) -> Iterator[running.Guard]:
    folder = tmp_path_factory.mktemp("seeing")
    with running.guard(folder, hiding.upstream, module=blotting_guard.__name__) as started:
        yield started


def _event(index: int, delta: dict[str, Any], **more: Any) -> bytes:
    return b"data: %b\n\n" % json.dumps({"choices": [{"index": index, "delta": delta, **more}]}).encode()


def _call(text: str) -> dict[str, Any]:
    return {"tool_calls": [{"index": 0, "function": {"arguments": text}}]}


FIELDS: dict[str, Callable[[str], dict[str, Any]]] = {
    "content": lambda text: {"content": text},
    "reasoning": lambda text: {"reasoning_content": text},
    "refusal": lambda text: {"refusal": text},
    "arguments": _call,
    "a field that nobody knows": lambda text: {"thoughts": [{"text": text}]},
}


def _texts(body: bytes) -> str:
    """All strings of all events, each place's own put together in its order."""
    places: dict[str, str] = {}

    def gather(value: Any, path: str) -> None:
        if isinstance(value, str):
            places[path] = places.get(path, "") + value
        for name, item in (
            value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        ):
            gather(item, f"{path}/{name}")

    for line in body.split(b"\n"):
        if line.startswith(b"data: {"):
            for choice in json.loads(line[6:])["choices"]:
                gather(choice, str(choice["index"]))
    return "\n".join(places.values())


@pytest.mark.parametrize("field", FIELDS)
def test_t46_a_word_split_over_deltas_does_not_get_out_of_any_field(
    hiding: Scripted, seeing: running.Guard, field: str
) -> None:
    delta = FIELDS[field]
    for cut in range(1, len(TERM)):
        other = _event(1, {"content": "between"})
        pieces = [_event(0, delta(f"a {TERM[:cut]}")), other, _event(0, delta(f"{TERM[cut:]} b")), DONE]
        hiding.answer = chunked(*pieces)
        answer = seeing.ask(chat(stream=True))
        assert answer.status == 200
        said = _texts(answer.body)
        assert TERM not in said
        assert f"a {'*' * len(TERM)} b" in said
        assert "between" in said


@pytest.mark.parametrize("reason", ["stop", "length", "tool_calls"])
def test_t46_a_word_that_ends_with_its_choice_does_not_get_out(
    hiding: Scripted, seeing: running.Guard, reason: str
) -> None:
    halves = [_event(0, {"content": TERM[:4]}), _event(0, {"content": TERM[4:]}, finish_reason=reason)]
    hiding.answer = chunked(b"".join([*halves, DONE]))
    answer = seeing.ask(chat(stream=True))
    assert TERM not in _texts(answer.body)
    assert answer.body.endswith(DONE)


def test_t46_bytes_cut_within_a_letter_and_an_event_hide_nothing(hiding: Scripted, seeing: running.Guard) -> None:
    text = _event(0, {"content": f"é {TERM} 😀"}) + DONE
    raw = text.replace(b"\\u00e9", "é".encode()).replace(b"\\ud83d\\ude00", "😀".encode())
    hiding.answer = chunked(*(raw[at : at + 1] for at in range(len(raw))))
    assert f"é {'*' * len(TERM)} 😀" in _texts(seeing.ask(chat(stream=True)).body)


def test_t46_logprobs_repeat_nothing_that_was_blotted_out(hiding: Scripted, seeing: running.Guard) -> None:
    logprobs = {"content": [{"token": TERM, "logprob": -0.1, "top_logprobs": [{"token": TERM, "logprob": -0.1}]}]}
    hiding.answer = chunked(_event(0, {"content": TERM}, logprobs=logprobs), DONE)
    assert TERM.encode() not in seeing.ask(chat(stream=True, logprobs=True)).body


def test_t46_what_a_server_adds_beside_the_choices_does_not_get_out(hiding: Scripted, seeing: running.Guard) -> None:
    choice = {"index": 0, "message": {"content": "a"}}
    hiding.answer = whole(json.dumps({"choices": [choice], "__verbose": {"content": TERM}, "thoughts": TERM}).encode())
    assert TERM.encode() not in seeing.ask(chat()).body
    hiding.answer = chunked(b"data: %b\n\n" % json.dumps({"choices": [], "thoughts": TERM}).encode(), DONE)
    assert TERM.encode() not in seeing.ask(chat(stream=True)).body


def test_t46_halves_in_two_choices_are_two_texts(hiding: Scripted, seeing: running.Guard) -> None:
    hiding.answer = chunked(_event(0, {"content": TERM[:4]}), _event(1, {"content": TERM[4:]}), DONE)
    assert TERM not in _texts(seeing.ask(chat(stream=True)).body)
