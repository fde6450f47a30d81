"""JWK Sets of issuers: whatever they publish, what is kept of it can verify and nothing else comes of it."""

import json
import random

from tests.fuzz.mutation import Mutator
from tests.fuzz.target import Target
from tests.fuzz.targets.token import KEY
from tests.fuzz.values import anything

from bartizan.policy import jwks
from bartizan.policy.jwks import JwksError

_RSA = {"kty": "RSA", "kid": "r", "alg": "RS256", "use": "sig", "e": "AQAB", "n": "n4EP" + "tAOCc9Alk" * 38}
_EC = {
    "kty": "EC",
    "kid": "e",
    "crv": "P-256",
    "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
    "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
}
"""Of RFC 7517 and RFC 7515, or as long as such a one."""
_OCT = {"kty": "oct", "kid": "o", "k": "c2VjcmV0", "alg": "HS256"}
_SEEDS = tuple(
    json.dumps({"keys": keys}).encode()
    for keys in ([_RSA], [_EC], [KEY.jwk], [_RSA, _EC, KEY.jwk, _OCT], [_RSA] * 17, [])
)
_WORDS = (
    *(b'"kty":', b'"kid":', b'"alg":', b'"use":', b'"n":', b'"e":', b'"crv":', b'"x":', b'"y":', b'"d":"AQAB",'),
    *(b'"RSA"', b'"EC"', b'"OKP"', b'"oct"', b'"AQAB"', b'"AA"', b'""', b'"P-384"', b'"Ed25519"', b'"X25519"'),
    *(b'"HS256"', b'"none"', b"null", b"7", b"[]", b"{}", b'"keys":', b"A" * 400, b'"\xff"', b'"\\ud800"'),
    *(b",", b"}", b"]"),
)  # fmt: skip
_MUTATOR = Mutator(_SEEDS, _WORDS)


def make(chance: random.Random) -> bytes:
    if chance.random() < 0.1:
        return json.dumps({"keys": [dict(_RSA, **{chance.choice(list(_RSA)): anything(chance)})]}).encode()
    return _MUTATOR.make(chance)


def judge(case: bytes) -> None:
    try:
        found = json.loads(case)
    except (ValueError, RecursionError):
        return  # what fetches them says so
    try:
        keys = jwks.parse(found)
    except JwksError:
        return
    assert len({key.kid for key in keys}) == len(keys) <= jwks.MOST_KEYS
    for key in keys:
        assert jwks.load(key) is not None
        assert not {"none", "HS256", "HS384", "HS512"} & set(key.algorithms)


TARGET = Target("jwks", make, judge)
