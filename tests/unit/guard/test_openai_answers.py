"""Texts of OpenAI's answers: the seam sees each where it grows, and may hold it back without a character lost."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.guard.inspectors import Blot, HoldBack, Strip

from bartizan.guard.inspection import LetPass, Place
from bartizan.guard.profiles import openai_answers
from bartizan.guard.profiles.openai_answers import DONE, ChunkReader
from bartizan.guard.tally import AnswerError, Said, Tally
from bartizan.policy.tokens import Amount


def chunk(*choices: dict[str, Any], **fields: Any) -> bytes:
    return json.dumps({"id": "c", "object": "chat.completion.chunk", "choices": list(choices), **fields}).encode()


def said(text: str, index: int = 0, reason: str | None = None, **more: Any) -> dict[str, Any]:
    return {"index": index, "delta": {"content": text, **more}, "finish_reason": reason}


def run(inspector: Any, *data: bytes, shows_usage: bool = False) -> tuple[list[bytes], Tally]:
    reader = ChunkReader(inspector, Tally(), shows_usage)
    return [out.data or b"" for item in data for out in reader.read(item)], reader.tally


def texts(events: list[bytes]) -> dict[Place, str]:
    """As a client puts the deltas together."""
    found = HoldBack(0)
    for event in events:
        if event != DONE:
            ChunkReader(found, Tally(), shows_usage=True).read(event)
    return {place: text for place, text in found.seen.items() if text and not is_of_frame(place)}


def is_of_frame(place: Place) -> bool:
    """Whether it is what an answer says of itself."""
    first = place.path[0]
    return isinstance(first, tuple) and isinstance(first[0], str)


def of_choices(holding: HoldBack) -> set[str]:
    return {text for place, text in holding.seen.items() if not is_of_frame(place)}


def test_what_the_seam_lets_pass_goes_on_byte_for_byte() -> None:
    data = [b'{ "choices" : [{"index":0,"delta":{"content":"\\u00e9"},"x":1.50}] }', DONE]
    assert run(LetPass(), *data)[0] == data


def test_usage_is_taken_and_hidden_from_a_caller_who_did_not_ask() -> None:
    usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    data = (chunk(said("a")), chunk(said("", reason="stop")), chunk(usage=usage), DONE)
    events, tally = run(LetPass(), *data)
    assert events == [data[0], data[1], DONE]
    assert tally.said == Said(7, 3)
    assert run(LetPass(), *data, shows_usage=True)[0] == list(data)


def test_usage_beside_the_last_text_is_hidden_and_the_text_is_not() -> None:
    usage = {"prompt_tokens": 7, "completion_tokens": 3}
    events, tally = run(LetPass(), chunk(said("end", reason="stop"), usage=usage))
    assert tally.said == Said(7, 3)
    assert "usage" not in json.loads(events[0])
    assert texts(events) == {Place(0, ("delta", "content")): "end"}


def test_each_event_with_text_counts_one_token_of_each_choice_at_least() -> None:
    role = {"index": 0, "delta": {"role": "assistant", "content": ""}}
    tool = {"index": 1, "delta": {"tool_calls": [{"index": 0, "function": {"arguments": "{"}}]}}
    *_, tally = run(LetPass(), chunk(role), chunk(said("a"), tool), chunk(said("b")))
    assert tally.floor == 3
    assert tally.spent(held=Amount(50, 100)) == Amount(50, 3)


@pytest.mark.parametrize("said", [{}, {"usage": None}, {"usage": {}}, {"usage": {"prompt_tokens": 7}}])
def test_a_whole_answer_of_which_the_server_does_not_say_what_it_took_is_charged_by_its_text(said: Any) -> None:
    """A token a byte, which is the most that it can be, and no more than was held; the input as it was held."""
    logprobs = {"content": [{"token": "forty words", "top_logprobs": [{"token": "eleven"}]}]}
    for answer in (
        {"message": {"role": "assistant", "content": "forty words"}},
        {"text": "forty words"},
        {"text": "forty words", "logprobs": logprobs},
    ):
        tally = Tally()
        openai_answers.read_whole(json.dumps({"choices": [{"index": 0, **answer}], **said}).encode(), LetPass(), tally)
        given = 7 if said.get("usage") else 50
        assert tally.spent(held=Amount(50, 100)) == Amount(given, 11)
        assert tally.spent(held=Amount(50, 5)) == Amount(given, 5)


def test_the_larger_count_is_charged() -> None:
    assert Tally(Said(5, 2), floor=9).spent(held=Amount(50, 100)) == Amount(5, 9)
    assert Tally(Said(5, 20), floor=9).spent(held=Amount(50, 100)) == Amount(5, 20)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{}",
        b'{"choices": {}}',
        b'{"choices": [1]}',
        b'{"choices": [{"delta": {}}]}',
        b'{"error": {"message": "out of memory"}}',
        b'{"choices": [], "error": {"message": "out of memory"}}',
        b'{"choices": [{"index": 0, "delta": ' + b'{"a":' * 40 + b"1" + b"}" * 42,
        b'{"choices": [], "usage": 5}',
        b'{"choices": [], "usage": {"prompt_tokens": -1}}',
        b'{"choices": [], "usage": {"prompt_tokens": true}}',
        b'{"choices": [{"index": 0, "logprobs": {"token_logprobs": [-Infinity]}}]}',
        b'{"choices": [{"index": 0, "delta": {}, "x": NaN}]}',
        b"[" * 100_000,
    ],
)
def test_what_is_no_chunk_ends_the_stream(data: bytes) -> None:
    with pytest.raises(AnswerError):
        run(LetPass(), data)


def test_every_string_of_a_choice_is_seen_but_why_it_ended() -> None:
    holding = HoldBack(0)
    choice = {"index": 0, "delta": {"a": [{"b": "1"}]}, "text": "2", "x": {"y": "3"}, "finish_reason": "stop"}
    run(holding, chunk(choice))
    assert of_choices(holding) == {"1", "2", "3", "a", "b", "x", "y"}


@pytest.mark.parametrize("name", ["finish_reason", "stop_reason"])
def test_a_reason_in_other_than_the_protocols_words_is_seen_and_costs_no_token(name: str) -> None:
    holding = HoldBack(0)
    *_, tally = run(holding, chunk({"index": 0, "finish_reason": "stop", name: "because"}))
    assert of_choices(holding) == {"because"}
    assert tally.floor == 0


def test_a_reason_that_is_no_word_is_seen_like_any_other_text() -> None:
    holding = HoldBack(0)
    run(holding, chunk({"index": 0, "finish_reason": {"said": "1"}, "stop_reason": ["2"]}))
    assert of_choices(holding) == {"said", "1", "2"}


LOGPROBS = {"tokens": ["hello"], "top_logprobs": [{"hello": -0.1, "bye": -2.5}]}


@pytest.mark.parametrize(
    "choice",
    [
        {"index": 0, "text": "x", "logprobs": LOGPROBS},
        {"index": 0, "hello": 1},
        {"index": 0, "hello": None, "message": {"hello": 1.5}},
    ],
)
def test_names_that_a_model_may_have_made_are_texts(choice: dict[str, Any]) -> None:
    body = json.dumps({"choices": [choice]}).encode()
    whole = openai_answers.read_whole(body, Blot("hello"), Tally())
    (streamed,), _ = run(Blot("hello"), chunk({**choice, "finish_reason": "stop"}))
    for out in (whole, streamed):
        assert b"hello" not in out
        assert out.count(b"*****") == body.count(b"hello")
        assert json.loads(out)["choices"][0].get("logprobs", {}).get("top_logprobs", [{}])[0].get("bye", -2.5) == -2.5


@pytest.mark.parametrize("name", ["function", "name", "content", "token", "stop_reason"])
def test_a_token_that_is_spelt_like_a_name_of_the_protocols_is_seen(name: str) -> None:
    choice = {"index": 0, "text": name, "logprobs": {"tokens": [name], "top_logprobs": [{name: -0.1, "x": -1}]}}
    out = openai_answers.read_whole(json.dumps({"choices": [choice]}).encode(), Blot(name), Tally())
    assert json.dumps(name).encode() not in out or name == "token"  # which is the newer ones' own


def test_arguments_that_are_an_object_have_no_name_of_the_protocols() -> None:
    holding = HoldBack(0)
    call = {"index": 0, "function": {"name": "f", "arguments": {"content": {"name": 1}}}}
    run(holding, chunk({"index": 0, "delta": {"tool_calls": [call]}}))
    assert of_choices(holding) == {"f", "content", "name"}


def test_tokens_are_one_text_and_so_are_their_bytes() -> None:
    content = [
        {"token": part, "logprob": -1, "bytes": list(part.encode()), "top_logprobs": []} for part in ("he", "llo")
    ]
    choice = {"index": 0, "message": {"content": "hello"}, "logprobs": {"content": content}}
    out = openai_answers.read_whole(json.dumps({"choices": [choice]}).encode(), Blot("hello"), Tally())
    found = json.loads(out)["choices"][0]["logprobs"]["content"]
    assert "".join(item["token"] for item in found) == "*****"
    assert [item["bytes"] for item in found] == [None, None]
    old = {"index": 0, "text": "hello", "logprobs": {"tokens": ["he", "llo"]}}
    out = openai_answers.read_whole(json.dumps({"choices": [old]}).encode(), Blot("hello"), Tally())
    assert "".join(json.loads(out)["choices"][0]["logprobs"]["tokens"]) == "*****"


def test_the_bytes_of_a_token_go_with_it_wherever_a_server_puts_it() -> None:
    choice = {"index": 0, "message": {"content": "x", "logprobs": {"token": "hello", "bytes": list(b"hello")}}}
    whole = openai_answers.read_whole(json.dumps({"choices": [choice]}).encode(), Blot("hello"), Tally())
    (streamed,), _ = run(Blot("hello"), chunk({**choice, "finish_reason": "stop"}))
    for out in (whole, streamed):
        assert json.loads(out)["choices"][0]["message"]["logprobs"] == {"token": "*****", "bytes": None}


@pytest.mark.parametrize("most", [0, 1, 4, 100])
def test_tokens_of_a_whole_answer_stay_as_they_are_cut_where_the_seam_changes_nothing(most: int) -> None:
    content = [{"token": part, "bytes": list(part.encode())} for part in ("he", "llo", " you")]
    body = json.dumps({"choices": [{"index": 0, "logprobs": {"content": content, "tokens": ["a", "b"]}}]}).encode()
    holding = HoldBack(most)
    assert openai_answers.read_whole(body, holding, Tally()) == body
    assert holding.seen[Place(0, ("logprobs", "content", 0, "token"))] == "hello you"


@pytest.mark.parametrize("names", [("token", "bytes"), ("bytes", "token")])
def test_bytes_that_are_a_text_are_seen_like_any_other(names: tuple[str, str]) -> None:
    choice = {
        "index": 0,
        "delta": {},
        "logprobs": {"content": [dict.fromkeys(names, "hello")]},
        "finish_reason": "stop",
    }
    whole = openai_answers.read_whole(json.dumps({"choices": [choice]}).encode(), Blot("hello"), Tally())
    (streamed,), _ = run(Blot("hello"), chunk(choice))
    for out in (whole, streamed):
        assert json.loads(out)["choices"][0]["logprobs"]["content"] == [{"token": "*****", "bytes": "*****"}]


@pytest.mark.parametrize("odd", [{"a": "hello"}, ["hello"], [104, [101]], {"a": 104}])
def test_bytes_that_are_neither_numbers_nor_a_text_are_no_answer(odd: Any) -> None:
    said = {"token": "hello", "bytes": odd}
    for choice in ({"index": 0, **said}, {"index": 0, "logprobs": {"content": [said]}}):
        with pytest.raises(AnswerError):
            openai_answers.read_whole(json.dumps({"choices": [choice]}).encode(), LetPass(), Tally())
        with pytest.raises(AnswerError):
            run(LetPass(), chunk(choice))


@pytest.mark.parametrize("whole", [True, False])
def test_what_an_answer_says_of_itself_is_words_that_are_seen_and_a_time(*, whole: bool) -> None:
    frame = {"id": "hello", "created": {"hello": 1}, "model": {"a": ["hello"]}, "service_tier": None, "object": 7}
    body = json.dumps({**frame, "choices": [{"index": 0, "text": "x"}]}).encode()
    reader = ChunkReader(Blot("hello"), Tally(), shows_usage=False)
    for _ in range(2):
        out = openai_answers.read_whole(body, Blot("hello"), Tally()) if whole else reader.read(body)[0].data or b""
        assert json.loads(out).items() >= {"id": "*****", "service_tier": None}.items()
        assert json.loads(out).keys() == {"id", "service_tier", "choices"}


@pytest.mark.parametrize(
    "choice",
    [
        {"index": 0, "i\u200bndex": 1, "text": "x"},
        {"index": 0, "finish\u200b_reason": None, "finish_reason": "stop"},
        {"index": 0, "a": 1, "a\u200b": 2},
        {"index": 0, "b\u200b": 1, "b\u200b\u200b": 2},
        {"index": 0, "logprobs": {"content": [{"log\u200bprob": -1}]}},
    ],
)
def test_a_name_is_never_made_anothers(choice: dict[str, Any]) -> None:
    with pytest.raises(AnswerError):
        run(Strip(), chunk(choice))
    with pytest.raises(AnswerError):
        openai_answers.read_whole(json.dumps({"choices": [choice]}).encode(), Strip(), Tally())


def test_a_name_and_a_text_in_its_place_are_two_texts() -> None:
    events, _ = run(HoldBack(2), chunk({"index": 0, "logprobs": {"tokens": ["abcd"], "efgh": 1}}), DONE)
    assert b"efgh" in events[0]
    assert texts(events)[Place(0, ("logprobs", "tokens", 0))] == "abcd"


@pytest.mark.parametrize("value", ["text", ["text"], {"a": "text"}])
def test_a_text_under_a_name_that_the_seam_changes_goes_no_further(value: Any) -> None:
    choice = {"index": 0, "delta": {"hello": value}}
    with pytest.raises(AnswerError):
        run(Blot("hello"), chunk(choice))
    with pytest.raises(AnswerError):
        openai_answers.read_whole(json.dumps({"choices": [choice]}).encode(), Blot("hello"), Tally())


def test_what_usage_says_beyond_figures_is_seen() -> None:
    used = {"prompt_tokens": 7, "completion_tokens": 3, "cost_details": {"hello": 1, "currency": "hello"}}
    body = json.dumps({"choices": [], "usage": used}).encode()
    (streamed,), _ = run(Blot("hello"), chunk(usage=used), shows_usage=True)
    for out in (openai_answers.read_whole(body, Blot("hello"), Tally()), streamed):
        assert b"hello" not in out
        assert json.loads(out)["usage"]["prompt_tokens"] == 7


@pytest.mark.parametrize(
    "doubled", [b'{"choices":[],"choices":[]}', b'{"choices":[{"index":0,"text":"seen","text":"unseen"}]}']
)
def test_a_key_that_stands_twice_is_no_answer(doubled: bytes) -> None:
    with pytest.raises(AnswerError):
        run(LetPass(), doubled)
    with pytest.raises(AnswerError):
        openai_answers.read_whole(doubled, LetPass(), Tally())


def test_fields_of_an_answer_that_nobody_reads_go_no_further() -> None:
    """llama.cpp's `__verbose` repeats the text, vLLM's `kv_transfer_params` names hosts."""
    more = {"__verbose": {"content": "a"}, "timings": {"predicted_n": 1}, "content": "a"}
    (event,), _ = run(LetPass(), chunk(said("a"), **more))
    assert json.loads(event) == json.loads(chunk(said("a")))
    answer = {"id": "x", "choices": [{"index": 0, "message": {"content": "a"}}]}
    out = openai_answers.read_whole(json.dumps({**answer, **more}).encode(), LetPass(), Tally())
    assert json.loads(out) == answer


def test_a_changed_chunk_keeps_what_only_ascii_can_say() -> None:
    events, _ = run(HoldBack(1), b'{"choices":[{"index":0,"delta":{"content":"a\\ud800b"}}]}', DONE)
    assert [json.loads(event)["choices"][0]["delta"]["content"] for event in events[:-1]] == ["a\ud800", "b"]


def test_usage_may_have_more_fields_and_stand_beside_timings() -> None:
    usage = {"prompt_tokens": 7, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 2}}
    events, tally = run(LetPass(), chunk(usage=usage, timings={"predicted_n": 3}))
    assert (events, tally.said) == ([], Said(7, 3))
    events, tally = run(LetPass(), chunk(said("a"), usage=None))
    assert (len(events), tally.said) == (1, None)


def test_more_texts_than_can_be_followed_end_the_stream() -> None:
    delta = {"tool_calls": [{"index": number, "id": "x"} for number in range(openai_answers.MAX_PLACES + 1)]}
    with pytest.raises(AnswerError):
        run(LetPass(), chunk({"index": 0, "delta": delta}))


@pytest.mark.parametrize("texts_of", [["", "held"], [["x"], [{"content": "b"}, "held"]], [{}, {"index": "held"}]])
def test_what_is_held_back_of_a_text_in_a_list_comes_in_its_place(texts_of: list[Any]) -> None:
    data = chunk({"index": 0, "delta": {"annotations": texts_of}})
    assert texts(run(HoldBack(9), data, DONE)[0]) == texts([data])
    with pytest.raises(AnswerError):
        run(HoldBack(9), chunk({"index": 0, "delta": {"annotations": [*[1] * 300, "held"]}}), DONE)


def test_more_choices_than_anybody_can_ask_for_end_the_answer() -> None:
    many = [{"index": index} for index in range(openai_answers.MAX_CHOICES + 1)]
    assert run(LetPass(), chunk(*many[1:]), DONE)[0][-1] == DONE
    for chunks in ([chunk(*many)], [chunk(*many[1:]), chunk(many[0])], [chunk(*[many[0]] * len(many))]):
        with pytest.raises(AnswerError):
            run(LetPass(), *chunks)
    with pytest.raises(AnswerError):
        openai_answers.read_whole(chunk(*many), LetPass(), Tally())


def test_choices_that_have_ended_make_room_for_others() -> None:
    chunks = [chunk(said("x", index, "stop")) for index in range(openai_answers.MAX_CHOICES * 2)]
    assert run(LetPass(), *chunks, DONE)[0] == [*chunks, DONE]


WORDS = st.text(st.characters(codec="utf-8"), max_size=12)
PATHS = st.sampled_from(["content", "reasoning_content", "refusal", "tool"])


@given(
    pieces=st.lists(st.tuples(st.integers(0, 2), PATHS, WORDS), max_size=25),
    most=st.integers(0, 30),
    finishes=st.sets(st.integers(0, 2)),
    end=WORDS,
)
def test_no_character_is_lost_wherever_the_seam_holds_back(
    pieces: list[tuple[int, str, str]], most: int, finishes: set[int], end: str
) -> None:
    data = [chunk({"index": index, "delta": delta(path, text)}) for index, path, text in pieces]
    data += [chunk({"index": index, "delta": {"content": end}, "finish_reason": "stop"}) for index in finishes]
    holding = HoldBack(most)
    events, _ = run(holding, *data, DONE)
    assert events[-1] == DONE
    assert texts(events) == texts(data)
    seen = {place: text for place, text in holding.seen.items() if text and not is_of_frame(place)}
    assert seen == texts(data)


@given(text=WORDS, most=st.integers(0, 20))
def test_what_is_held_back_comes_before_the_end_of_its_choice(text: str, most: int) -> None:
    events, _ = run(HoldBack(most), chunk(said(text)), chunk(said("", reason="stop")), DONE)
    ends = [
        position for position, event in enumerate(events[:-1]) if json.loads(event)["choices"][0].get("finish_reason")
    ]
    assert ends == [len(events) - 2]


def delta(path: str, text: str) -> dict[str, Any]:
    if path == "tool":
        return {"tool_calls": [{"index": 3, "function": {"arguments": text}}]}
    return {path: text}


def test_a_whole_answer_is_seen_in_every_text() -> None:
    message = {
        "role": "assistant",
        "content": "a",
        "tool_calls": [{"id": "t", "function": {"name": "f", "arguments": "g"}}],
    }
    body = json.dumps(
        {
            "choices": [{"index": 0, "message": message}, {"index": 1, "text": "b"}],
            "usage": {"prompt_tokens": 4, "completion_tokens": 1},
        }
    ).encode()
    holding, tally = HoldBack(1), Tally()
    assert openai_answers.read_whole(body, holding, tally) == body
    assert of_choices(holding) == {"assistant", "a", "t", "f", "g", "b"}
    assert tally.spent(held=Amount()) == Amount(4, 2)


def test_what_the_seam_changes_in_a_whole_answer_is_changed() -> None:
    class Mask(LetPass):
        def answer(self, place: Place, text: str) -> str:
            return super().answer(place, text).replace("secret", "******")

    body = b'{"choices": [{"index": 0, "text": "a secret"}]}'
    assert json.loads(openai_answers.read_whole(body, Mask(), Tally()))["choices"][0]["text"] == "a ******"
