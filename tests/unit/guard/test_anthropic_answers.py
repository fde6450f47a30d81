"""Anthropic's streams and messages as texts: each block and field on its own, wherever bytes and texts are cut."""

import json
from collections import defaultdict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.guard import streams
from tests.unit.guard.inspectors import Blot, HoldBack, Strip
from tests.unit.guard.streams import Event

from bartizan.guard.inspection import Inspector, LetPass, Place
from bartizan.guard.profiles import anthropic_answers as answers
from bartizan.guard.refusal import Refusal
from bartizan.guard.tally import AnswerError, Said, Tally
from bartizan.policy.reasons import Reason
from bartizan.policy.tokens import Amount

FIELDS = {"text_delta": "text", "thinking_delta": "thinking", "input_json_delta": "partial_json",
          "signature_delta": "signature"}  # fmt: skip
EMPTY: dict[str, Event] = {
    "text": {"type": "text", "text": ""},
    "thinking": {"type": "thinking", "thinking": "", "signature": ""},
    "tool_use": {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}},
}


def start(used: int = 25) -> Event:
    usage = {
        "input_tokens": used,
        "cache_read_input_tokens": 5,
        "cache_creation_input_tokens": None,
        "output_tokens": 1,
    }
    message: Event = {"id": "msg_1", "type": "message", "role": "assistant", "content": [], "model": "demo",
               "stop_reason": None, "stop_sequence": None, "usage": usage}  # fmt: skip
    return {"type": "message_start", "message": message}


def opened(index: int, kind: str = "text") -> Event:
    return {"type": "content_block_start", "index": index, "content_block": EMPTY[kind]}


def delta(index: int, text: str, kind: str = "text_delta") -> Event:
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind, FIELDS[kind]: text}}


def closed(index: int) -> Event:
    return {"type": "content_block_stop", "index": index}


def end(output: int = 15, reason: str = "end_turn") -> list[Event]:
    said = {"stop_reason": reason, "stop_sequence": None}
    return [{"type": "message_delta", "delta": said, "usage": {"output_tokens": output}}, {"type": "message_stop"}]


STREAM = [
    start(),
    opened(0, "thinking"),
    delta(0, "the sec", "thinking_delta"),
    delta(0, "ret é", "thinking_delta"),
    delta(0, "c2lnbmF0dXJl", "signature_delta"),
    closed(0),
    opened(1),
    {"type": "ping"},
    delta(1, "a 😀 se"),
    delta(1, "cret here"),
    closed(1),
    opened(2, "tool_use"),
    delta(2, '{"city": "sec', "input_json_delta"),
    delta(2, 'ret"}', "input_json_delta"),
    closed(2),
    *end(),
]
TEXTS = {(0, "thinking"): "the secret é", (0, "signature"): "c2lnbmF0dXJl", (1, "text"): "a 😀 secret here",
         (2, "partial_json"): '{"city": "secret"}'}  # fmt: skip
WIRE = streams.wire(STREAM)


def texts(out: bytes) -> dict[tuple[int, str], str]:
    found: dict[tuple[int, str], str] = defaultdict(str)
    for event in streams.read(out):
        if event["type"] == "content_block_delta":
            name = FIELDS[event["delta"]["type"]]
            found[event["index"], name] += event["delta"][name]
    return dict(found)


def passed(inspector: Inspector, *events: Event, tally: Tally | None = None) -> bytes:
    return streams.passed(answers.EventReader, inspector, [streams.wire(events)], tally)


def test_what_the_seam_lets_pass_goes_on_byte_for_byte_wherever_it_is_cut() -> None:
    for pieces in streams.cuts(WIRE):
        assert streams.passed(answers.EventReader, LetPass(), pieces) == WIRE


@pytest.mark.parametrize("most", [0, 1, 4, 100])
def test_holding_back_loses_nothing_wherever_the_bytes_are_cut(most: int) -> None:
    for pieces in streams.cuts(WIRE):
        holding = HoldBack(most)
        assert texts(streams.passed(answers.EventReader, holding, pieces)) == TEXTS
        growing = {(place.choice, str(place.path[0])): text for place, text in holding.seen.items()}
        assert {key: growing[key] for key in TEXTS} == TEXTS


