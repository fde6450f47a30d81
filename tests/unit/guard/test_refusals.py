"""Every refusal that can be provoked on the wire: caller, metric and audit hear of the same reason and status."""

import contextlib
import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.unit.guard import accounts, running, scripted
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

from bartizan.guard.refusal import STATUS
from bartizan.policy.document import RequestWindow, SharedStore, TokenWindow
from bartizan.policy.limits import Scope

EXPECTED: dict[str, tuple[int, str]] = {
    "PathNotAllowed": (404, "path_not_allowed"),
    "MethodNotAllowed": (405, "method_not_allowed"),
    "RequestMalformed": (400, "request_malformed"),
    "RequestTimeout": (408, "request_timeout"),
    "HeadersTooLarge": (431, "headers_too_large"),
    "BodyTooLarge": (413, "body_too_large"),
    "ContentTypeUnsupported": (415, "content_type_unsupported"),
    "ContentEncodingUnsupported": (415, "content_encoding_unsupported"),
    "CredentialMissing": (401, "invalid_api_key"),
    "CredentialWithdrawn": (401, "invalid_api_key"),
    "CredentialsSeveral": (401, "invalid_api_key"),
    "CredentialMalformed": (401, "invalid_api_key"),
    "KeyUnknown": (401, "invalid_api_key"),
    "KeySecretWrong": (401, "invalid_api_key"),
    **dict.fromkeys(accounts.bad_tokens(), (401, "invalid_api_key")),
    "JsonInvalid": (400, "json_invalid"),
    "FieldUnknown": (400, "unknown_parameter"),
    "FieldInvalid": (400, "invalid_value"),
    "ModelNotServed": (404, "model_not_found"),
    "CapabilityNotAllowed": (403, "capability_not_allowed"),
    "RateLimited": (429, "rate_limit_exceeded"),
    "TierRateLimited": (429, "rate_limit_exceeded"),
    "EndpointRateLimited": (429, "rate_limit_exceeded"),
    "TokensLimited": (429, "rate_limit_exceeded"),
    "TierTokensLimited": (429, "rate_limit_exceeded"),
    "EndpointTokensLimited": (429, "rate_limit_exceeded"),
    "TokensNeverFit": (400, "request_too_large"),
    "InputTooLong": (400, "context_length_exceeded"),
    "OutputTooLong": (400, "invalid_value"),
    "AnswerTooLong": (502, "answer_too_long"),
    "StreamTooLong": (504, "stream_too_long"),
    "ConcurrencyLimited": (429, "rate_limit_exceeded"),
    "StoreAway": (503, "service_unavailable"),
    "Overloaded": (503, "overloaded"),
    "Draining": (503, "draining"),
    "DocumentAbsent": (503, "service_unavailable"),
    "UpstreamUnavailable": (503, "service_unavailable"),
    "UpstreamBroken": (502, "upstream_broken"),
    "UpstreamTimeout": (504, "upstream_timeout"),
    "TokenizerUnavailable": (503, "service_unavailable"),
    "AuditUnavailable": (503, "service_unavailable"),
    "InternalFault": (500, "internal_error"),
}
ELSEWHERE = {
    "AnswerTooLong": "test_tokens.py: the answer has begun, and the refusal is an event in it",
    "StreamTooLong": "test_tokens.py: the same",
    "AuditUnavailable": "test_audit.py: there is no audit to agree with",
    "InternalFault": "test_pipeline.py: nothing on the wire is known to provoke one",
}
HOLD = request_bytes(json.dumps(chat("/hold")).encode())
BODY = json.dumps(chat()).encode()


def test_every_refusal_has_its_status() -> None:
    assert {reason.value: status.value for reason, status in STATUS.items()} == {
        reason: status for reason, (status, _) in EXPECTED.items()
    }
    assert {*AT_ONCE, *WITH_PREPARATION, *ELSEWHERE} == set(EXPECTED)


