"""Knows who asks: one API key, looked up by its id, compared by the hash of its secret."""

import hashlib
import hmac
from collections.abc import Mapping

from bartizan.guard import refusal
from bartizan.guard.refusal import Refusal
from bartizan.guard.request import Head
from bartizan.policy.document import ClientKey
from bartizan.policy.keys import KEY_PREFIX
from bartizan.policy.reasons import Reason

_CREDENTIAL_HEADERS = (b"authorization", b"proxy-authorization", b"x-api-key", b"api-key")
_PREFIX = KEY_PREFIX.encode("ascii")
_NOBODY = ClientKey(id="", sha256="0" * 64, client="")
"""Compared with when an id is unknown, so that it takes the same work as a wrong secret."""


def judge(head: Head, keys: Mapping[bytes, ClientKey]) -> ClientKey:
    """The key that the request holds; raises Refusal. Wrong, unknown and retired keys look alike to the caller."""
    given = [field for field in head.fields if field[0] in _CREDENTIAL_HEADERS]
    if not given:
        raise Refusal(Reason.CREDENTIAL_MISSING, "Send the endpoint's API key as Authorization: Bearer <key>.")
    scheme, _, token = given[0][1].partition(b" ")
    key_id, _, secret = token.removeprefix(_PREFIX).partition(b".")
    key = keys.get(key_id, _NOBODY)
    is_secret_right = hmac.compare_digest(hashlib.sha256(secret).hexdigest(), key.sha256)
    is_one_bearer = len(given) == 1 and given[0][0] == b"authorization" and scheme.lower() == b"bearer"
    if is_secret_right and is_one_bearer and token.startswith(_PREFIX) and key is not _NOBODY:
        return key
    raise refusal.bad_credential(Reason.CREDENTIAL_INVALID)
