"""Credentials: nobody is let in but who sends one whole key, once, as a bearer; all others look alike."""

import random
import re

from tests.fuzz.mutation import Mutator
from tests.fuzz.target import Target
from tests.unit.guard.running import client_key, credential

from bartizan.guard import identity
from bartizan.guard.refusal import Refusal
from bartizan.guard.request import Head
from bartizan.policy.reasons import Reason

CLIENTS = ("chat-ui", "batch", "a")
KEYS = {client_key(client).id.encode(): client_key(client) for client in CLIENTS}
RIGHT = {credential(client).reveal().encode(): client for client in CLIENTS}
_SEEDS = (
    *(b"authorization: Bearer " + key for key in RIGHT),
    b"authorization: bearer " + next(iter(RIGHT)) + b"\nhost: x",
    b"x-api-key: " + next(iter(RIGHT)),
    b"authorization: Bearer " + credential(epoch=2).reveal().encode(),
)
_WORDS = (
    *(b"authorization: ", b"proxy-authorization: ", b"x-api-key: ", b"api-key: ", b"Bearer ", b"bearer ", b"BEARER "),
    *(b"Basic ",),
    *(b"btzn_", b".", b"..", b" ", b"  ", b"\n", b"=", b",", b"\xc3\xa9", *RIGHT, *KEYS),
)  # fmt: skip
_MUTATOR = Mutator(_SEEDS, _WORDS)
_CREDENTIALS = (b"authorization", b"proxy-authorization", b"x-api-key", b"api-key")


def make(chance: random.Random) -> bytes:
    return _MUTATOR.make(chance)


def judge(case: bytes) -> None:
    fields = tuple(
        (name.lower(), value) for name, colon, value in (line.partition(b": ") for line in case.split(b"\n")) if colon
    )
    given = [field for field in fields if field[0] in _CREDENTIALS]
    try:
        key = identity.judge(Head(b"POST", b"/", fields), KEYS)
    except Refusal as refusal:
        assert (refusal.reason, refusal.key_id) == _fault(given)  # noqa: PT017 -- most cases are refused
        assert len(given) != 1 or not _is_right(*given[0]), "a right key was refused"
        return
    assert len(given) == 1, "one credential of several was chosen"
    assert _is_right(*given[0]), "a wrong credential was let in"
    assert key.client == RIGHT[given[0][1][len(b"Bearer ") :]], "one client's key let in another"


def _fault(given: list[tuple[bytes, bytes]]) -> tuple[Reason, str | None]:
    """Why what was given is none, and the key that it names."""
    if len(given) != 1:
        return (Reason.CREDENTIALS_SEVERAL if given else Reason.CREDENTIAL_MISSING), None
    name, value = given[0]
    key = re.fullmatch(rb"(?is:bearer) btzn_([A-Za-z0-9_-]{16})(?s:\..*)?", value)
    if name != b"authorization" or key is None:
        return Reason.CREDENTIAL_MALFORMED, None
    return (Reason.KEY_SECRET_WRONG if key[1] in KEYS else Reason.KEY_UNKNOWN), key[1].decode()


def _is_right(name: bytes, value: bytes) -> bool:
    return name == b"authorization" and value[:7].lower() == b"bearer " and value[7:] in RIGHT


TARGET = Target("identity", make, judge)
