"""The guard's document: what the operator did not sign is never taken up, and nothing but a refusal comes of it."""

import base64
import json
import random
from dataclasses import asdict

import jwt
from tests.fuzz.mutation import Mutator
from tests.fuzz.target import Target
from tests.fuzz.targets.token import KEY
from tests.unit.guard.accounts import trusted
from tests.unit.guard.running import ENDPOINT, SIGNING_KEY, document

from bartizan.guard import enforcement
from bartizan.guard.enforcement import Enforcement, Measures
from bartizan.policy import document as documents
from bartizan.policy import keys
from bartizan.policy.document import API_VERSION, TYPE, DocumentError, GuardDocument

DOCUMENT = document(issuers=(trusted(KEY),))
SIGNED = documents.encode(DOCUMENT, SIGNING_KEY).encode()
_OTHER = documents.encode(DOCUMENT, keys.signing_key(keys.Hidden(b"another root of just 32 bytes..."))).encode()
_PAYLOAD = json.dumps({"apiVersion": API_VERSION, **asdict(DOCUMENT)}).encode()
_PUBLIC = SIGNING_KEY.public_key()


def _part(value: bytes) -> bytes:
    return base64.urlsafe_b64encode(value).rstrip(b"=")


_HEADERS = [
    {"alg": "EdDSA", "typ": TYPE},
    {"alg": "none", "typ": TYPE},
    {"alg": "HS256", "typ": TYPE},
    {"alg": "EdDSA", "typ": "JWT"},
    {"alg": "EdDSA", "typ": TYPE, "crit": ["b64"], "b64": False},
    {"alg": "EdDSA", "typ": TYPE, "jwk": {"kty": "OKP", "crv": "Ed25519", "x": ""}},
]
_SIGNATURE = SIGNED.rpartition(b".")[2]
_SEEDS = (
    SIGNED,
    SIGNED,
    _OTHER,
    *(b".".join((_part(json.dumps(head).encode()), _part(_PAYLOAD), _SIGNATURE)) for head in _HEADERS),
)
_WORDS = (
    b".",
    b"..",
    b"=",
    b"==",
    b" ",
    b"\n",
    b"e30",
    b"e30.e30.e30",
    _SIGNATURE,
    _part(_PAYLOAD),
    b"+",
    b"/",
    b"-",
    b"_",
    b"{}",
)
_PAYLOAD_WORDS = (
    *(b"null", b"true", b"0", b"-1", b"1.5", b"1e400", b"NaN", b'""', b'"x"', b"[]", b"{}", b"[{}]", b'"\xc3\xa9"'),
    *(b"1" * 5000,),
    *(b'"keys":', b'"limit":', b'"tokens":', b'"requests":', b'"protocol":', b'"version":', b'"replicas":'),
    *(b'"client":', b'"id":', b'"issuers":', b'"clients":', b'"spki":', b'"kid":', b'"algorithms":', b'"groups":'),
    *(b'"subject":', b'"uid":', b'"JWT"', b'"ServiceAccount"', b'"HS256"', b'"AAAA"'),
    *(b'"OpenAI"', b'"Total"', b'"Input"', b'"Clamp"', b'"extra":1,', b"[" * 2000, b'"\\ud800"', b'"a\\u0000"'),
)  # fmt: skip
_OF_TOKENS, _OF_PAYLOADS = Mutator(_SEEDS, _WORDS), Mutator((_PAYLOAD,), _PAYLOAD_WORDS)
UNSIGNED, TO_BE_SIGNED = 0, 1


def make(chance: random.Random) -> bytes:
    """Bytes that nobody signed; or, one in three, a payload that the operator itself should not have signed."""
    if chance.random() < 0.66:
        return bytes([UNSIGNED]) + _OF_TOKENS.make(chance)
    return bytes([TO_BE_SIGNED]) + _OF_PAYLOADS.make(chance)


def judge(case: bytes) -> None:
    if case[:1] == bytes([TO_BE_SIGNED]):
        _judge_signed(case[1:])
        return
    try:
        found = documents.decode(case[1:], _PUBLIC, ENDPOINT)
    except DocumentError:
        return
    assert found == DOCUMENT, "a document that the operator never signed was believed"


def _judge_signed(payload: bytes) -> None:
    """Taken up with every figure a limit, or refused; a guard that cannot read a document does not end."""
    text = (
        jwt.PyJWS(algorithms=["EdDSA"]).encode(payload, SIGNING_KEY, algorithm="EdDSA", headers={"typ": TYPE}).encode()
    )
    try:
        found = documents.decode(text, _PUBLIC, ENDPOINT)
        ready = enforcement.prepare(found, text)
    except DocumentError:
        return
    _judge_usable(found, ready)


def _judge_usable(found: GuardDocument, ready: Enforcement) -> None:
    for client in ("", *found.tiers):
        _judge_measures(ready.of(client))
    assert min(ready.slots.in_all, ready.slots.of_client, ready.caps.max_input_tokens, ready.caps.max_output_tokens) > 0
    assert ready.profile.name == found.protocol
    assert isinstance(found.model, str), "the model's name is no text"
    for key in found.keys:
        assert isinstance(key.client, str), "a client's name is no text"
        assert isinstance(key.sha256, str), "a hash that no secret can be compared with"


def _judge_measures(measures: Measures) -> None:
    assert measures.paces.client, "no limit of a client's requests"
    assert measures.budgets.client, "no limit of a client's tokens"
    paces = (*measures.paces.client, *(pace for _, paces in measures.paces.shared for pace in paces))
    budgets = (*measures.budgets.client, *(budget for _, budgets in measures.budgets.shared for budget in budgets))
    assert all(pace.interval_ns > 0 and pace.burst > 0 for pace in paces)
    assert all(budget.interval_ns > 0 and budget.most > 0 for budget in budgets)


TARGET = Target("document", make, judge)
