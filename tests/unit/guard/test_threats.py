"""The rows of the threat table that the guard stops, tried over real sockets: a test's name holds its row."""

import contextlib
import json
import re
import select
import socket
import statistics
import time
import timeit
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.guard.running import (
    CHAT,
    Answer,
    Guard,
    Model,
    chat,
    client_key,
    credential,
    eventually,
    forwarded,
    guard,
    read_all,
    request_bytes,
)

from bartizan.guard import identity
from bartizan.guard.refusal import Refusal
from bartizan.guard.request import Head
from bartizan.policy.document import ClientKey

BODY = json.dumps(chat("never to be seen")).encode()


@pytest.fixture(autouse=True)
def unseen(request: pytest.FixtureRequest, model: Model) -> Iterator[None]:
    """What a test tries must never reach the model, unless it is one of those that say so."""
    before = len(model.received())
    yield
    if "reaches" not in request.node.name:
        assert len(model.received()) == before


def _status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.1 ") else 0


@pytest.mark.parametrize(
    "path",
    ["/v1/responses/resp_1", "/v1/conversations", "/invocations", "/pooling", "/score", "/v1/score", "/classify",
     "/rerank", "/generate", "/v2/models/demo/infer", "/v1/messages", "/v1/audio/transcriptions",
     "/inference/v1/generate", "/completion"],
)  # fmt: skip
def test_t24_other_inference_paths_do_not_exist(guard: Guard, path: str) -> None:
    answer = guard.ask(BODY, path=path)
    assert (answer.status, answer.code) == (404, "path_not_allowed")


@pytest.mark.parametrize(
    "path",
    ["/v1/load_lora_adapter", "/v1/unload_lora_adapter", "/update_weights", "/pause", "/collective_rpc", "/sleep",
     "/wake_up", "/start_profile", "/reset_prefix_cache", "/v2/repository/index", "/v2/systemsharedmemory/status",
     "/control/release", "/slots", "/props", "/lora-adapters"],
)  # fmt: skip
def test_t25_control_paths_do_not_exist(guard: Guard, path: str) -> None:
    assert guard.ask(b"{}", path=path).status == 404
    assert guard.ask(path=path).status == 404


@pytest.mark.parametrize(
    "path",
    ["/", "/tokenize", "/detokenize", "/metrics", "/docs", "/openapi.json", "/version", "/health", "/v1/models/demo",
     "/livez", "/readyz", "/status"],
)  # fmt: skip
def test_t26_what_a_server_says_of_itself_stays_inside(guard: Guard, path: str) -> None:
    assert guard.ask(path=path).status == 404


@pytest.mark.parametrize(
    "path",
    [b"//v1/chat/completions", b"/v1//chat/completions", b"/v1/../v1/chat/completions", b"/v1/./chat/completions",
     b"/v1/%63hat/completions", b"/v1%2fchat/completions", b"/x/%2e%2e/v1/chat/completions", b"/v1\\chat\\completions",
     b"/v1/chat/completions;a=b", b"/v1/chat/completions#x", b"/v1/chat/completions?x=1", b"/v1/chat/completions?",
     b"/v1/chat/completions%00", b"/V1/chat/completions", b"/v1/chat/Completions", b"/v1/chat/completions/",
     b"http://guard/v1/chat/completions", b"*", b"v1/chat/completions", b"/v1/chat/completions%20",
     b"/v1/chat/complet\xc4\xb1ons", b"/v1/chat/completions\x00", b"/v1/chat/completions\t"],
)  # fmt: skip
def test_t27_only_the_exact_path_is_a_path(guard: Guard, path: bytes) -> None:
    assert _status(guard.raw(request_bytes(BODY, path=path))) in (400, 404)


CHUNKED = b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)
LENGTH = b"Content-Length: %d" % len(BODY)


