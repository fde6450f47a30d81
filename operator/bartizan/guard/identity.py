"""Knows who asks: one credential, an API key found by its id and compared by its secret's hash, or one signed token."""

import hashlib
import hmac
import re
from collections.abc import Mapping

from bartizan.guard import refusal
from bartizan.guard.caller import Caller
from bartizan.guard.refusal import Refusal
from bartizan.guard.request import Head
from bartizan.guard.verifier import Verifier
from bartizan.policy.document import ClientKey
from bartizan.policy.keys import ID_BYTES, KEY_PREFIX
from bartizan.policy.reasons import Reason

_CREDENTIAL_HEADERS = frozenset({b"authorization", b"proxy-authorization", b"x-api-key", b"api-key"})
_PREFIX = KEY_PREFIX.encode("ascii")
_BEARER = b"bearer"
_NOBODY = ClientKey(id="", sha256="0" * 64, client="")
"""Compared with when an id is unknown, so that it takes the same work as a wrong secret."""
_ID = re.compile(rb"[A-Za-z0-9_-]{%d}" % (ID_BYTES * 4 // 3))
"""How every key's id looks: what does not is nothing that an audit should repeat."""
_DOTS_OF_A_TOKEN = 2
"""Three parts (RFC 7515, 3.1); a key has one dot."""


def judge(
    head: Head,
    keys: Mapping[bytes, ClientKey],
    *,
    key_header: bytes = b"",
    verifier: Verifier | None = None,
    now: float = 0.0,
) -> Caller:
    """Whose credential the request holds; raises Refusal, to the caller the same for every way to be wrong.

    `key_header` names the protocol's own header, which may hold a bare credential in place of Authorization; `verifier`
    judges tokens at Unix time `now`, where the document trusts an issuer.
    """
    names = head.named(_CREDENTIAL_HEADERS)
    if not names:
        way = f"{key_header.decode()}:" if key_header else "Authorization: Bearer"
        message = f"Send the endpoint's API key, or a token made for it, as {way} <key or token>."
        raise Refusal(Reason.CREDENTIAL_MISSING, message)
    name = min(names)
    values = head.values(name)
    scheme, _, token = (_BEARER, b"", values[0]) if name == key_header else values[0].partition(b" ")
    is_one = len(names) == 1 and len(values) == 1
    is_one_bearer = is_one and name in (b"authorization", key_header) and scheme.lower() == _BEARER
    if verifier and is_one_bearer and token.count(b".") == _DOTS_OF_A_TOKEN and not token.startswith(_PREFIX):
        return verifier.verify(token, now)
    key_id, _, secret = token.removeprefix(_PREFIX).partition(b".")
    key = keys.get(key_id, _NOBODY)
    is_secret_right = hmac.compare_digest(hashlib.sha256(secret).hexdigest(), key.sha256)
    if is_secret_right and is_one_bearer and token.startswith(_PREFIX) and key is not _NOBODY:
        return Caller(key.client, key_id, key.id)
    if not is_one:
        raise refusal.bad_credential(Reason.CREDENTIALS_SEVERAL)
    if not (is_one_bearer and token.startswith(_PREFIX) and _ID.fullmatch(key_id)):
        raise refusal.bad_credential(Reason.CREDENTIAL_MALFORMED)
    reason = Reason.KEY_UNKNOWN if key is _NOBODY else Reason.KEY_SECRET_WRONG
    raise refusal.bad_credential(reason, key_id.decode("ascii"))
