"""ServiceAccounts as clients, over real sockets: let in, refused all alike, and cut when their standing goes."""

import json
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import openai
import pytest
from tests.issuer.minting import signing_key
from tests.unit.guard import accounts, running
from tests.unit.guard.accounts import CLIENT, SUBJECT, claims, corp_claims, token, trusted, trusting
from tests.unit.guard.running import Guard, Model, chat, credential, request_bytes

from bartizan.guard.claims import LEEWAY_SECONDS
from bartizan.policy import document as documents
from bartizan.policy.document import TrustedIssuer

BODY = json.dumps(chat("never to be seen")).encode()
KEY = credential().reveal()
STREAM = json.dumps(chat("/count 60 /slow 20", stream=True)).encode()
OTHER_LIFE = replace(CLIENT, uid="another-life")


@pytest.fixture(scope="module")
def guard(tmp_path_factory: pytest.TempPathFactory, model: Model) -> Iterator[Guard]:
    with running.guard(tmp_path_factory.mktemp("tokens"), model.upstream, given=trusting()) as started:
        yield started


def _bearing(data: bytes, text: str) -> bytes:
    return data.replace(KEY.encode(), text.encode())


def _looks(guard: Guard, credential: str) -> bytes:
    """All that comes back, to the byte, but the request's number."""
    return re.sub(rb"req_[0-9a-f]{24}", b"req", guard.raw(_bearing(request_bytes(BODY), credential)))


def test_a_token_lets_its_client_in_and_the_audit_names_whose_it_was(guard: Guard) -> None:
    answer = guard.ask(chat("hello"), key=token())
    assert answer.status == 200
    decision, _ = guard.audited(answer.headers["X-Request-Id"])
    told = {name: decision[name] for name in ("client", "key", "issuer", "subject", "pod")}
    assert told == {
        "client": "runner",
        "key": None,
        "issuer": "ServiceAccount",
        "subject": SUBJECT,
        "pod": "runner-7d4b",
    }


def test_an_issuers_token_lets_in_whom_it_names_and_the_audit_has_their_name(guard: Guard) -> None:
    answer = guard.ask(chat("hello"), key=signing_key().sign(corp_claims(sub="bob@corp", groups=["x", "interns"])))
    assert answer.status == 200
    decision, outcome = guard.audited(answer.headers["X-Request-Id"])
    told = [decision[name] for name in ("client", "issuer", "subject", "pod")]
    assert told == ["staff", "corp", "bob@corp", None]
    assert outcome["client"] == "staff"


def test_keys_let_in_beside_tokens(guard: Guard) -> None:
    assert guard.ask(chat("hello")).status == 200


def test_t52_every_bad_credential_looks_alike(guard: Guard) -> None:
    wrong_key = _looks(guard, "btzn_x.y")
    seen = {reason: _looks(guard, text) for reason, text in accounts.bad_tokens().items()}
    assert wrong_key.startswith(b"HTTP/1.1 401 ")
    assert {reason: looks for reason, looks in seen.items() if looks != wrong_key} == {}


def test_t53_no_part_of_a_token_stands_in_audit_or_log(tmp_path: Path, model: Model) -> None:
    texts = [token(), *accounts.bad_tokens().values()]
    with running.guard(tmp_path, model.upstream, given=trusting()) as fresh:
        for text in texts:
            fresh.ask(chat(), key=text)
            fresh.ask(chat(), path=f"/v1/{text[:90]}")
        fresh.end()
        written = fresh.log() + json.dumps(fresh.audit())
    assert not [part for text in texts for part in text.split(".") if part in written or part[:60] in written]


