"""Credentials that are wrong, doubled or guessed, and what may be learnt of right ones, tried over real sockets."""

import json
import re
import statistics
import time
import timeit
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.guard.running import (
    Answer,
    Guard,
    Model,
    chat,
    client_key,
    credential,
    document,
    guard,
    request_bytes,
)
from tests.unit.guard.threats.raw import BODY, status

from bartizan.guard import identity
from bartizan.guard.refusal import Refusal
from bartizan.guard.request import Head
from bartizan.policy.document import ClientKey


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
    assert status(guard.raw(request_bytes(BODY, *lines))) == 401


@pytest.mark.parametrize("scheme", ["Basic", "Token", "", "Bearer,", "Bearer Bearer"])
def test_t52_another_scheme_is_no_credential(guard: Guard, scheme: str) -> None:
    assert guard.ask(chat(), key="", Authorization=f"{scheme} {RIGHT}").status == 401


UNKNOWN_ID, RETIRED_ID = "A" * 16, credential(epoch=2).id
BAD = {
    "an unknown id": (f"Authorization: Bearer btzn_{UNKNOWN_ID}.{SECRET}", "KeyUnknown", UNKNOWN_ID),
    "another epoch's key": (f"Authorization: Bearer {credential(epoch=2).reveal()}", "KeyUnknown", RETIRED_ID),
    "a wrong secret": (f"Authorization: Bearer btzn_{KEY_ID}.{'A' * 43}", "KeySecretWrong", KEY_ID),
    "no secret": (f"Authorization: Bearer btzn_{KEY_ID}", "KeySecretWrong", KEY_ID),
    "a secret that is too long": (f"Authorization: Bearer {RIGHT}x", "KeySecretWrong", KEY_ID),
    "two headers": (f"Authorization: Bearer {RIGHT}\r\nX-Api-Key: {RIGHT}", "CredentialsSeveral", None),
    "one header twice": (f"Authorization: Bearer {RIGHT}\r\nAuthorization: Bearer x", "CredentialsSeveral", None),
    "another scheme": (f"Authorization: Basic {RIGHT}", "CredentialMalformed", None),
    "another's header": (f"Proxy-Authorization: Bearer {RIGHT}", "CredentialMalformed", None),
    "another kind of key": ("Authorization: Bearer sk-anything", "CredentialMalformed", None),
    "a secret in the id's place": (f"Authorization: Bearer btzn_{SECRET}", "CredentialMalformed", None),
    "a long id": (f"Authorization: Bearer btzn_{'A' * 17}.{SECRET}", "CredentialMalformed", None),
    "an odd id": (f"Authorization: Bearer btzn_{'A' * 15}\xe9.{SECRET}", "CredentialMalformed", None),
    "a token where none is read": ("Authorization: Bearer eyJh.eyJi.c2ln", "CredentialMalformed", None),
}
"""What is sent, the reason that the audit tells, and the key that it names."""


def _sent(lines: str) -> bytes:
    return request_bytes(BODY, b"Authorization: x").replace(b"Authorization: x", lines.encode("latin-1"))


@pytest.mark.parametrize("case", BAD)
def test_t52_the_audit_tells_bad_credentials_apart(guard: Guard, case: str) -> None:
    lines, reason, key = BAD[case]
    answer = guard.raw(_sent(lines))
    request_id = re.search(rb"(?i)x-request-id: (\S+)", answer)
    assert request_id
    (line,) = guard.audited(request_id[1].decode())
    assert (line["reason"], line["key"], line["client"], line["status"]) == (reason, key, None, 401)
    assert SECRET not in json.dumps(line)


@pytest.fixture(scope="module", params=["OpenAI", "Anthropic", "KServeV2"])
def in_words(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, model: Model
) -> Iterator[tuple[Guard, str]]:
    """A guard of each protocol, and a path of its."""
    given = document(protocol=request.param)
    paths = {"OpenAI": "/v1/chat/completions", "Anthropic": "/v1/messages", "KServeV2": "/v2/models/demo/infer"}
    with guard(tmp_path_factory.mktemp("words"), model.upstream, given=given) as started:
        yield started, paths[request.param]


def test_t52_bad_credentials_are_answered_alike_to_the_byte(in_words: tuple[Guard, str]) -> None:
    said = set()
    for lines, _, _ in BAD.values():
        data = _sent(lines).replace(b"/v1/chat/completions", in_words[1].encode())
        data = data.replace(b"\r\n\r\n", b"\r\nanthropic-version: 2023-06-01\r\n\r\n", 1)
        answer = in_words[0].raw(data)
        assert status(answer) == 401
        said.add(re.sub(rb"req_[A-Za-z0-9_-]+", b"<id>", answer))
    assert len(said) == 1


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
