"""Tokens: nobody is let in but whom a token's issuer names, in so many words; everybody else is refused, never a fault.

A second, plain reader of the rules says who should be let in. Half of the cases are signed after they were changed, so
that what stands behind the signature is tried as hard as the signature.
"""

import json
import random
from dataclasses import replace
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.fuzz.mutation import Mutator
from tests.fuzz.target import Target
from tests.issuer.minting import SigningKey
from tests.unit.guard.accounts import AUDIENCE, CORP, ISSUER, SUBJECT, UID, claims, corp_claims, trusted

from bartizan.guard.claims import LEEWAY_SECONDS
from bartizan.guard.refusal import Refusal
from bartizan.guard.verifier import Verifier

NOW = 1_800_000_000
KEY = SigningKey("key-1", "EdDSA", Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
"""The same in every process, so that a case that is kept stays the same case."""
_CLUSTER = trusted(KEY)
_VERIFIER = Verifier((_CLUSTER, replace(CORP, keys=_CLUSTER.keys)))
_HEADER = json.dumps({"alg": "EdDSA", "kid": "key-1"})
_PAYLOADS = (claims(NOW), corp_claims(NOW), corp_claims(NOW, sub="bob", groups=["staff"]))
_UNSIGNED = Mutator(
    tuple(KEY.sign(payload).encode() for payload in _PAYLOADS),
    (
        b".",
        b"..",
        b"=",
        b" ",
        b"\n",
        b"e30",
        b"A",
        b"-",
        b"_",
        b"+",
        b"/",
        *KEY.sign(_PAYLOADS[0]).encode().split(b"."),
    ),
)
_WORDS = (
    *(b"null", b"true", b"0", b"-1", b"1e400", b"NaN", b'""', b"[]", b"{}", b'"\xd0\xb0"', b'"\\u0000"', b"1" * 30),
    *(b"%d" % (NOW + far) for far in (-7200, -3600, -31, -30, 30, 31, 3600, 3601, 7200, 7201)),
    *(b'"exp":', b'"iat":', b'"nbf":', b'"aud":', b'"sub":', b'"iss":', b'"uid":', b'"groups":', b'"kubernetes.io":'),
    *(b'"alg":"none",', b'"alg":"HS256",', b'"typ":"JWT",', b'"crit":["exp"],', b'"jwk":{},', b'"kid":"key-2",'),
    *(f'"{word}"'.encode() for word in (AUDIENCE, CORP.audience, ISSUER, CORP.issuer, SUBJECT, UID, "staff")),
    *(b'"research"', b'"alice@corp"', b'"runner"', b'"team-b"', b"[" * 40, b"]", b"}", b",", b"\n"),
)  # fmt: skip
_TO_BE_SIGNED = Mutator(tuple(f"{_HEADER}\n{json.dumps(payload)}".encode() for payload in _PAYLOADS), _WORDS)
SIGNED_NOW, AS_IT_IS = b"s", b"a"


def make(chance: random.Random) -> bytes:
    if chance.random() < 0.5:
        return AS_IT_IS + _UNSIGNED.make(chance)
    return SIGNED_NOW + _TO_BE_SIGNED.make(chance)


def judge(case: bytes) -> None:
    text = case[1:]
    if case[:1] == SIGNED_NOW:
        header, _, payload = case[1:].partition(b"\n")
        text = KEY.sign_bytes(header, payload).encode()
        expected = _whom(header, payload)
    else:
        expected = {KEY.sign(payload).encode(): name for payload, name in zip(_PAYLOADS, _NAMES, strict=True)}.get(text)
    try:
        found = _VERIFIER.verify(text, NOW).client
    except Refusal as refusal:
        assert refusal.reason.startswith("Token")  # noqa: PT017 -- most cases are refused
        assert expected is None, f"{expected} was refused: {refusal.reason}"  # noqa: PT017
        return
    assert found == expected, f"{found} was let in, and it should have been {expected}"


_NAMES = ("runner", "alice", "staff")


def _whom(header: bytes, payload: bytes) -> str | None:
    """Who should be let in, by another and slower reading of the same rules."""
    head, body = _read(header), _read(payload)
    if head is None or body is None or not {"alg", "kid"} <= head.keys() <= {"alg", "kid", "typ"} | _harmless(head):
        return None
    if (head["alg"], head["kid"]) != ("EdDSA", "key-1") or not _is_type(head):
        return None
    wanted = {ISSUER: (AUDIENCE, 3600), CORP.issuer: (CORP.audience, 7200)}
    if not isinstance(body.get("iss"), str) or body["iss"] not in wanted:
        return None
    audience, longest = wanted[body["iss"]]
    if body.get("aud") not in (audience, [audience]) or not _is_timely(body, longest):
        return None
    return _runner(body) if body["iss"] == ISSUER else _of_corp(body)


def _read(text: bytes) -> dict[str, Any] | None:
    twice: list[bool] = []

    def pairs(found: list[tuple[str, Any]]) -> dict[str, Any]:
        twice.append(len(dict(found)) != len(found))
        return dict(found)

    try:
        value = json.loads(text.decode("utf-8"), object_pairs_hook=pairs, parse_constant=lambda _: 1 / 0)
    except (ValueError, RecursionError, ZeroDivisionError):
        return None
    is_plain = isinstance(value, dict) and not any(twice) and not _is_odd(value, 32)
    return value if is_plain else None


def _is_odd(value: Any, levels: int) -> bool:
    """Beyond what the guard reads of any JSON: too deep, numbers too long."""
    if isinstance(value, dict | list):
        inner = value.values() if isinstance(value, dict) else value
        return levels == 0 or any(_is_odd(item, levels - 1) for item in inner)
    return (isinstance(value, float) and abs(value) == float("inf")) or (type(value) is int and len(str(value)) > 20)


def _harmless(head: dict[str, Any]) -> set[str]:
    return set(head) - {"crit", "b64", "jwk", "jku", "x5c", "x5u", "enc", "zip"}


def _is_type(head: dict[str, Any]) -> bool:
    kind = head.get("typ")
    return kind is None or (isinstance(kind, str) and kind.lower() in ("jwt", "at+jwt", "application/at+jwt"))


def _is_timely(body: dict[str, Any], longest: int) -> bool:
    begins = [body.get("iat"), *([body["nbf"]] if "nbf" in body else [])]
    dates = [*begins, body.get("exp")]
    if not all(type(date) in (int, float) and 0 <= date < 2**40 for date in dates):
        return False
    lasts = body["exp"] - body["iat"]
    return bool(max(begins) - LEEWAY_SECONDS <= NOW < body["exp"] + LEEWAY_SECONDS and 0 < lasts <= longest)


def _runner(body: dict[str, Any]) -> str | None:
    bound = body.get("kubernetes.io")
    account = bound.get("serviceaccount") if isinstance(bound, dict) else None
    if not isinstance(bound, dict) or not isinstance(account, dict) or body.get("sub") != SUBJECT:
        return None
    named = (bound.get("namespace"), account.get("name"), account.get("uid"))
    return "runner" if named == ("team-b", "runner", UID) else None


def _of_corp(body: dict[str, Any]) -> str | None:
    subject, groups = body.get("sub"), body.get("groups", [])
    if not isinstance(subject, str) or not 0 < len(subject) <= 512:
        return None
    if subject == "alice@corp":
        return "alice"
    if not isinstance(groups, list) or not all(isinstance(group, str) for group in groups):
        return None
    found = {"staff": "staff", "interns": "staff", "research": "research"}
    clients = {found[group] for group in groups if group in found}
    return clients.pop() if len(clients) == 1 else None


TARGET = Target("token", make, judge)
