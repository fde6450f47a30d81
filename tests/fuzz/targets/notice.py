"""The notice of others' usage: what the operator did not sign is not taken, and what it did is a figure or refused."""

import base64
import json
import random

from tests.fuzz.mutation import Mutator
from tests.fuzz.target import Target
from tests.unit.guard.running import ENDPOINT, SIGNING_KEY

from bartizan.policy import keys, signed, usage
from bartizan.policy.usage import MOST_SECONDS, MOST_WINDOWS, TYPE, Notice, UsageError

NOTICE = Notice(ENDPOINT, "0123456789abcdef" * 2, {"a" * 32: 86_400, "0f" * 16: 1})
SIGNED = usage.encode(NOTICE, SIGNING_KEY).encode()
_PUBLIC = SIGNING_KEY.public_key()
_OTHER = usage.encode(NOTICE, keys.signing_key(keys.Hidden(b"another root of just 32 bytes..."))).encode()
_PAYLOAD = signed.verified(SIGNED, _PUBLIC, kind=TYPE)


def _unsigned(head: dict[str, object]) -> bytes:
    parts = (base64.urlsafe_b64encode(part).rstrip(b"=") for part in (json.dumps(head).encode(), _PAYLOAD))
    return b".".join((*parts, SIGNED.rpartition(b".")[2]))


_HEADERS: tuple[dict[str, object], ...] = (
    {"alg": "none", "typ": TYPE},
    {"alg": "HS256", "typ": TYPE},
    {"alg": "EdDSA", "typ": "JWT"},
    {"alg": "EdDSA", "typ": TYPE, "crit": ["b64"], "b64": False},
)
_OF_TOKENS = Mutator((SIGNED, SIGNED, _OTHER, *map(_unsigned, _HEADERS)), (b".", b"=", b" ", b"\n", b"e30", b"{}"))
_OF_PAYLOADS = Mutator(
    (_PAYLOAD,),
    (
        *(b"null", b"true", b"0", b"-1", b"1.5", b"1e400", b"NaN", b'""', b"[]", b"{}", b"[{}]", b"1" * 5000),
        *(b'"usage":', b'"nonce":', b'"endpoint":', b'"apiVersion":', b"[" * 2000, b'"\\ud800"', b'"a\\u0000"'),
        *(b'"%b":1,' % (b"b" * 32), b'"A":1,', b"%d" % (MOST_SECONDS + 1)),
    ),
)
UNSIGNED, TO_BE_SIGNED = 0, 1


def make(chance: random.Random) -> bytes:
    """Bytes that nobody signed; or, one in two, a payload that the operator itself should not have signed."""
    if chance.random() < 0.5:
        return bytes([UNSIGNED]) + _OF_TOKENS.make(chance)
    return bytes([TO_BE_SIGNED]) + _OF_PAYLOADS.make(chance)


def judge(case: bytes) -> None:
    is_signed, text = case[:1] == bytes([TO_BE_SIGNED]), case[1:]
    try:
        found = usage.decode(
            signed.sign(text, SIGNING_KEY, kind=TYPE).encode() if is_signed else text, _PUBLIC, ENDPOINT
        )
    except UsageError:
        return
    assert is_signed or found == NOTICE, "a notice that the operator never signed was believed"
    assert (found.endpoint, type(found.nonce)) == (ENDPOINT, str)
    told = found.usage or {}
    assert len(told) <= MOST_WINDOWS
    assert all(len(bytes.fromhex(window)) == 16 and 0 < seconds <= MOST_SECONDS for window, seconds in told.items())


TARGET = Target("notice", make, judge)
