"""Token budgets on the wire: what is held, what is charged, and that nothing stays held whatever ends a request."""

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.guard import running, scripted
from tests.unit.guard.running import (
    Answer,
    Guard,
    Model,
    chat,
    client_key,
    credential,
    document,
    eventually,
    read_all,
    request_bytes,
)

from bartizan.guard.answers import SLACK_TOKENS
from bartizan.policy.document import GuardDocument, RequestWindow, TokenWindow

BUDGET = 10_000
"""A day's: while a test runs, nothing of it comes back."""


def limited(limit: int = BUDGET, kind: str = "Total", **changes: Any) -> GuardDocument:
    return document(tokens=(TokenWindow(kind, limit, 86400),), **{"max_output_tokens": 1000, **changes})


@pytest.fixture
def thrifty(tmp_path: Path, model: Model) -> Iterator[Guard]:
    with running.guard(tmp_path, model.upstream, given=limited()) as started:
        yield started


def left(guard: Guard, key: str | None = None) -> int:
    """What the client may hold now; asking costs no token."""
    return int(guard.ask(path="/v1/models", key=key).headers["x-ratelimit-remaining-tokens"])


def stream(guard: Guard, prompt: str, **more: Any) -> bytes:
    return guard.raw(request_bytes(json.dumps(chat(prompt, stream=True, **more)).encode()))


def outcome(guard: Guard) -> dict[str, Any]:
    """The last request's that was let through to the model."""

    def last() -> dict[str, Any]:
        lines = [line for line in guard.audit() if line["audit"] != "start"]
        asked = [
            line["request"] for line in lines if line["audit"] == "decision" and line["model"] and line["bodyBytes"]
        ]
        return next((line for line in lines if line["audit"] == "outcome" and line["request"] == asked[-1]), {})

    return eventually(last, "the outcome")


def spent(line: dict[str, Any]) -> int:
    total: int = line["inputTokens"] + line["outputTokens"]
    return total


def test_an_answer_is_charged_what_the_server_counted(thrifty: Guard) -> None:
    answer = thrifty.ask(chat("/count 30"))
    assert answer.json()["usage"]["total_tokens"] == 32
    assert left(thrifty) == BUDGET - 32
    assert (outcome(thrifty)["inputTokens"], outcome(thrifty)["outputTokens"]) == (2, 30)
    assert thrifty.metric("gen_ai_client_token_usage_sum") == 32


def test_a_used_up_budget_says_when_to_come_back_and_is_the_clients_own(tmp_path: Path, model: Model) -> None:
    with running.guard(tmp_path, model.upstream, given=limited(400, max_output_tokens=200)) as guard:
        assert guard.ask(chat("/count 200")).status == 200
        refused = guard.ask(chat())
        assert (refused.status, refused.code) == (429, "rate_limit_exceeded")
        assert "budget is used up" in refused.json()["error"]["message"]
        assert int(refused.headers["Retry-After"]) > 3600
        assert refused.headers["x-ratelimit-limit-tokens"] == "400"
        assert refused.headers["x-ratelimit-remaining-tokens"] == "198"
        assert refused.headers["x-ratelimit-reset-tokens"].startswith("12h")
        assert guard.ask(chat(), key=credential("batch").reveal()).status == 200
        assert guard.ask(chat(max_tokens=50)).status == 200, "what may cost less still fits"


def test_every_answer_says_what_is_left(tmp_path: Path, model: Model) -> None:
    windows = (RequestWindow(100, 60), RequestWindow(10, 86400))
    with running.guard(tmp_path, model.upstream, given=limited(requests=windows)) as guard:
        headers = guard.ask(chat("/count 5")).headers
        held = len(running.forwarded(chat("/count 5"))) - len("1000000") + len("1000") + 8 + 1000
        assert headers["x-ratelimit-limit-requests"] == "10", "the tightest window's"
        assert headers["x-ratelimit-remaining-requests"] == "9"
        assert headers["x-ratelimit-reset-requests"] == "2h24m0s"
        assert headers["x-ratelimit-remaining-tokens"] == str(BUDGET - held)
        assert headers["x-ratelimit-reset-tokens"] == "0ms", "nothing is charged yet"