def test_no_split_lets_a_term_escape() -> None:
    blotted = {key: text.replace("secret", "******") for key, text in TEXTS.items()}
    for pieces in streams.cuts(WIRE):
        assert texts(streams.passed(answers.EventReader, Blot("secret"), pieces)) == blotted
    for cut in range(len("a secret here") + 1):
        said = [delta(0, "a secret here"[:cut]), delta(0, "a secret here"[cut:])]
        assert texts(passed(Blot("secret"), start(), opened(0), *said, closed(0), *end())) == {
            (0, "text"): "a ****** here"
        }


def test_what_is_held_back_comes_before_the_end_of_its_block() -> None:
    kinds = [
        event["type"]
        for event in streams.read(passed(HoldBack(50), start(), opened(0), delta(0, "all"), closed(0), *end()))
    ]
    assert kinds == ["message_start", "content_block_start", "content_block_delta", "content_block_delta",
                     "content_block_stop", "message_delta", "message_stop"]  # fmt: skip


def test_a_block_that_the_server_forgot_to_close_gives_what_was_held_back_of_it() -> None:
    out = passed(HoldBack(50), start(), opened(0), delta(0, "all"), *end())
    assert texts(out) == {(0, "text"): "all"}
    assert streams.read(out)[-1] == {"type": "message_stop"}


def test_usage_is_the_input_of_the_start_and_the_output_of_the_end() -> None:
    tally = Tally()
    passed(LetPass(), *STREAM, tally=tally)
    assert tally.said == Said(30, 15)
    assert tally.floor == 6, "an event with text, and none for a signature"


def test_usage_of_a_stream_that_breaks_off_is_what_was_said_so_far() -> None:
    tally = Tally()
    with pytest.raises(Refusal) as refused:
        passed(LetPass(), *STREAM[:-2], tally=tally)
    assert refused.value.reason is Reason.UPSTREAM_BROKEN
    assert tally.spent(held=Amount(500, 100)) == Amount(30, 6)


@pytest.mark.parametrize(
    "event",
    [
        {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "x"}},
        {"type": "content_block_delta", "index": -1, "delta": {"type": "text_delta", "text": "x"}},
        {"type": "content_block_delta", "index": 0, "delta": "x"},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": ["x"]}},
        {"type": "content_block_start", "index": 0, "content_block": []},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ["x"]}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": {"x": "y"}}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "signature": 5}},
        {"type": "content_block_stop"},
        {"type": "message_start", "message": None},
        {"type": "message_delta", "delta": {}, "usage": {"output_tokens": -1}},
        {"type": "message_delta", "delta": {}, "usage": [1]},
        {"type": "message_delta", "usage": {"output_tokens": 1}},
        {"type": "error", "error": {"type": "api_error", "message": "out of memory at 0x7f"}},
        {"type": "content_block_start", "index": 0, "content_block": {"input": json.loads("[" * 60 + "]" * 60)}},
    ],
)
def test_what_is_no_event_of_the_protocol_ends_the_stream(event: Event) -> None:
    with pytest.raises(Refusal) as refused:
        passed(LetPass(), start(), event)
    assert refused.value.reason is Reason.UPSTREAM_BROKEN
    assert "0x7f" not in str(refused.value)


@pytest.mark.parametrize("kind", ["telemetry", "", None, 5, ["text"], "content_block_summary"])
def test_an_event_of_an_unknown_type_goes_no_further(kind: Any) -> None:
    unknown = f"data: {json.dumps({'type': kind, 'text': 'secret'})}\n\n".encode()
    cut = WIRE.index(b"event: ping")
    assert streams.passed(answers.EventReader, LetPass(), [WIRE[:cut] + unknown + WIRE[cut:]]) == WIRE