def _hold(guard: Guard, reason: str, ask: Callable[[], Answer], *, lines: int = 1) -> None:
    counted = f'bartizan_guard_requests_total{{reason="{reason}"'
    before = guard.metric(counted)
    answer = ask()
    error = answer.json()["error"]
    assert (answer.status, error["code"]) == EXPECTED[reason]
    kind = "requests" if answer.status == 429 else "server_error" if answer.status >= 500 else "invalid_request_error"
    assert (error["type"], bool(error["message"])) == (kind, True)
    assert ("Retry-After" in answer.headers) == (answer.status in (429, 503))
    assert ("WWW-Authenticate" in answer.headers) == (answer.status == 401)
    eventually(lambda: guard.metric(counted) == before + 1, "counted once")
    audited = guard.audited(answer.headers["X-Request-Id"])
    assert (len(audited), audited[-1]["reason"], audited[-1]["status"]) == (lines, reason, answer.status)


def _read(guard: Guard, data: bytes) -> Answer:
    return _parse(guard.raw(data))


def _parse(data: bytes) -> Answer:
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    return Answer(int(first.split(" ")[1]), dict(line.split(": ", 1) for line in lines), body)


AT_ONCE = {
    "PathNotAllowed": request_bytes(BODY, path=b"/v1/nothing"),
    "MethodNotAllowed": request_bytes(BODY, method=b"PUT"),
    "RequestMalformed": request_bytes(BODY, b"Upgrade: h2c"),
    "RequestTimeout": request_bytes(BODY)[:-1],
    "HeadersTooLarge": request_bytes(BODY, b"X-Long: " + b"x" * 20_000),
    "BodyTooLarge": request_bytes(b"", b"Content-Length: 9999999"),
    "ContentTypeUnsupported": request_bytes(BODY, b"Content-Type: text/plain"),
    "ContentEncodingUnsupported": request_bytes(BODY, b"Content-Encoding: gzip"),
    "CredentialMissing": request_bytes(BODY, b"Authorization-Not: x").replace(b"Authorization:", b"X:"),
    "CredentialsSeveral": request_bytes(BODY, b"X-Api-Key: x"),
    "CredentialMalformed": request_bytes(BODY, b"Authorization: Bearer btzn_x.y"),
    "KeyUnknown": request_bytes(BODY, b"Authorization: Bearer " + credential(epoch=2).reveal().encode()),
    "KeySecretWrong": request_bytes(BODY, b"Authorization: Bearer " + credential().reveal().encode() + b"x"),
    "JsonInvalid": request_bytes(BODY[:-1]),
    "FieldUnknown": request_bytes(json.dumps(chat(hidden=1)).encode()),
    "FieldInvalid": request_bytes(json.dumps(chat(n=99)).encode()),
    "ModelNotServed": request_bytes(BODY.replace(b"demo", b"else")),
}


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory, model: Model) -> Iterator[Guard]:
    with running.guard(tmp_path_factory.mktemp("hasty"), model.upstream, "--body-seconds", "1") as started:
        yield started


@pytest.mark.parametrize("reason", AT_ONCE)
def test_caller_metric_and_audit_agree(hasty: Guard, reason: str) -> None:
    _hold(hasty, reason, lambda: _read(hasty, AT_ONCE[reason]))


def _rate_limited(folder: Path, model: Model) -> None:
    with running.guard(folder, model.upstream, given=document(requests=(RequestWindow(1, 60),))) as guard:
        assert guard.ask(chat()).status == 200
        _hold(guard, "RateLimited", lambda: guard.ask(chat()))


def _endpoint_rate_limited(folder: Path, model: Model) -> None:
    given = document(requests=(RequestWindow(9, 60), RequestWindow(1, 60, Scope.ENDPOINT)))
    with running.guard(folder, model.upstream, given=given) as guard:
        assert guard.ask(chat()).status == 200
        _hold(guard, "EndpointRateLimited", lambda: guard.ask(chat(), key=credential("batch").reveal()))


def _tier_rate_limited(folder: Path, model: Model) -> None:
    windows = (RequestWindow(9, 60), RequestWindow(1, 60, Scope.TIER, "basic"))
    given = document(requests=windows, tiers={"chat-ui": "basic", "batch": "basic"})
    with running.guard(folder, model.upstream, given=given) as guard:
        assert guard.ask(chat()).status == 200
        _hold(guard, "TierRateLimited", lambda: guard.ask(chat(), key=credential("batch").reveal()))


