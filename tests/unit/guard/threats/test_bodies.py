"""Bodies that hide something: encoded, oversized, cut, odd, doubled, in places nobody looks at; over real sockets."""

import json
import socket

import pytest
from tests.unit.guard.running import (
    Guard,
    Model,
    chat,
    forwarded,
    read_all,
    request_bytes,
)
from tests.unit.guard.threats.raw import BODY, status


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
    assert status(answer) == 413


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
        assert status(read_all(sock)) == 200
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
    assert status(guard.raw(request_bytes(BODY, twice))) == 415
    bare = request_bytes(BODY).replace(b"Content-Type: application/json\r\n", b"")
    assert status(guard.raw(bare)) == 415


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


EVASIONS = {
    "zero width": "bo\u200bmb \u200c\u200d\u2060\ufeff",
    "tags": "a\U000e0062\U000e006f\U000e006d\U000e0062",
    "homoglyphs": "b\u043emb \uff42\uff4f\uff4d\uff42 \U0001d41b\U0001d428",
    "right to left": "\u202ebmob\u202c \u2066x\u2069",
    "variation selectors": "b\ufe0fo\ufe01m\U000e0101b",
    "combining": "bo\u0301\u0327mb e\u0301 \u00e9",
}


@pytest.mark.parametrize("text", EVASIONS.values(), ids=EVASIONS)
def test_t44_odd_text_reaches_the_model_as_it_was_judged(guard: Guard, model: Model, text: str) -> None:
    """Whatever looks at a text sees what the model reads, escaped by the caller or not: nothing is put right."""
    for is_ascii in (True, False):
        body = json.dumps(chat(f"reaches {text}"), ensure_ascii=is_ascii).encode()
        assert guard.ask(body).status == 200
        assert model.received()[-1]["body"] == forwarded(chat(f"reaches {text}"))


@pytest.mark.parametrize("text", ["Ym9tYg==", "obzo", "626f6d62", "b0mb", "\\u0062omb", "&#98;omb", "%62omb"])
def test_t45_encoded_text_reaches_the_model_undecoded(guard: Guard, model: Model, text: str) -> None:
    """The guard decodes JSON once, and nothing within it: what a detector sees is what the model sees."""
    assert guard.ask(chat(text)).status == 200
    assert json.loads(model.received()[-1]["body"])["messages"][0]["content"] == text