@pytest.mark.parametrize(
    "lines",
    [
        ["Authorization: Bearer {token}\r\nAuthorization: Bearer {token}"],
        ["Authorization: Bearer {token}\r\nAuthorization: Bearer {key}"],
        ["Authorization: Bearer {key}\r\nAuthorization: Bearer {token}"],
        ["Authorization: Bearer {token}", "X-Api-Key: {key}"],
        ["Authorization: Bearer {token}", "Api-Key: anything"],
        ["Authorization: Bearer {token}", "Proxy-Authorization: Bearer {token}"],
        ["Authorization: Bearer {token},{token}"],
        ["Authorization: Bearer {token} {token}"],
        ["Authorization: Bearer {key}.{token}"],
        ["Authorization: Bearer {token}.{key}"],
        ["X-Api-Key: {token}"],
        ["Api-Key: {token}"],
        ["Authorization: {token}"],
        ["Authorization: JWT {token}"],
        ["Authorization: Basic {token}"],
        ["Authorization: Bearer  {token}"],
        ["Authorization: Bearer\t{token}"],
        ["Authorization: Bearer \t{token}"],
        ['Authorization: Bearer "{token}"'],
        ["Authorization: Bearer {token};"],
        ["Authorization: Bearer btzn_{token}"],
    ],
)
def test_t52_one_credential_in_one_form(guard: Guard, model: Model, lines: list[str]) -> None:
    before = len(model.received())
    made = [line.format(token=token(), key=KEY).encode() for line in lines]
    made = made if made[0].startswith(b"Authorization") else [*made, b"Authorization-Not: x"]
    data = request_bytes(BODY, *made)
    if not lines[0].startswith("Authorization"):
        data = data.replace(b"Authorization: Bearer " + KEY.encode() + b"\r\n", b"")
    assert guard.raw(data).startswith(b"HTTP/1.1 401 ")
    assert len(model.received()) == before


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_schemes_case_does_not_matter(guard: Guard, scheme: str) -> None:
    assert guard.ask(chat("hello"), key="", Authorization=f"{scheme} {token()}").status == 200


def test_a_token_expired_within_the_leeway_is_still_good(guard: Guard) -> None:
    now = time.time()
    assert guard.ask(chat(), key=token(iat=now - 600, nbf=None, exp=now - LEEWAY_SECONDS / 2)).status == 200


def test_without_an_issuer_in_the_document_no_token_is_read(tmp_path: Path, model: Model) -> None:
    with running.guard(tmp_path, model.upstream) as plain:
        answer = plain.ask(chat(), key=token())
        assert answer.status == 401
        assert plain.audited(answer.headers["X-Request-Id"])[0]["reason"] == "CredentialMalformed"


def test_a_document_whose_issuer_cannot_be_used_is_refused_and_the_last_stays(tmp_path: Path, model: Model) -> None:
    (key,) = trusted().keys
    bad = [
        replace(trusted(), keys=(replace(key, spki="AAAA"),)),
        replace(trusted(), keys=(replace(key, algorithms=("HS256",)),)),
        replace(trusted(), keys=(replace(key, algorithms=("ES256",)),)),
        replace(trusted(), keys=(replace(key, algorithms=()),)),
        replace(trusted(), keys=(key, key)),
        replace(trusted(), audience=""),
        replace(trusted(), type="Anybody"),
        replace(trusted(), max_lifetime_seconds=0),
        replace(trusted(), clients=(CLIENT, CLIENT)),
        replace(trusted(), clients=(replace(CLIENT, uid=""),)),
    ]
    with running.guard(tmp_path, model.upstream, given=trusting()) as guard:
        for number, issuer in enumerate(bad):
            guard.write(documents.encode(trusting(issuer, version=2000 + number), running.SIGNING_KEY))
            running.eventually(lambda n=number: guard.log().count("document refused") == n + 1, "refused")  # type: ignore[misc]
            assert guard.status()["documentReason"] == "DocumentMalformed"
        assert guard.ask(chat(), key=token()).status == 200