@pytest.mark.parametrize(
    "data",
    [
        request_bytes(CHUNKED, b"Content-Length: %d" % len(CHUNKED), b"Transfer-Encoding: chunked"),
        request_bytes(CHUNKED, b"Transfer-Encoding: chunked", b"Content-Length: %d" % len(CHUNKED)),
        request_bytes(BODY, LENGTH, LENGTH),
        request_bytes(BODY, LENGTH, b"Content-Length: 1"),
        request_bytes(BODY, b"Content-Length: %d, %d" % (len(BODY), len(BODY))),
        request_bytes(BODY, b"Content-Length: +%d" % len(BODY)),
        request_bytes(BODY, b"Content-Length: 0x%x" % len(BODY)),
        request_bytes(BODY, b"Content-Length: -1"),
        request_bytes(BODY, b"Content-Length : %d" % len(BODY)),
        request_bytes(BODY, b"Content-Length: 99999999999999999999"),
        request_bytes(CHUNKED, b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity"),
        request_bytes(CHUNKED, b"Transfer-Encoding: xchunked"),
        request_bytes(CHUNKED, b"Transfer-Encoding: chunked, identity"),
        request_bytes(CHUNKED, b"Transfer-Encoding: identity, chunked"),
        request_bytes(CHUNKED, b"Transfer-Encoding : chunked"),
        request_bytes(CHUNKED, b"Transfer-Encoding:\x0bchunked"),
        request_bytes(CHUNKED, b" Transfer-Encoding: chunked"),
        request_bytes(b"%x;a=b\n%b\r\n0\r\n\r\n" % (len(BODY), BODY), b"Transfer-Encoding: chunked"),
        request_bytes(b"%x\n%b\n0\n\n" % (len(BODY), BODY), b"Transfer-Encoding: chunked"),
        request_bytes(b"0x%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY), b"Transfer-Encoding: chunked"),
        request_bytes(b"ffffffffffffffff1\r\n%b\r\n0\r\n\r\n" % BODY, b"Transfer-Encoding: chunked"),
        request_bytes(CHUNKED[:-2] + b"Authorization: Bearer x\r\n\r\n", b"Transfer-Encoding: chunked"),
        request_bytes(BODY).replace(b"\r\n", b"\n"),
        request_bytes(BODY, b"X-Folded: a\r\n b"),
        request_bytes(BODY, b"X-Bare: a\rb"),
        request_bytes(BODY, b"X-Null: a\x00b"),
        request_bytes(BODY, b"No colon here"),
        request_bytes(BODY, b": no name"),
        request_bytes(BODY, b"Connection: close") + request_bytes(BODY),
    ],
)
def test_t28_what_two_parsers_might_read_differently_is_refused(guard: Guard, data: bytes) -> None:
    answer = guard.raw(data)
    assert _status(answer) == 400
    assert len(re.findall(rb"HTTP/1.1 \d", answer)) == 1


def test_t28_a_request_behind_a_request_reaches_nobody(guard: Guard, model: Model) -> None:
    before = len(model.received())
    alive = b"Connection: keep-alive"
    answer = guard.raw(request_bytes(BODY, alive) + request_bytes(BODY.replace(b"never", b"smuggled"), alive))
    assert (_status(answer), answer.count(b"HTTP/1.1 ")) == (200, 1)
    assert b"Connection: close" in answer
    assert [event["body"] for event in model.received()[before:]] == [forwarded(chat("never to be seen"))]


@pytest.mark.parametrize(
    "line", [b"HTTP/1.0", b"HTTP/0.9", b"HTTP/2.0", b"HTTP/1.2", b"HTTP/3", b"RTSP/1.0", b"", b"http/1.1"]
)
def test_t28_other_versions_are_refused(guard: Guard, line: bytes) -> None:
    assert _status(guard.raw(request_bytes(BODY).replace(b"HTTP/1.1", line, 1))) == 400


@pytest.mark.parametrize("host", [b"", b"Host: \r\n", b"Host: a\r\nHost: b\r\n", b"Host: a\r\nHost: a\r\n"])
def test_t28_a_request_has_one_host(guard: Guard, host: bytes) -> None:
    assert _status(guard.raw(request_bytes(BODY).replace(b"Host: guard\r\n", host))) == 400


@pytest.mark.parametrize(
    "data",
    [
        request_bytes(b"", b"Upgrade: websocket", b"Connection: Upgrade", path=b"/v1/realtime", method=b"GET"),
        request_bytes(b"", b"Upgrade: websocket", b"Connection: Upgrade", path=b"/v1/models", method=b"GET"),
        request_bytes(BODY, b"Upgrade: h2c", b"Connection: Upgrade, HTTP2-Settings"),
        request_bytes(BODY, b"Upgrade: websocket"),
        request_bytes(b"", path=b"model:80", method=b"CONNECT"),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64),
    ],
)
def test_t30_nothing_is_upgraded_or_tunnelled(guard: Guard, data: bytes) -> None:
    assert _status(guard.raw(data)) == 400


@pytest.mark.parametrize("path", [b"/v1/realtime", b"/v1/realtime?model=demo"])
def test_t30_there_is_no_realtime(guard: Guard, path: bytes) -> None:
    assert _status(guard.raw(request_bytes(b"", path=path, method=b"GET"))) == 404


@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"PUT", b"PATCH", b"DELETE", b"OPTIONS", b"TRACE", b"PURGE"])
def test_t30_a_path_takes_its_one_method(guard: Guard, method: bytes) -> None:
    answer = guard.raw(request_bytes(BODY, method=method))
    assert _status(answer) == 405
    assert b"\r\nAllow: POST\r\n" in answer