def test_of_a_known_event_what_the_protocol_does_not_name_goes_no_further() -> None:
    noisy = [{**event, "kv_transfer_params": {"host": "10.0.0.1"}} for event in STREAM]
    for event in noisy:
        if event["type"] == "content_block_delta":
            event["delta"] = {**event["delta"], "note": "secret"}
    noisy[0]["message"] = {**noisy[0]["message"], "kv_transfer_params": {"note": "secret"}}
    assert streams.read(passed(LetPass(), *noisy)) == streams.read(WIRE)
    whole = json.dumps({**MESSAGE, "prompt_token_ids": [1]}).encode()
    assert json.loads(answers.read_whole(whole, LetPass(), Tally())) == MESSAGE


def test_every_other_string_of_a_stream_is_seen() -> None:
    holding = HoldBack(0)
    citation = {"type": "citations_delta", "citation": {"type": "char_location", "cited_text": "canary 1"}}
    tool = {"type": "tool_use", "id": "t", "name": "canary 2", "input": {"canary 3": {"id": "canary 4"}}}
    last = {"stop_reason": "stop_sequence", "stop_sequence": "canary 5", "stop_details": {"explanation": "canary 6"}}
    passed(
        holding,
        start(),
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": "canary 7"}},
        {"type": "content_block_delta", "index": 0, "delta": citation},
        {"type": "content_block_start", "index": 1, "content_block": tool},
        {"type": "message_delta", "delta": last, "usage": {"output_tokens": 2}},
        {"type": "message_stop"},
    )
    assert {text for text in holding.seen.values() if "canary" in text} == {
        f"canary {number}" for number in range(1, 8)
    }


MESSAGE: Event = {
    **start()["message"],
    "content": [
        {"type": "thinking", "thinking": "a secret", "signature": "s"},
        {"type": "text", "text": "one secret"},
        {"type": "tool_use", "id": "t", "name": "look", "input": {"city": ["a secret"], "secret": 1}},
    ],
    "stop_reason": "tool_use",
}


def test_a_whole_answer_is_seen_in_every_text() -> None:
    body, holding, tally = json.dumps(MESSAGE).encode(), HoldBack(1), Tally()
    assert answers.read_whole(body, holding, tally) == body
    assert {"a secret", "one secret", "look", "city", "secret", "s", "t"} <= set(holding.seen.values())
    assert Place(1, ("text",)) in holding.seen
    assert tally.spent(held=Amount()) == Amount(30, 3)


def test_what_the_seam_changes_in_a_whole_answer_is_changed() -> None:
    out = answers.read_whole(json.dumps(MESSAGE).encode(), Blot("secret"), Tally())
    assert b"secret" not in out
    assert json.loads(out)["content"][2]["input"] == {"city": ["a ******"], "******": 1}


@given(
    pieces=st.lists(st.tuples(st.integers(0, 2), st.sampled_from(sorted(FIELDS)), st.text(max_size=12)), max_size=25),
    most=st.integers(0, 30),
    closes=st.sets(st.integers(0, 2)),
)
def test_no_character_is_lost_wherever_the_seam_holds_back(
    pieces: list[tuple[int, str, str]], most: int, closes: set[int]
) -> None:
    events = [start(), *(delta(*(index, text, kind)) for index, kind, text in pieces), *map(closed, closes), *end()]
    said: dict[tuple[int, str], str] = defaultdict(str)
    for index, kind, text in pieces:
        said[index, FIELDS[kind]] += text
    assert texts(passed(HoldBack(most), *events)) == said


@pytest.mark.parametrize("usage", [None, {}, {"input_tokens": 7}])
def test_a_whole_answer_of_which_the_server_does_not_say_what_it_took_is_charged_by_its_text(usage: Any) -> None:
    tally = Tally()
    message = {"type": "message", "role": "assistant", "content": [{"type": "text", "text": "words"}], "usage": usage}
    answers.read_whole(json.dumps(message).encode(), LetPass(), tally)
    assert tally.spent(held=Amount(50, 100)) == Amount(7 if usage else 50, 5)
    assert tally.spent(held=Amount(50, 2)) == Amount(7 if usage else 50, 2)


