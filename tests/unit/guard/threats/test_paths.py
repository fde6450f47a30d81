"""Paths, methods and protocols that the guard does not serve do not exist, tried over real sockets."""

import pytest
from tests.unit.guard.running import (
    CHAT,
    Guard,
    chat,
    request_bytes,
)
from tests.unit.guard.threats.raw import BODY, status


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
    assert status(guard.raw(request_bytes(BODY, path=path))) in (400, 404)


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
    assert status(guard.raw(data)) == 400


@pytest.mark.parametrize("path", [b"/v1/realtime", b"/v1/realtime?model=demo"])
def test_t30_there_is_no_realtime(guard: Guard, path: bytes) -> None:
    assert status(guard.raw(request_bytes(b"", path=path, method=b"GET"))) == 404


@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"PUT", b"PATCH", b"DELETE", b"OPTIONS", b"TRACE", b"PURGE"])
def test_t30_a_path_takes_its_one_method(guard: Guard, method: bytes) -> None:
    answer = guard.raw(request_bytes(BODY, method=method))
    assert status(answer) == 405
    assert b"\r\nAllow: POST\r\n" in answer


def test_t30_a_head_that_is_refused_has_no_body_either(guard: Guard) -> None:
    """A proxy in front would take the body for the next answer."""
    for line in (b"X: y", b"X-Null: a\x00b"):
        answer = guard.raw(request_bytes(b"", line, method=b"HEAD", path=b"/v1/models"))
        assert status(answer) in (400, 405)
        assert answer.endswith(b"\r\n\r\n")


def test_t24_the_four_paths_are_the_whole_surface(guard: Guard) -> None:
    assert guard.ask(chat(), path=CHAT, key="").status == 401
    for path in ("/v1/completions", "/v1/embeddings"):
        assert guard.ask({"model": "demo"}, path=path).code == "invalid_value"
    assert guard.ask(path="/v1/models").status == 200