def test_t30_a_head_that_is_refused_has_no_body_either(guard: Guard) -> None:
    """A proxy in front would take the body for the next answer."""
    for line in (b"X: y", b"X-Null: a\x00b"):
        answer = guard.raw(request_bytes(b"", line, method=b"HEAD", path=b"/v1/models"))
        assert _status(answer) in (400, 405)
        assert answer.endswith(b"\r\n\r\n")


def test_t31_nothing_of_the_callers_header_reaches_the_model(guard: Guard, model: Model) -> None:
    forged = {"X_Bartizan_Client": "admin", "X_Forwarded_For": "10.0.0.1", "X_Forwarded_Client_Cert": "Subject=root",
              "Forwarded": "for=admin", "X_Conversation_Id": "survive", "Cookie": "a=b", "Traceparent": "00-1-1-00",
              "Accept_Encoding": "gzip", "User_Agent": "forged"}  # fmt: skip
    assert guard.ask(chat("headers"), **forged).status == 200
    names = set(model.received()[-1]["headers"])
    assert names == {"host", "content-type", "content-length", "accept"}


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "identity", "x-gzip", ""])
def test_t36_an_encoded_body_is_not_read(guard: Guard, encoding: str) -> None:
    answer = guard.ask(BODY, Content_Encoding=encoding)
    assert (answer.status, answer.code) == (415, "content_encoding_unsupported")


def _large(size: int) -> bytes:
    return json.dumps(chat("x" * size)).encode()


def test_t37_a_body_above_the_limit_is_refused_and_never_read_in_part(guard: Guard) -> None:
    body = _large(2 << 20)
    assert guard.ask(body).status == 413
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in _cut(body, 65536)) + b"0\r\n\r\n"
    answer = guard.raw(request_bytes(chunks, b"Transfer-Encoding: chunked"))
    assert _status(answer) == 413


@pytest.mark.parametrize("size", [3 << 20, 8 << 20])
def test_t37_a_caller_that_sends_all_before_it_reads_sees_why_it_is_refused(guard: Guard, size: int) -> None:
    body = _large(size)
    assert [guard.ask(body).status for _ in range(5)] == [413] * 5
    assert [guard.ask(body, key="btzn_x.y").status for _ in range(5)] == [413] * 5