@pytest.mark.parametrize(
    ("after", "reason"),
    [
        (trusted(clients=()), "TokenSubjectUnknown"),
        (trusted(clients=(OTHER_LIFE,)), "TokenAccountReplaced"),
        (trusted(signing_key("key-2")), "TokenKeyUnknown"),
    ],
    ids=["client", "account", "key"],
)
def test_t55_what_is_remembered_of_a_token_outlives_no_document(
    tmp_path: Path, model: Model, after: TrustedIssuer, reason: str
) -> None:
    text = token()
    with running.guard(tmp_path, model.upstream, given=trusting()) as guard:
        assert [guard.ask(chat(), key=text).status for _ in range(2)] == [200, 200]
        guard.take_up(trusting(after, version=1001))
        answer = guard.ask(chat(), key=text)
        assert answer.status == 401
        assert guard.audited(answer.headers["X-Request-Id"])[0]["reason"] == reason


@pytest.mark.parametrize("clients", [(), (OTHER_LIFE,)], ids=["client", "account"])
def test_t55_a_withdrawn_account_ends_its_answers_and_nobody_elses(
    tmp_path: Path, model: Model, clients: tuple[documents.TokenClient, ...]
) -> None:
    kept_data = request_bytes(STREAM)
    with (
        running.guard(tmp_path, model.upstream, given=trusting()) as guard,
        guard.connect() as withdrawn,
        guard.connect() as kept,
    ):
        withdrawn.sendall(_bearing(kept_data, token()))
        kept.sendall(kept_data)
        request_id = withdrawn.recv(400).split(b"X-Request-Id: ")[1].split(b"\r\n")[0].decode()
        guard.take_up(trusting(trusted(clients=clients), version=1001))
        assert [line["reason"] for line in guard.audited(request_id)] == ["Allowed", "CredentialWithdrawn"]
        assert not running.read_all(withdrawn).endswith(b"0\r\n\r\n")
        assert running.read_all(kept).endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")


def test_a_new_document_with_the_same_standing_cuts_nothing(tmp_path: Path, model: Model) -> None:
    with running.guard(tmp_path, model.upstream, given=trusting()) as guard, guard.connect() as sock:
        sock.sendall(_bearing(request_bytes(STREAM), token()))
        first = sock.recv(400)
        guard.take_up(trusting(trusted(signing_key(), signing_key("key-2")), version=1001))
        assert (first + running.read_all(sock)).endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")


def test_an_answer_outlives_its_token(tmp_path: Path, model: Model) -> None:
    """Who came in while the token was good may hear the answer out, for `maxStreamSeconds` at most."""
    with running.guard(tmp_path, model.upstream, given=trusting()) as guard, guard.connect() as sock:
        ends = time.time() - LEEWAY_SECONDS + 1
        text = signing_key().sign(claims(iat=ends - 60, nbf=None, exp=ends))
        sock.sendall(_bearing(request_bytes(json.dumps(chat("/hold", stream=True)).encode()), text))
        running.eventually(lambda: guard.metric("bartizan_guard_requests_in_flight") == 1, "under way")
        running.eventually(lambda: guard.ask(chat(), key=text).status == 401, "the token has expired")
        model.release()
        assert running.read_all(sock).endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")


def test_openais_sdk_takes_the_token_from_its_file_for_each_request(guard: Guard, tmp_path: Path) -> None:
    """As docs/identity.md has it: the kubelet renews the file, and the SDK is given a function."""
    file = tmp_path / "token"
    client = openai.OpenAI(api_key=file.read_text, base_url=guard.base_url, max_retries=0)
    asked = [{"role": "user", "content": "hello"}]
    with client:
        file.write_text(token())
        assert client.chat.completions.create(model="demo", messages=asked).choices[0].message.content  # type: ignore[arg-type]
        file.write_text(accounts.bad_tokens()["TokenExpired"])
        with pytest.raises(openai.AuthenticationError):
            client.chat.completions.create(model="demo", messages=asked)  # type: ignore[arg-type]
        file.write_text(token())
        assert client.models.list().data[0].id == "demo"