def _tier_tokens_limited(folder: Path, model: Model) -> None:
    windows = (TokenWindow("Total", 9999, 60), TokenWindow("Total", 250, 60, Scope.TIER, "basic"))
    given = document(tokens=windows, max_output_tokens=100, tiers={"chat-ui": "basic", "batch": "basic"})
    with running.guard(folder, model.upstream, given=given) as guard:
        assert guard.ask(chat("/count 99")).status == 200
        _hold(guard, "TierTokensLimited", lambda: guard.ask(chat(), key=credential("batch").reveal()))


def _store_away(folder: Path, model: Model) -> None:
    """Of a tier that needs the store; another tier's clients have the guard's share meanwhile."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        away = SharedStore("127.0.0.1", nobody.getsockname()[1])
        given = document(store=away, tiers={"chat-ui": "basic"}, refused_without_store=("basic",))
        with running.guard(folder, model.upstream, given=given) as guard:
            assert guard.ask(chat(), key=credential("batch").reveal()).status == 200
            _hold(guard, "StoreAway", lambda: guard.ask(chat()))


def _endpoint_tokens_limited(folder: Path, model: Model) -> None:
    windows = (TokenWindow("Total", 9999, 60), TokenWindow("Total", 250, 60, Scope.ENDPOINT))
    with running.guard(folder, model.upstream, given=document(tokens=windows, max_output_tokens=100)) as guard:
        assert guard.ask(chat("/count 99")).status == 200
        _hold(guard, "EndpointTokensLimited", lambda: guard.ask(chat(), key=credential("batch").reveal()))


def _tokens_limited(folder: Path, model: Model) -> None:
    given = document(tokens=(TokenWindow("Total", 250, 60),), max_output_tokens=100)
    with running.guard(folder, model.upstream, given=given) as guard:
        assert guard.ask(chat("/count 99")).status == 200
        _hold(guard, "TokensLimited", lambda: guard.ask(chat()))


def _tokens_never_fit(folder: Path, model: Model) -> None:
    given = document(tokens=(TokenWindow("Output", 300, 60),))
    with running.guard(folder, model.upstream, given=given) as guard:
        _hold(guard, "TokensNeverFit", lambda: guard.ask(chat(max_tokens=301)))


def _input_too_long(folder: Path, model: Model) -> None:
    with running.guard(folder, model.upstream, given=document(max_input_tokens=10)) as guard:
        _hold(guard, "InputTooLong", lambda: guard.ask(chat("x" * 100)))


def _capability_not_allowed(folder: Path, model: Model) -> None:
    with running.guard(folder, model.upstream, given=document(capabilities=("Tools",))) as guard:
        _hold(guard, "CapabilityNotAllowed", lambda: guard.ask(chat(n=2)))


def _output_too_long(folder: Path, model: Model) -> None:
    given = document(max_output_tokens=10, excess_output="Reject")
    with running.guard(folder, model.upstream, given=given) as guard:
        _hold(guard, "OutputTooLong", lambda: guard.ask(chat(max_tokens=11)))


def _concurrency_limited(folder: Path, model: Model) -> None:
    with running.guard(folder, model.upstream, given=document(concurrent=1)) as guard, _held(guard, model):
        _hold(guard, "ConcurrencyLimited", lambda: guard.ask(chat()))


def _overloaded(folder: Path, model: Model) -> None:
    with running.guard(folder, model.upstream, "--max-connections", "1") as guard, _held(guard, model):
        _hold(guard, "Overloaded", lambda: _read(guard, b""))


def _draining(folder: Path, model: Model) -> None:
    with running.guard(folder, model.upstream) as guard, _held(guard, model), guard.connect() as sock:
        data = request_bytes(BODY)
        sock.sendall(data[:20])
        eventually(lambda: running.is_all_read(guard, sock), "a head has begun")
        guard.process.terminate()
        eventually(lambda: "guard draining" in guard.log(), "draining")

        def ask() -> Answer:
            sock.sendall(data[20:])
            return _parse(read_all(sock))

        _hold(guard, "Draining", ask)


def _tokenizer_unavailable(folder: Path, model: Model) -> None:
    flags = ("--tokenizer-directory", str(folder / "absent"))
    with running.guard(folder, model.upstream, *flags, given=document(max_input_tokens=100)) as guard:
        _hold(guard, "TokenizerUnavailable", lambda: guard.ask(chat("a " * 100)))


def _document_absent(folder: Path, model: Model) -> None:
    with running.guard(folder, model.upstream, given=None) as guard:
        _hold(guard, "DocumentAbsent", lambda: guard.ask(chat()))


def _upstream_unavailable(folder: Path, model: Model) -> None:
    with running.guard(folder, f"unix:{folder / 'absent.sock'}") as guard:
        _hold(guard, "UpstreamUnavailable", lambda: guard.ask(chat()), lines=2)


def _upstream_broken(folder: Path, model: Model) -> None:
    answer = b"HTTP/1.1 302 Found\r\n\r\n"
    with scripted.scripted(folder / "m.sock", answer) as server, running.guard(folder, server.upstream) as guard:
        _hold(guard, "UpstreamBroken", lambda: guard.ask(chat()), lines=2)


def _upstream_timeout(folder: Path, model: Model) -> None:
    with running.guard(folder, model.upstream, "--answer-seconds", "0.5") as guard:
        _hold(guard, "UpstreamTimeout", lambda: guard.ask(chat("/hold")), lines=2)


def _credential_withdrawn(folder: Path, model: Model) -> None:
    with running.guard(folder, model.upstream) as guard, _held(guard, model) as sock:

        def ask() -> Answer:
            guard.take_up(document(version=1001, keys=(client_key(epoch=2),)))
            return _parse(read_all(sock))

        _hold(guard, "CredentialWithdrawn", ask, lines=2)


def _token_refused(reason: str) -> Callable[[Path, Model], None]:
    def provoke(folder: Path, model: Model) -> None:
        with running.guard(folder, model.upstream, given=accounts.trusting()) as guard:
            _hold(guard, reason, lambda: guard.ask(chat(), key=accounts.bad_tokens()[reason]))

    return provoke


WITH_PREPARATION = {
    **{reason: _token_refused(reason) for reason in accounts.bad_tokens()},
    "RateLimited": _rate_limited,
    "TierRateLimited": _tier_rate_limited,
    "TierTokensLimited": _tier_tokens_limited,
    "StoreAway": _store_away,
    "EndpointRateLimited": _endpoint_rate_limited,
    "TokensLimited": _tokens_limited,
    "EndpointTokensLimited": _endpoint_tokens_limited,
    "TokensNeverFit": _tokens_never_fit,
    "InputTooLong": _input_too_long,
    "CapabilityNotAllowed": _capability_not_allowed,
    "OutputTooLong": _output_too_long,
    "ConcurrencyLimited": _concurrency_limited,
    "Overloaded": _overloaded,
    "Draining": _draining,
    "TokenizerUnavailable": _tokenizer_unavailable,
    "DocumentAbsent": _document_absent,
    "UpstreamUnavailable": _upstream_unavailable,
    "UpstreamBroken": _upstream_broken,
    "UpstreamTimeout": _upstream_timeout,
    "CredentialWithdrawn": _credential_withdrawn,
}


@pytest.mark.parametrize("reason", WITH_PREPARATION)
def test_caller_metric_and_audit_agree_where_the_guard_must_be_brought_to_it(
    tmp_path: Path, model: Model, reason: str
) -> None:
    WITH_PREPARATION[reason](tmp_path, model)


@contextlib.contextmanager
def _held(guard: Guard, model: Model) -> Iterator[socket.socket]:
    """A request that is under way."""
    before = len(model.received())
    with guard.connect() as sock:
        sock.sendall(HOLD)
        eventually(lambda: len(model.received()) == before + 1, "held by the model")
        yield sock
        model.release()