CANARY = "canary"


def begun(**block: Any) -> Event:
    return {"type": "content_block_start", "index": 0, "content_block": block}


def ended(usage: Any, **said: Any) -> Event:
    return {"type": "message_delta", "delta": said, "usage": usage}


UNSEEN = {
    "a block's type": (begun(type=CANARY),),
    "a block's id": (begun(type="tool_use", id=CANARY, name="n", input={}),),
    "a delta of a kind that nobody knows": (
        opened(0),
        {"type": "content_block_delta", "index": 0, "delta": {"type": CANARY}},
    ),
    "a name in a delta of a kind that nobody knows": (
        opened(0),
        {"type": "content_block_delta", "index": 0, "delta": {"type": "odd", CANARY: 1}},
    ),
    "a name in a block": (begun(type="text", text="", **{CANARY: 1}),),
    "a name in a message's end": (ended({}, stop_reason="end_turn", **{CANARY: 1}),),
    "a word of usage": (ended({"output_tokens": 3, "note": CANARY}),),
    "a name in usage": (ended({"output_tokens": 3, CANARY: 1}),),
    "why it stopped": (ended({}, stop_reason=CANARY),),
}


@pytest.mark.parametrize("events", UNSEEN.values(), ids=UNSEEN)
def test_no_word_of_the_servers_goes_out_unseen(events: tuple[Event, ...]) -> None:
    assert CANARY.encode() not in passed(Blot(CANARY), start(), *events, *end())


def whole(*blocks: Any) -> bytes:
    return json.dumps({"type": "message", "content": blocks, "usage": {"output_tokens": 1}}).encode()


def test_a_name_in_a_block_of_a_whole_answer_is_seen() -> None:
    out = answers.read_whole(whole({"type": "text", "text": "x", CANARY: 1}), Blot(CANARY), Tally())
    assert json.loads(out)["content"] == [{"type": "text", "text": "x", "*" * len(CANARY): 1}]


@pytest.mark.parametrize(
    "block",
    [
        {"type": "text", "te\u200bxt": "a"},
        {"type": "text", "a": 1, "a\u200b": 2},
        {"type": "tool_use", "input": {"a": 1, "a\u200b": 2}},
    ],
)
def test_a_name_is_never_made_anothers(block: Event) -> None:
    with pytest.raises(AnswerError):
        answers.read_whole(whole(block), Strip(), Tally())
    with pytest.raises(Refusal):
        passed(Strip(), start(), begun(**block), *end())


@pytest.mark.parametrize("kind", [[], {"a": "b"}, 5, None])
def test_a_delta_of_a_kind_that_is_no_word_is_seen_like_any_other(kind: Any) -> None:
    odd = {"type": "content_block_delta", "index": 0, "delta": {"type": kind, "text": CANARY}}
    assert CANARY.encode() not in passed(Blot(CANARY), start(), odd, *end())


def test_more_blocks_than_can_be_followed_end_the_answer() -> None:
    many = range(answers.MAX_BLOCKS + 1)
    for events in ([delta(index, "") for index in many], [opened(index) for index in many]):
        with pytest.raises(Refusal):
            passed(LetPass(), start(), *events, *end())
    passed(LetPass(), start(), *(event for index in many for event in (opened(index), closed(index))), *end())
    with pytest.raises(AnswerError):
        answers.read_whole(whole(*({} for _ in many)), LetPass(), Tally())


def test_of_a_count_of_tokens_only_the_count_goes_on() -> None:
    said = {"input_tokens": 7, "note": CANARY, "context_management": {"x": CANARY}}
    assert json.loads(answers.read_count(json.dumps(said).encode(), LetPass(), Tally())) == {"input_tokens": 7}
    for odd in ({}, {"input_tokens": "7"}, {"input_tokens": -1}):
        with pytest.raises(AnswerError):
            answers.read_count(json.dumps(odd).encode(), LetPass(), Tally())