def _cut(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


def test_t37_a_body_just_below_the_limit_reaches_the_model_whole(guard: Guard, model: Model) -> None:
    assert guard.ask(_large((2 << 20) - 200)).status == 200
    assert "x" * ((2 << 20) - 200) in model.received()[-1]["body"]


def test_t38_a_term_split_over_segments_and_chunks_reaches_the_model_in_one(guard: Guard, model: Model) -> None:
    data = request_bytes(
        b"".join(b"1\r\n%c\r\n" % byte for byte in BODY) + b"0\r\n\r\n",
        b"Transfer-Encoding: chunked",
    )
    with guard.connect() as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in data:
            sock.sendall(bytes([byte]))
        assert _status(read_all(sock)) == 200
    assert model.received()[-1]["body"] == forwarded(chat("never to be seen"))


NOT_STRICT = [
    BODY.decode().encode("utf-16"),
    BODY.decode().encode("utf-16-le"),
    BODY.decode().encode("utf-32"),
    BODY.decode().encode("utf-7").replace(b"{", b"+AHs-"),
    b"\xef\xbb\xbf" + BODY,
    BODY.replace(b"never", b"\xff\xfe"),
    BODY.replace(b"never", b"\xc0\xae"),
    BODY.replace(b"never", b"\xed\xa0\x80"),
    BODY.replace(b"never", b"\\ud800"),
    BODY.replace(b"never", b"\\udc00\\ud800"),
    BODY.replace(b'"never', b'"\\x41'),
    BODY.replace(b"never", b"\x00"),
    BODY.replace(b"never", b"\n"),
    json.dumps(chat(seed=0)).replace('"seed": 0', '"seed": NaN').encode(),
    json.dumps(chat(temperature=0)).replace('"temperature": 0', '"temperature": Infinity').encode(),
    json.dumps(chat(temperature=0)).replace('"temperature": 0', '"temperature": -Infinity').encode(),
    json.dumps(chat(temperature=0)).replace('"temperature": 0', '"temperature": 1e999').encode(),
    json.dumps(chat(seed=0)).replace('"seed": 0', '"seed": ' + "1" * 5000).encode(),
    json.dumps(chat(seed=0)).replace('"seed": 0', '"seed": 01').encode(),
    json.dumps(chat(seed=0)).replace('"seed": 0', '"seed": +1').encode(),
    json.dumps(chat(seed=0)).replace('"seed": 0', '"seed": .5').encode(),
    json.dumps(chat(seed=0)).replace('"seed": 0', '"seed": 0x1').encode(),
    json.dumps(chat(seed=0)).replace('"seed": 0', '"seed": ١').encode(),
    b'{"model":"demo","messages":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    b'{"model":"demo","messages":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b"}",
    b'{"model":"demo","messages":' + b"[" * 100_000,
    b'{"model":"demo","messages":[' + b"[]," * 200_000 + b"[]]}",
    BODY[:-1],
    BODY + b"{}",
    BODY + b"\x00",
    BODY.replace(b"}", b",}", 1),
    BODY.replace(b'"', b"'"),
    b"// comment\n" + BODY,
    b"\xa0" + BODY,
    b"",
    b"null",
    b"[]",
    b'"text"',
    b"model=demo",
]


@pytest.mark.parametrize("body", NOT_STRICT, ids=range(len(NOT_STRICT)))
def test_t39_only_strict_json_is_json(guard: Guard, body: bytes) -> None:
    answer = guard.ask(body)
    assert answer.status == 400
    assert answer.code in ("json_invalid", "invalid_value")


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"demo","model":"demo","messages":[]}',
        b'{"model":"demo","messages":[{"role":"user","content":"good","content":"bad"}]}',
        b'{"model":"demo","messages":[{"role":"user","content":"x"}],"mess\\u0061ges":[{"role":"user","content":"y"}]}',
        b'{"model":"demo","messages":[{"role":"user","content":"x"}],"metadata":{"a":"1","a":"2"}}',
    ],
)
def test_t40_a_key_stands_once(guard: Guard, body: bytes) -> None:
    answer = guard.ask(body)
    assert (answer.status, answer.code) == (400, "json_invalid")