@pytest.mark.parametrize(
    ("asked", "sent"),
    [
        ({}, {"max_tokens": 1000}),
        ({"max_tokens": None}, {"max_tokens": 1000}),
        ({"max_tokens": 7}, {"max_tokens": 7}),
        ({"max_tokens": 5000}, {"max_tokens": 1000}),
        ({"max_completion_tokens": 9}, {"max_tokens": 9, "max_completion_tokens": 9}),
        ({"max_completion_tokens": 9, "max_tokens": None}, {"max_tokens": 9, "max_completion_tokens": 9}),
        ({"max_completion_tokens": 9999, "max_tokens": 20}, {"max_tokens": 20, "max_completion_tokens": 20}),
    ],
)
def test_the_model_is_always_told_the_most_output(
    thrifty: Guard, model: Model, asked: dict[str, Any], sent: dict[str, int]
) -> None:
    assert thrifty.ask(chat("told", **asked)).status == 200
    told = json.loads(model.received()[-1]["body"])
    assert {name: value for name, value in told.items() if name.startswith("max_")} == sent


def test_too_high_a_wish_is_refused_where_the_policy_says_so(tmp_path: Path, model: Model) -> None:
    with running.guard(tmp_path, model.upstream, given=limited(excess_output="Reject")) as guard:
        refused = guard.ask(chat(max_completion_tokens=1001))
        assert (refused.status, refused.json()["error"]["param"]) == (400, "max_completion_tokens")
        assert guard.ask(chat(max_completion_tokens=1000)).status == 200
        assert guard.ask(chat()).status == 200


@pytest.mark.parametrize("options", [None, {}, {"include_usage": False}, "absent"])
def test_usage_is_asked_for_and_hidden_from_a_caller_who_did_not(thrifty: Guard, model: Model, options: Any) -> None:
    answer = stream(thrifty, "/count 5", **({} if options == "absent" else {"stream_options": options}))
    assert b"usage" not in answer
    assert b"data: [DONE]" in answer
    assert json.loads(model.received()[-1]["body"])["stream_options"] == {"include_usage": True}
    assert left(thrifty) == BUDGET - 7


def test_usage_is_shown_to_a_caller_who_asked(thrifty: Guard) -> None:
    assert b'"completion_tokens": 5' in stream(thrifty, "/count 5", stream_options={"include_usage": True})


def test_every_choice_and_every_prompt_is_held_for(thrifty: Guard) -> None:
    completions = {"model": "demo", "prompt": ["a", "b"], "max_tokens": 10, "n": 2, "best_of": 3}
    embeddings = {"model": "demo", "input": ["a", "b"]}
    for body, path, texts, output in (
        (chat(n=3, max_tokens=10), running.CHAT, 1, 30),
        (completions, "/v1/completions", 2, 60),
        (embeddings, "/v1/embeddings", 2, 0),
    ):
        answer = thrifty.ask(body, path=path)
        decision = thrifty.audited(answer.headers["X-Request-Id"])[0]
        assert decision["heldTokens"] == decision["bodyBytes"] + 8 * texts + output


def test_embeddings_are_charged_their_input(thrifty: Guard) -> None:
    assert thrifty.ask({"model": "demo", "input": ["one two", "three"]}, path="/v1/embeddings").status == 200
    assert left(thrifty) == BUDGET - 3


def test_a_stream_beyond_what_was_held_is_cut_and_charged(thrifty: Guard) -> None:
    answer = stream(thrifty, "/count 500 /overrun", max_tokens=10)
    events = answer.split(b"data: ")[1:]
    assert b'"code": "answer_too_long"' in events[-1]
    assert not answer.endswith(b"0\r\n\r\n"), "nobody takes the part for the whole"
    assert len([event for event in events if b'"content"' in event]) <= 10 + SLACK_TOKENS + 1
    line = outcome(thrifty)
    assert (line["reason"], line["status"]) == ("AnswerTooLong", 200)
    assert line["outputTokens"] > 10 + SLACK_TOKENS
    assert left(thrifty) == BUDGET - spent(line)
    assert thrifty.metric("bartizan_guard_tokens_beyond_held_total") == line["outputTokens"] - 10


def test_a_stream_is_cut_after_its_time(tmp_path: Path, model: Model) -> None:
    with running.guard(tmp_path, model.upstream, given=limited(max_stream_seconds=1)) as guard:
        answer = stream(guard, "/count 900 /slow 20")
        assert b'"code": "stream_too_long"' in answer.rpartition(b"data: ")[2]
        line = outcome(guard)
        assert (line["reason"], line["outputTokens"] > 5) == ("StreamTooLong", True)
        assert left(guard) == BUDGET - spent(line)
        eventually(lambda: model.events()[-1]["event"] == "client gone", "the model was told to stop")


