"""OpenAI's responses and their streams as texts: what has grown and is said again goes on as it was released."""

import json
from collections import defaultdict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.responses import Response
from tests.unit.guard import streams
from tests.unit.guard.inspectors import Blot, HoldBack, Strip
from tests.unit.guard.streams import Event

from bartizan.guard.inspection import Inspector, LetPass, Place
from bartizan.guard.profiles import responses_answers as answers
from bartizan.guard.refusal import Refusal
from bartizan.guard.tally import AnswerError, Said, Tally
from bartizan.policy.reasons import Reason
from bartizan.policy.tokens import Amount

USAGE = {"input_tokens": 30, "output_tokens": 15, "total_tokens": 45, "input_tokens_details": {"cached_tokens": 5}}
TEXT, CALL, THOUGHT = "a 😀 secret here", '{"city": "secret"}', "the secret é"
MESSAGE: Event = {
    "type": "message", "id": "msg_1", "status": "completed", "role": "assistant",
    "content": [{"type": "output_text", "text": TEXT, "annotations": [], "logprobs": []}],
}  # fmt: skip
REASONING: Event = {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": THOUGHT}]}
FUNCTION: Event = {"type": "function_call", "id": "fc_1", "call_id": "c", "name": "look", "arguments": CALL}


def response(status: str = "in_progress", *items: Event, **more: Any) -> Event:
    named = {"id": "resp_1", "object": "response", "created_at": 0, "model": "demo", "status": status}
    return {**named, "instructions": "be brief", "output": list(items), "usage": None, **more}


def numbered(*events: Event) -> list[Event]:
    return [{"type": event["type"], "sequence_number": number, **event} for number, event in enumerate(events)]


def event(kind: str, **fields: Any) -> Event:
    return {"type": f"response.{kind}", **fields}


def deltas(kind: str, index: int, part: str, *texts: str) -> list[Event]:
    spot = {"item_id": f"item_{index}", "output_index": index, **({part: 0} if part else {})}
    return [event(f"{kind}.delta", **spot, delta=text) for text in texts]


def done(kind: str, index: int, part: str, **whole: Any) -> Event:
    return event(f"{kind}.done", item_id=f"item_{index}", output_index=index, **({part: 0} if part else {}), **whole)


def last(status: str = "completed", *items: Event, **more: Any) -> Event:
    return event(status, response=response(status, *items, usage=USAGE, **more))


STREAM = numbered(
    event("created", response=response()),
    event("in_progress", response=response()),
    event("output_item.added", output_index=0, item={**REASONING, "summary": []}),
    *deltas("reasoning_summary_text", 0, "summary_index", "the sec", "ret é"),
    done("reasoning_summary_text", 0, "summary_index", text=THOUGHT),
    event("output_item.done", output_index=0, item=REASONING),
    event("output_item.added", output_index=1, item={**MESSAGE, "content": []}),
    event("content_part.added", output_index=1, content_index=0, part={"type": "output_text", "text": ""}),
    *deltas("output_text", 1, "content_index", "a 😀 se", "cret here"),
    done("output_text", 1, "content_index", text=TEXT, logprobs=[]),
    event("content_part.done", output_index=1, content_index=0, part=MESSAGE["content"][0]),
    event("output_item.done", output_index=1, item=MESSAGE),
    *deltas("function_call_arguments", 2, "", '{"city": "sec', 'ret"}'),
    done("function_call_arguments", 2, "", arguments=CALL),
    event("output_item.done", output_index=2, item=FUNCTION),
    last("completed", REASONING, MESSAGE, FUNCTION),
)
WIRE = streams.wire(STREAM)
TEXTS = {"reasoning_summary_text": THOUGHT, "output_text": TEXT, "function_call_arguments": CALL}


def passed(inspector: Inspector, *events: Event, tally: Tally | None = None) -> bytes:
    return streams.passed(answers.EventReader, inspector, [streams.wire(events)], tally)


def grown(out: bytes) -> dict[str, str]:
    found: dict[str, str] = defaultdict(str)
    for seen in streams.read(out):
        _, _, kind = seen["type"].partition(".")
        if kind.endswith(".delta"):
            found[kind.removesuffix(".delta")] += seen["delta"]
    return dict(found)


def test_what_the_seam_lets_pass_goes_on_byte_for_byte_wherever_it_is_cut() -> None:
    for pieces in streams.cuts(WIRE):
        assert streams.passed(answers.EventReader, LetPass(), pieces) == WIRE


@pytest.mark.parametrize("most", [0, 4, 100])
def test_holding_back_loses_nothing_wherever_the_bytes_are_cut(most: int) -> None:
    for pieces in streams.cuts(WIRE):
        out = streams.passed(answers.EventReader, HoldBack(most), pieces)
        events = streams.read(out)
        assert grown(out) == TEXTS
        assert [seen["sequence_number"] for seen in events] == list(range(len(events)))
        assert [seen for seen in events if not seen["type"].endswith(".delta")][-1]["response"] == (
            STREAM[-1]["response"]
        )


def test_no_split_lets_a_term_escape_and_what_is_said_again_is_what_was_released() -> None:
    for pieces in streams.cuts(WIRE):
        out = streams.passed(answers.EventReader, Blot("secret"), pieces)
        assert b"secret" not in out
        assert grown(out) == {kind: text.replace("secret", "******") for kind, text in TEXTS.items()}
        assert streams.read(out)[-1]["response"]["output"][1]["content"][0]["text"] == TEXT.replace("secret", "******")


def test_each_text_is_shown_once_however_often_it_is_said() -> None:
    holding = HoldBack(0)
    passed(holding, *STREAM)
    shown = [text for text in holding.seen.values() if text]
    named = {"resp_1", "demo", "msg_1", "rs_1", "fc_1", "c", *(f"item_{index}" for index in range(8))}
    assert sorted(set(shown) - named) == sorted([*TEXTS.values(), "be brief", "look"])
    assert len(set(shown)) == len(shown), "and so are names that servers make"
    assert holding.seen[Place(1, ("response.output_text", 0))] == TEXT


def test_what_was_never_said_in_deltas_is_shown_whole() -> None:
    holding = HoldBack(0)
    out = passed(holding, *numbered(event("created", response=response()), last("completed", MESSAGE)))
    assert TEXT in holding.seen.values()
    assert b"secret" in out
    assert b"secret" not in passed(Blot("secret"), *numbered(last("completed", MESSAGE)))


def test_a_whole_text_that_differs_from_its_deltas_is_shown_too() -> None:
    events = numbered(*deltas("output_text", 0, "content_index", "fine"),
                      done("output_text", 0, "content_index", text="the secret"), last())  # fmt: skip
    assert b"secret" not in passed(Blot("secret"), *events)


def test_usage_is_what_the_last_event_says_and_each_delta_counts_one() -> None:
    tally = Tally()
    passed(LetPass(), *STREAM, tally=tally)
    assert (tally.said, tally.floor) == (Said(30, 15), 6)


@pytest.mark.parametrize("status", ["completed", "incomplete", "failed"])
def test_each_way_to_end_is_an_end(status: str) -> None:
    error = {"code": "server_error", "message": "the secret"} if status == "failed" else None
    out = passed(Blot("secret"), *numbered(*deltas("output_text", 0, "content_index", "x"), last(status, error=error)))
    assert streams.read(out)[-1]["type"] == f"response.{status}"
    assert b"secret" not in out


def test_a_stream_without_its_end_is_broken() -> None:
    tally = Tally()
    with pytest.raises(Refusal) as refused:
        passed(LetPass(), *STREAM[:-1], tally=tally)
    assert refused.value.reason is Reason.UPSTREAM_BROKEN
    assert tally.spent(held=Amount(500, 100)) == Amount(500, 6)


@pytest.mark.parametrize(
    "wrong",
    [
        event("output_text.delta", output_index=0, content_index=0, delta=["x"]),
        event("output_text.delta", output_index="0", content_index=0, delta="x"),
        event("output_text.delta", output_index=0, content_index="0", delta="x"),
        event("output_text.delta", output_index=0, content_index=0),
        event("completed"),
        event("completed", response=[]),
        event("completed", response={"usage": {"input_tokens": -1}}),
        event("completed", response={"usage": 5}),
        event("output_item.added", output_index=0, item=json.loads("[" * 60 + "]" * 60)),
        {"type": "error", "code": "x", "message": "out of memory at 0x7f", "param": None},
    ],
)
def test_what_is_no_event_of_the_protocol_ends_the_stream(wrong: Event) -> None:
    with pytest.raises(Refusal) as refused:
        passed(LetPass(), STREAM[0], wrong)
    assert refused.value.reason is Reason.UPSTREAM_BROKEN


def test_more_than_can_be_followed_or_remembered_ends_the_stream() -> None:
    many = [deltas("output_text", index, "content_index", "x")[0] for index in range(answers.MAX_TEXTS + 1)]
    long = [deltas("output_text", 0, "content_index", "x" * 500_000)[0] for _ in range(10)]
    short = [event("in_progress", response=response(metadata=[f"{part}.{index}" for index in range(10_000)]))
             for part in range(9)]  # fmt: skip
    for events in (many, long, short):
        with pytest.raises(Refusal):
            passed(LetPass(), *events, last())
    assert passed(LetPass(), *short[:2], last())
    with pytest.raises(AnswerError):
        answers.read_whole(json.dumps(response("completed", *[{}] * 4097)).encode(), LetPass(), Tally())


def test_a_long_stream_of_short_deltas_is_known_again() -> None:
    reader = answers.EventReader(LetPass(), Tally())
    (sent,) = deltas("output_text", 0, "content_index", "ab")
    for _ in range(100_000):
        reader.read(json.dumps(sent).encode())
    (out,) = reader.read(json.dumps(done("output_text", 0, "content_index", text="ab" * 100_000)).encode())
    assert json.loads(out.data or b"")["text"] == "ab" * 100_000


@pytest.mark.parametrize("kind", ["response.audio.delta", "response.web_search_call.searching", "keepalive", "", None])
def test_an_event_of_an_unknown_type_goes_no_further_and_leaves_no_gap(kind: Any) -> None:
    unknown = {"type": kind, "sequence_number": 3, "delta": "secret"}
    shifted = [{**seen, "sequence_number": seen["sequence_number"] + 1} for seen in STREAM[3:]]
    raw = streams.wire(STREAM[:3]) + f"data: {json.dumps(unknown)}\n\n".encode() + streams.wire(shifted)
    assert streams.read(streams.passed(answers.EventReader, LetPass(), [raw])) == STREAM


def test_of_a_delta_what_the_protocol_does_not_name_goes_no_further() -> None:
    noisy = {**deltas("output_text", 0, "content_index", "x")[0], "sequence_number": 0, "note": "secret",
             "logprobs": [{"token": "secret"}]}  # fmt: skip
    (out, _) = streams.read(passed(LetPass(), noisy, {**last(), "sequence_number": 1}))
    assert out == {**deltas("output_text", 0, "content_index", "x")[0], "sequence_number": 0, "logprobs": []}


@pytest.mark.parametrize("name", ["sequence_number", "summary_index", "obfuscation"])
@pytest.mark.parametrize("value", ["secret", ["secret"], {"secret": ["secret"]}, 1.5, None, True, 10**300])
def test_of_a_deltas_numbers_what_is_none_goes_no_further(name: str, value: Any) -> None:
    (sent,) = deltas("output_text", 0, "content_index", "x")
    for inspector in (LetPass(), HoldBack(4)):
        out = streams.read(passed(inspector, {**sent, name: value}, last()))
        assert out[-2] == sent


@pytest.mark.parametrize(
    "item",
    [{"type": "message", "conte\u200bnt": []}, {"a": 1, "a\u200b": 2}, {"input": {"b\u200b": 1, "b\u200b\u200b": 2}}],
)
def test_a_name_is_never_made_anothers(item: Event) -> None:
    with pytest.raises(Refusal):
        passed(Strip(), event("output_item.added", output_index=0, item=item), last())
    with pytest.raises(AnswerError):
        answers.read_whole(json.dumps(response("completed", item)).encode(), Strip(), Tally())


def test_a_name_in_an_item_is_seen() -> None:
    item = {"type": "message", "secret": 1}
    whole = answers.read_whole(json.dumps(response("completed", item)).encode(), Blot("secret"), Tally())
    streamed = passed(Blot("secret"), event("output_item.added", output_index=0, item=item), last())
    for out in (json.loads(whole)["output"][0], streams.read(streamed)[0]["item"]):
        assert out == {"type": "message", "******": 1}


def test_of_a_response_what_the_protocol_does_not_name_goes_no_further() -> None:
    raw = {"output_messages": [{"tokens": [1, 2]}]}
    (out,) = streams.read(passed(LetPass(), *numbered(last("completed", MESSAGE, **raw))))
    assert out["response"] == last("completed", MESSAGE)["response"]
    whole = json.dumps(response("completed", MESSAGE, **raw)).encode()
    assert json.loads(answers.read_whole(whole, LetPass(), Tally())) == response("completed", MESSAGE)
    described = set(Response.model_fields) - {name for name in Response.model_fields if name.startswith("prompt_cache")}
    assert answers._RESPONSE - described == {"store"}, "servers say it back"
    assert described - answers._RESPONSE == {
        "access_programs", "image", "input_transformations", "moderation", "tool_usage"
    }, "they tell of what is refused"  # fmt: skip


def test_a_whole_response_is_seen_in_every_text() -> None:
    body = json.dumps(response("completed", REASONING, MESSAGE, FUNCTION, usage=USAGE)).encode()
    holding, tally = HoldBack(1), Tally()
    assert answers.read_whole(body, holding, tally) == body
    assert {*TEXTS.values(), "look", "be brief"} <= set(holding.seen.values())
    assert tally.spent(held=Amount()) == Amount(30, 15)
    assert b"secret" not in answers.read_whole(body, Blot("secret"), Tally())


KINDS = {
    **dict.fromkeys(("output_text", "refusal", "reasoning_text"), "content_index"),
    "reasoning_summary_text": "summary_index",
    **dict.fromkeys(("function_call_arguments", "custom_tool_call_input"), ""),
}


@given(
    pieces=st.lists(st.tuples(st.integers(0, 2), st.sampled_from(sorted(KINDS)), st.text(max_size=12)), max_size=25),
    most=st.integers(0, 30),
)
def test_no_character_is_lost_wherever_the_seam_holds_back(pieces: list[tuple[int, str, str]], most: int) -> None:
    events = [delta for index, kind, text in pieces for delta in deltas(kind, index, KINDS[kind], text)]
    out = streams.read(passed(HoldBack(most), *numbered(*events, last())))
    said: dict[tuple[int, str], str] = defaultdict(str)
    came: dict[tuple[int, str], str] = defaultdict(str)
    for index, kind, text in pieces:
        said[index, kind] += text
    for seen in out[:-1]:
        came[seen["output_index"], seen["type"].removeprefix("response.").removesuffix(".delta")] += seen["delta"]
    assert came == said


@pytest.mark.parametrize("usage", [None, {}, {"input_tokens": 7}])
def test_a_whole_response_of_which_the_server_does_not_say_what_it_took_is_charged_by_its_text(usage: Any) -> None:
    tally = Tally()
    part = {"type": "output_text", "text": "words", "logprobs": [{"token": "words"}]}
    item = {"type": "message", "role": "assistant", "content": [part]}
    answers.read_whole(json.dumps({"object": "response", "output": [item], "usage": usage}).encode(), LetPass(), tally)
    assert tally.spent(held=Amount(50, 100)) == Amount(7 if usage else 50, 5)
    assert tally.spent(held=Amount(50, 2)) == Amount(7 if usage else 50, 2)