@pytest.mark.parametrize(
    "kind",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/json-seq",
     "application/jsonl", "application/json; charset=utf-16", "application/json, text/plain", "text/json", "",
     "application/json; charset=utf-8; charset=utf-7", "application/problem+json", "*/*"],
)  # fmt: skip
def test_t41_a_body_is_application_json(guard: Guard, kind: str) -> None:
    answer = guard.ask(BODY, Content_Type=kind)
    assert (answer.status, answer.code) == (415, "content_type_unsupported")


def test_t41_two_content_types_are_none(guard: Guard) -> None:
    twice = b"Content-Type: application/json\r\nContent-Type: application/json"
    assert _status(guard.raw(request_bytes(BODY, twice))) == 415
    bare = request_bytes(BODY).replace(b"Content-Type: application/json\r\n", b"")
    assert _status(guard.raw(bare)) == 415


UNKNOWN = ["guided_json", "guided_regex", "guided_grammar", "documents", "chat_template", "chat_template_kwargs",
           "mm_processor_kwargs", "kv_transfer_params", "vllm_xargs", "cache_salt", "add_generation_prompt",
           "continue_final_message", "structured_outputs", "prompt_logprobs", "priority", "request_id", "lora",
           "media_io_kwargs", "bad_words", "ignore_eos", "grammar", "cache_prompt", "id_slot", "samplers",
           "web_search_options", "audio", "store", "Messages", "", "__proto__"]  # fmt: skip


@pytest.mark.parametrize("name", UNKNOWN)
def test_t42_a_field_that_is_not_known_is_refused_by_name(guard: Guard, name: str) -> None:
    answer = guard.ask({**chat(), name: "x"})
    assert (answer.status, answer.code, answer.json()["error"]["param"]) == (400, "unknown_parameter", name)


@pytest.mark.parametrize(
    "message",
    [
        {"role": "user", "content": "x", "hidden": "y"},
        {"role": "user", "content": [{"type": "text", "text": "x", "more": "y"}]},
        {"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}]},
        {"role": "user", "content": [{"type": "file", "file": {"file_id": "x"}}]},
        {"role": "user", "content": {"text": "x"}},
        {"role": "root", "content": "x"},
        {"role": ["user"], "content": "x"},
        {"content": "x"},
        "x",
        None,
    ],
)
def test_t42_text_has_known_places_only(guard: Guard, message: object) -> None:
    assert guard.ask({"model": "demo", "messages": [message]}).status == 400


@pytest.mark.parametrize("url", ["http://169.254.169.254/", "https://example.org/a.png", "data:image/png;base64,AA=="])
def test_t21_the_model_is_sent_to_no_url(guard: Guard, url: str) -> None:
    part = {"type": "image_url", "image_url": {"url": url}}
    assert guard.ask({"model": "demo", "messages": [{"role": "user", "content": [part]}]}).status == 400


@pytest.mark.parametrize(
    "more",
    [
        {"n": 9},
        {"n": 0},
        {"n": 2.0},
        {"n": True},
        {"max_tokens": 10**9},
        {"max_tokens": 0},
        {"max_tokens": -1},
        {"max_completion_tokens": 1 << 40},
        {"logit_bias": {str(token): 100 for token in range(301)}},
        {"logit_bias": {"1": 1000}},
        {"logit_bias": {"1": float(10**9)}},
        {"top_logprobs": 21},
        {"temperature": 2.5},
        {"stop": ["x"] * 17},
        {"tools": [{"type": "function", "function": {"name": "f"}}] * 129},
        {"stream": "true"},
        {"stream": 1},
    ],
)
def test_t47_what_multiplies_the_cost_is_bounded(guard: Guard, more: dict[str, object]) -> None:
    answer = guard.ask({**chat(), **more})
    assert (answer.status, answer.code) == (400, "invalid_value")


@pytest.mark.parametrize("more", [{"n": 9}, {"best_of": 9}, {"prompt": [1, 2, 3]}, {"prompt": ["x"] * 2049}])
def test_t47_plain_completions_are_bounded_too(guard: Guard, more: dict[str, object]) -> None:
    assert guard.ask({"model": "demo", "prompt": "x", **more}, path="/v1/completions").status == 400


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory, model: Model) -> Iterator[Guard]:
    """A guard with short deadlines and few connections."""
    flags = ["--header-seconds", "1", "--body-seconds", "1", "--idle-seconds", "1", "--reader-seconds", "1"]
    with guard(tmp_path_factory.mktemp("hasty"), model.upstream, *flags, "--max-connections", "20") as started:
        yield started