def test_an_error_of_the_model_in_mid_stream_is_told_in_our_own_words(tmp_path: Path) -> None:
    said = b'data: {"choices":[{"index":0,"delta":{"content":"a"}}]}\n\n'
    answer = scripted.chunked(said, b'data: {"error":{"message":"CUDA at 10.0.0.7"}}\n\n')
    with (
        scripted.scripted(tmp_path / "m.sock", answer) as server,
        running.guard(tmp_path, server.upstream, given=limited()) as guard,
    ):
        got = stream(guard, "x")
        assert b"CUDA" not in got
        assert b'"code": "upstream_broken"' in got
        assert not got.endswith(b"0\r\n\r\n")
        line = outcome(guard)
        assert line["outputTokens"] == 1
        assert left(guard) == BUDGET - spent(line)


def test_fifty_callers_that_race_never_pass_a_budget(tmp_path: Path, model: Model) -> None:
    given = limited(1000, concurrent=64, concurrent_per_client=64)
    answers: list[Answer] = []
    with running.guard(tmp_path, model.upstream, given=given) as guard:

        def ask() -> None:
            answers.extend(guard.ask(chat("/count 20 /slow 1", max_tokens=20)) for _ in range(4))

        threads = [threading.Thread(target=ask) for _ in range(50)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        while len(answers) == 200 or answers[-1].status == 200:
            answers.append(guard.ask(chat("/count 20", max_tokens=20)))
        used = sum(answer.json()["usage"]["total_tokens"] for answer in answers if answer.status == 200)
        assert {answer.status for answer in answers} == {200, 429}
        assert 800 < used <= 1000 + 1, "all but one request's ceiling is given, and no more"
        assert left(guard) <= 1000 - used + 1


Break = Callable[[Guard, Path], None]


def _refused(guard: Guard, folder: Path) -> None:
    assert guard.ask(chat(n=99)).status == 400


def _model_says_no(guard: Guard, folder: Path) -> None:
    assert guard.ask(chat("/status 500")).status == 500
    assert spent(outcome(guard)) == 0


def _model_breaks_off(guard: Guard, folder: Path) -> None:
    assert b"upstream_broken" in stream(guard, "/count 9 /drop 4")
    assert outcome(guard)["outputTokens"] == 4


def _caller_leaves_a_stream(guard: Guard, folder: Path) -> None:
    with guard.connect() as sock:
        sock.sendall(request_bytes(json.dumps(chat("/count 900 /slow 10", stream=True)).encode()))
        assert sock.recv(64).startswith(b"HTTP/1.1 200")
    assert outcome(guard)["reason"] == "ClientGone"


def _caller_leaves_before_the_answer(guard: Guard, folder: Path) -> None:
    with guard.connect() as sock:
        sock.sendall(request_bytes(json.dumps(chat("/hold")).encode()))
        eventually(lambda: left(guard) < BUDGET, "held for it")
    assert outcome(guard)["reason"] == "ClientGone"


def _key_is_withdrawn(guard: Guard, folder: Path) -> None:
    with guard.connect() as sock:
        sock.sendall(request_bytes(json.dumps(chat("/hold")).encode()))
        eventually(lambda: left(guard) < BUDGET, "held for it")
        guard.take_up(limited(version=2000, keys=(client_key(epoch=2),)))
        assert b" 401 " in read_all(sock)
    assert outcome(guard)["reason"] == "CredentialWithdrawn"


EXITS: dict[str, Break] = {
    function.__name__.strip("_"): function
    for function in (
        _refused,
        _model_says_no,
        _model_breaks_off,
        _caller_leaves_a_stream,
        _caller_leaves_before_the_answer,
        _key_is_withdrawn,
    )
}


@pytest.mark.parametrize("way", EXITS)
def test_nothing_stays_held_whatever_ends_a_request(thrifty: Guard, tmp_path: Path, way: str) -> None:
    EXITS[way](thrifty, tmp_path)
    charged = 0 if way == "refused" else spent(outcome(thrifty))
    key = credential(epoch=2).reveal() if way == "key_is_withdrawn" else None
    assert left(thrifty, key) == BUDGET - charged


def test_nothing_stays_held_when_the_model_dies_or_never_was(tmp_path: Path) -> None:
    with contextlib.ExitStack() as held:
        own = held.enter_context(running.model(tmp_path))
        guard = held.enter_context(running.guard(tmp_path, own.upstream, given=limited()))
        sock = held.enter_context(guard.connect())
        sock.sendall(request_bytes(json.dumps(chat("/hold")).encode()))
        eventually(lambda: left(guard) < BUDGET, "held for it")
        own.process.kill()
        assert b" 502 " in read_all(sock)
        after = left(guard)
        assert after == BUDGET - spent(outcome(guard))
        assert guard.ask(chat()).status == 503
        assert left(guard) == after, "nothing is charged for what no model ever got"


def test_a_whole_answer_keeps_its_slot_until_it_is_read(tmp_path: Path) -> None:
    """Or callers that do not read could fill the memory with the answers that wait for them."""
    large = json.dumps({"choices": [{"index": 0, "text": "x" * (7 << 20)}]}).encode()
    with (
        scripted.scripted(tmp_path / "m.sock", scripted.whole(large)) as server,
        running.guard(
            tmp_path, server.upstream, "--reader-seconds", "2", given=limited(concurrent_per_client=1)
        ) as guard,
        guard.connect() as sock,
    ):
        sock.sendall(request_bytes(json.dumps(chat()).encode()))
        assert sock.recv(16).startswith(b"HTTP/1.1 200")
        assert guard.ask(chat()).code == "rate_limit_exceeded"
        assert outcome(guard)["reason"] == "ClientTooSlow"
        assert guard.ask(chat()).status == 200


def test_callers_who_read_no_answer_hold_no_more_than_their_share_of_memory(tmp_path: Path) -> None:
    large = json.dumps({"choices": [{"index": 0, "text": "x" * (7 << 20)}]}).encode()
    most = ("--max-answer-bytes", str(20 << 20))
    terms = limited(1_000_000_000, concurrent=64, concurrent_per_client=32)
    with (
        scripted.scripted(tmp_path / "m.sock", scripted.whole(large)) as server,
        running.guard(tmp_path, server.upstream, *most, given=terms) as guard,
        contextlib.ExitStack() as opened,
    ):
        before = guard.rss_mib()
        for client in ("chat-ui", "batch"):
            socks = [opened.enter_context(guard.connect()) for _ in range(12)]
            key = b"Authorization: Bearer " + credential(client).reveal().encode()
            for sock in socks:
                sock.sendall(request_bytes(json.dumps(chat()).encode(), key))
            heads = sorted(sock.recv(12) for sock in socks)
            assert heads == [b"HTTP/1.1 200"] + [b"HTTP/1.1 503"] * 11, "one whole answer is a client's share"
        assert guard.rss_mib() - before < 12 * 7, "two answers, and one that is being read, of twenty-four"
        assert guard.metric('bartizan_guard_requests_total{reason="Overloaded"') == 22
        opened.close()
        eventually(lambda: guard.ask(chat(), key=credential("batch").reveal()).status == 200, "there is room again")


LARGE = json.dumps({"choices": [{"index": 0, "text": "x" * (7 << 20)}]}).encode()


def test_who_closes_its_half_leaves_nothing_of_its_answer_behind(tmp_path: Path) -> None:
    """Its slot and its share are free then, and so must be the memory."""
    with (
        scripted.scripted(tmp_path / "m.sock", scripted.whole(LARGE)) as server,
        running.guard(tmp_path, server.upstream, given=limited(1_000_000_000)) as guard,
        contextlib.ExitStack() as opened,
    ):
        before = guard.rss_mib()
        for _ in range(12):
            sock = opened.enter_context(guard.connect())
            sock.sendall(request_bytes(json.dumps(chat()).encode()))
            assert sock.recv(12) == b"HTTP/1.1 200"
            sock.shutdown(socket.SHUT_WR)
            eventually(lambda: guard.audit()[-1]["reason"] == "ClientGone", "its request has ended")
        assert guard.rss_mib() - before < 6 * 7, "the share of one client, and one answer that is being read"


def test_a_caller_that_reads_late_has_no_hand_in_the_answer_of_the_next(tmp_path: Path) -> None:
    """The model's connection serves another by then: who resumed it would have all of that answer in memory."""
    embeddings = b'{"data":[' + b"0.25," * (20 << 20) + b"0]}"
    terms = limited(1_000_000_000)
    with (
        scripted.scripted(tmp_path / "m.sock", scripted.whole(LARGE), stays=True) as server,
        running.guard(tmp_path, server.upstream, given=terms) as guard,
        _sipping(guard) as first,
        _sipping(guard) as second,
    ):
        first.sendall(request_bytes(json.dumps(chat()).encode()))
        assert first.recv(12) == b"HTTP/1.1 200"
        server.answer = scripted.whole(embeddings)
        asked = json.dumps({"model": "demo", "input": "x"}).encode()
        second.sendall(request_bytes(asked, path=b"/v1/embeddings"))
        assert second.recv(12) == b"HTTP/1.1 200"
        assert server.connections == 1, "the same connection to the model"
        before = guard.rss_mib()
        read = 0
        while read < 7 << 20:
            read += len(first.recv(1 << 20))
        for _ in range(300):
            assert guard.status()  # each is a turn of its loop
        assert guard.rss_mib() - before < 10


def test_figures_that_no_reader_takes_for_numbers_are_no_usage(tmp_path: Path) -> None:
    absurd = {"usage": {"prompt_tokens": 1, "completion_tokens": 10**30}}
    whole = scripted.whole(json.dumps({"choices": [{"index": 0, "text": "x"}], **absurd}).encode())
    with (
        scripted.scripted(tmp_path / "m.sock", whole) as server,
        running.guard(tmp_path, server.upstream, given=limited()) as guard,
    ):
        assert guard.ask(chat()).status == 502
        assert outcome(guard)["reason"] == "UpstreamBroken"


@pytest.mark.parametrize("bomb", [b"{}," * (1 << 19), b"[]," * (1 << 20), b"0," * (3 << 20)])
def test_an_answer_of_millions_of_values_is_not_read(tmp_path: Path, bomb: bytes) -> None:
    body = b'{"choices":[' + bomb + b"{}]}"
    with (
        scripted.scripted(tmp_path / "m.sock", scripted.whole(body)) as server,
        running.guard(tmp_path, server.upstream, given=limited()) as guard,
    ):
        before = guard.rss_mib()
        assert guard.ask(chat()).status == 502
        assert guard.rss_mib() - before < 40


def test_an_answer_that_grows_while_it_is_written_anew_counts_as_it_goes_out(tmp_path: Path) -> None:
    """In ASCII a letter takes up to twelve bytes."""
    said = {"choices": [{"index": 0, "text": "\U0001f600" * (1 << 20)}], "an addition": 1}
    body = json.dumps(said, ensure_ascii=False).encode()
    with (
        scripted.scripted(tmp_path / "m.sock", scripted.whole(body)) as server,
        running.guard(tmp_path, server.upstream, given=limited()) as guard,
    ):
        assert len(body) < 5 << 20
        assert guard.ask(chat()).status == 502


def test_a_model_that_drips_is_cut_when_an_answer_has_taken_as_long_as_one_may(tmp_path: Path) -> None:
    with (
        _dripping(tmp_path / "m.sock") as upstream,
        running.guard(tmp_path, upstream, "--answer-seconds", "1", given=limited(max_stream_seconds=1)) as guard,
    ):
        began = time.monotonic()
        assert guard.ask(chat()).status == 504
        assert time.monotonic() - began < 10


def test_a_caller_that_sips_a_whole_answer_is_cut_when_it_has_taken_as_long_as_one_may(tmp_path: Path) -> None:
    large = json.dumps({"choices": [{"index": 0, "text": "x" * (7 << 20)}]}).encode()
    with (
        scripted.scripted(tmp_path / "m.sock", scripted.whole(large)) as server,
        running.guard(tmp_path, server.upstream, "--answer-seconds", "1", given=limited(max_stream_seconds=1)) as guard,
        guard.connect() as sock,
    ):
        sock.sendall(request_bytes(json.dumps(chat()).encode()))
        eventually(lambda: sock.recv(4096) and guard.audit()[-1].get("reason") == "ClientTooSlow", "it is cut")
        assert guard.ask(chat()).status == 200


def _sipping(guard: Guard) -> socket.socket:
    """A caller whose kernel takes hardly anything for it."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.settimeout(running.DEADLINE_SECONDS)
    sock.connect(("127.0.0.1", guard.port))
    return sock


@contextlib.contextmanager
def _dripping(path: Path) -> Iterator[str]:
    """A model that sends a byte of its answer every tenth of a second, for ever."""
    is_over = threading.Event()

    def serve() -> None:
        with listener, contextlib.suppress(OSError), listener.accept()[0] as sock:
            sock.recv(1 << 20)
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n")
            while not is_over.wait(0.1):
                sock.sendall(b" ")

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"unix:{path}"
        finally:
            is_over.set()
            thread.join()