def test_t48_a_slow_header_is_told_so_and_ended(hasty: Guard) -> None:
    with hasty.connect() as sock:
        sock.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: guard\r\nX-Slow: ")
        assert _status(read_all(sock)) == 408


def test_t48_a_header_that_trickles_is_ended_at_the_same_deadline(hasty: Guard) -> None:
    began = time.monotonic()
    with hasty.connect() as sock:
        sock.settimeout(0.05)
        sock.sendall(b"POST /v1/chat/completions HTTP/1.1\r\n")
        answer = _trickle(sock, b"X-Slow: yes\r\n")
    assert (_status(answer), time.monotonic() - began < 3) == (408, True)


def test_t48_a_body_that_trickles_is_ended_at_its_deadline(hasty: Guard) -> None:
    began = time.monotonic()
    with hasty.connect() as sock:
        sock.settimeout(0.05)
        sock.sendall(request_bytes(b"", b"Content-Length: 100000"))
        answer = _trickle(sock, b" ")
    assert (_status(answer), time.monotonic() - began < 3) == (408, True)


def _trickle(sock: socket.socket, piece: bytes) -> bytes:
    """Send `piece` every 50 ms until an answer comes."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        sock.sendall(piece)
        try:
            return sock.recv(65536)
        except TimeoutError:
            continue
    raise AssertionError("no answer")


def test_t48_silent_and_idle_connections_end(hasty: Guard) -> None:
    with hasty.connect() as silent, hasty.connect() as idle:
        idle.sendall(request_bytes(b"", b"Connection: keep-alive", method=b"GET", path=b"/v1/models"))
        assert read_all(silent) == b""
        assert _status(read_all(idle)) == 200


def test_t48_a_slow_reader_is_cut_and_what_it_reaches_is_ended(hasty: Guard, model: Model) -> None:
    body = json.dumps(chat("/count 400000", stream=True)).encode()
    with hasty.connect() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.sendall(request_bytes(body))
        request_id = sock.recv(400).split(b"X-Request-Id: ")[1].split(b"\r\n")[0].decode()
        lines = hasty.audited(request_id)
        assert [line["reason"] for line in lines] == ["Allowed", "ClientTooSlow"]
        assert not read_all(sock).endswith(b"0\r\n\r\n")
    assert hasty.rss_mib() < 80


def test_t48_connections_are_capped_and_what_reaches_the_cap_hears_when_to_come_back(
    hasty: Guard, model: Model
) -> None:
    before = len(model.received())
    with contextlib.ExitStack() as held:
        for _ in range(20):
            sock = held.enter_context(hasty.connect())
            sock.sendall(request_bytes(json.dumps(chat("/hold")).encode()))
        eventually(lambda: len(model.received()) == before + 20, "all are under way")
        answer = hasty.raw(b"")
        assert _status(answer) == 503
        assert b"\r\nRetry-After: 1\r\n" in answer
        model.release()
    eventually(lambda: hasty.metric("bartizan_guard_connections ") == 0, "there is room for the next test")


IDLE = {
    "silent": b"",
    "half a head": b"GET /v1/models HTTP/1.1\r\n",
    "kept alive": request_bytes(b"", b"Connection: keep-alive", method=b"GET", path=b"/nothing"),
    "refused": request_bytes(b"", b"Content-Length: 9", path=b"/nothing"),
}


@pytest.mark.parametrize("data", IDLE.values(), ids=IDLE)
def test_t48_connections_without_a_request_give_way_to_what_reaches_the_cap(
    tmp_path: Path, model: Model, data: bytes
) -> None:
    with guard(tmp_path, model.upstream, "--max-connections", "10") as small, contextlib.ExitStack() as held:
        busy = held.enter_context(small.connect())
        busy.sendall(request_bytes(json.dumps(chat("/count 50 /slow 20", stream=True)).encode()))
        idle = [held.enter_context(small.connect()) for _ in range(30)]
        for sock in idle:
            with contextlib.suppress(ConnectionError):
                sock.sendall(data)
        for sock in idle if data.endswith(b"\r\n\r\n") else ():
            with contextlib.suppress(ConnectionError):
                sock.recv(1)  # answered, or closed already
        for _ in range(5):
            assert small.ask(chat("reaches it")).status == 200
        assert read_all(busy).endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
        assert small.metric("bartizan_guard_connections ") <= 10


def test_t48_bodies_share_a_budget_and_what_reaches_beyond_is_shed(tmp_path: Path, model: Model) -> None:
    flags = ["--max-waiting-bytes", "300000", "--max-body-bytes", "200000"]
    with guard(tmp_path, model.upstream, *flags) as small, small.connect() as first, small.connect() as second:
        for sock in (first, second):
            sock.sendall(request_bytes(b"", b"Content-Length: 199999") + b" " * 180_000)
        (shed,), _, _ = select.select([first, second], [], [], 10)
        assert _status(shed.recv(65536)) == 503
        first.close()
        second.close()
        eventually(lambda: small.metric("bartizan_guard_connections") == 0, "the budget is free again")
        assert small.ask(b" " * 199_000 + BODY).status == 200


def test_t49_header_bombs_are_refused(guard: Guard) -> None:
    many = [b"X-%d: x" % number for number in range(100)]
    long = [b"X-Long: " + b"x" * 20_000]
    for lines in (many, long):
        assert _status(guard.raw(request_bytes(BODY, *lines))) == 431
    assert _status(guard.raw(request_bytes(BODY, path=b"/" + b"x" * 20_000))) == 431


def test_t49_a_header_without_end_is_refused(guard: Guard) -> None:
    with guard.connect() as sock:
        sock.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nX-Endless: " + b"x" * 200_000)
        assert _status(read_all(sock)) == 431


def _refusal(answer: Answer) -> tuple[int, bytes, dict[str, str]]:
    headers = {name: value for name, value in answer.headers.items() if name not in ("X-Request-Id", "Connection")}
    return answer.status, answer.body, headers


RIGHT = credential().reveal()
KEY_ID, SECRET = RIGHT.removeprefix("btzn_").split(".")


@pytest.mark.parametrize(
    "key",
    [
        f"btzn_{KEY_ID}.{SECRET[:-1]}",
        f"btzn_{KEY_ID}.{SECRET}x",
        f"btzn_{KEY_ID}.",
        f"btzn_{KEY_ID}",
        f"btzn_.{SECRET}",
        f"{KEY_ID}.{SECRET}",
        f"BTZN_{KEY_ID}.{SECRET}",
        f"btzn_{KEY_ID}.{SECRET.swapcase()}",
        credential(epoch=2).reveal(),
        credential("stranger").reveal(),
        f"btzn_{KEY_ID}.{credential('batch').secret.decode('ascii')}",
        "sk-anything",
        "null",
        " ",
    ],
    ids=lambda _: "",
)
def test_t52_every_wrong_key_looks_alike(guard: Guard, key: str) -> None:
    assert _refusal(guard.ask(chat(), key=key)) == _refusal(guard.ask(chat(), key="btzn_x.y"))


@pytest.mark.parametrize(
    "lines",
    [
        [b"Authorization: Bearer %b\r\nAuthorization: Bearer %b" % (RIGHT.encode(), RIGHT.encode())],
        [b"X-Api-Key: " + RIGHT.encode()],
        [b"Api-Key: anything"],
        [b"Proxy-Authorization: Basic eA=="],
    ],
)
def test_t52_two_credentials_are_none(guard: Guard, lines: list[bytes]) -> None:
    assert _status(guard.raw(request_bytes(BODY, *lines))) == 401


@pytest.mark.parametrize("scheme", ["Basic", "Token", "", "Bearer,", "Bearer Bearer"])
def test_t52_another_scheme_is_no_credential(guard: Guard, scheme: str) -> None:
    assert guard.ask(chat(), key="", Authorization=f"{scheme} {RIGHT}").status == 401


def test_t52_an_unknown_id_takes_the_time_of_a_wrong_secret(guard: Guard) -> None:
    unknown = f"btzn_{'A' * 16}.{SECRET}"
    wrong = f"btzn_{KEY_ID}.{'A' * 43}"
    taken: dict[str, list[float]] = {unknown: [], wrong: []}
    body = b"{}"
    with guard.connect() as sock:
        for _ in range(1500):
            for key, times in taken.items():
                data = request_bytes(body, b"Connection: keep-alive").replace(RIGHT.encode(), key.encode())
                began = time.perf_counter()
                sock.sendall(data)
                assert sock.recv(65536).startswith(b"HTTP/1.1 401")
                times.append(time.perf_counter() - began)
    quick = [statistics.quantiles(times, n=10)[0] for times in taken.values()]
    assert abs(quick[0] - quick[1]) < 0.3 * max(quick)


def test_t52_the_judgement_itself_takes_equal_time() -> None:
    keys = {client_key(str(number)).id.encode(): client_key(str(number)) for number in range(64)}
    ids = (b"A" * 16, next(iter(keys)))
    best = dict.fromkeys(ids, float("inf"))
    for _ in range(60):
        for key in ids:
            best[key] = min(best[key], timeit.timeit(lambda: _judged(key, keys), number=300))  # noqa: B023
    assert max(best.values()) < 1.2 * min(best.values())


def _judged(key_id: bytes, keys: dict[bytes, ClientKey]) -> bool:
    value = b"Bearer btzn_" + key_id + b"." + b"x" * 43
    try:
        identity.judge(Head(b"POST", b"/", ((b"authorization", value),)), keys)
    except Refusal:
        return False
    return True


def test_t53_no_key_and_no_content_stands_in_audit_or_log(tmp_path: Path, model: Model) -> None:
    with guard(tmp_path, model.upstream) as fresh:
        fresh.ask(chat("a most secret prompt reaches"), key="btzn_wrong.credential")
        fresh.ask(chat("a most secret prompt"), path=f"/v1/{RIGHT}")
        fresh.ask({"model": "demo", "a most secret prompt": 1})
        fresh.end()
        written = fresh.log() + json.dumps(fresh.audit())
    assert "most secret" not in written
    assert not any(secret in written for secret in (SECRET, "wrong.credential", RIGHT))


def test_t24_the_four_paths_are_the_whole_surface(guard: Guard) -> None:
    assert guard.ask(chat(), path=CHAT, key="").status == 401
    for path in ("/v1/completions", "/v1/embeddings"):
        assert guard.ask({"model": "demo"}, path=path).code == "invalid_value"
    assert guard.ask(path="/v1/models").status == 200
