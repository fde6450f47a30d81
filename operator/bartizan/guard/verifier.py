"""Verifies signed tokens (JWT, RFC 7519) offline, with the keys of one document's issuers, and remembers those it has.

It belongs to one document, so nothing that it remembers outlives a client or a key that the next one withdraws.
"""

import base64
import binascii
import hashlib
import re
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from jwt.algorithms import get_default_algorithms

from bartizan.guard import claims, refusal, strict_json
from bartizan.guard.caller import Caller
from bartizan.guard.claims import ClaimError, Clients
from bartizan.policy import jwks
from bartizan.policy.document import TokenClient, TrustedIssuer
from bartizan.policy.jwks import PublicKey, VerifyKey
from bartizan.policy.reasons import Reason

MAX_TOKEN_BYTES = 8 * 1024
"""A ServiceAccount's has some 1.2 KB, one with many groups a few; the whole header may have 16."""
REMEMBERED = 1024
"""Verified tokens, some 400 bytes each; a client's pods each have one at a time."""
_ALGORITHMS = {name: found for name, found in get_default_algorithms().items() if name in jwks.ALGORITHMS}
_FORM = re.compile(rb"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class _Key:
    algorithms: tuple[str, ...]
    public: PublicKey


@dataclass(frozen=True, slots=True)
class _Issuer:
    trusted: TrustedIssuer
    keys: dict[str, _Key]
    clients: Clients


class Verifier:
    """Raises ValueError where an issuer's key is not one."""

    def __init__(self, issuers: tuple[TrustedIssuer, ...]) -> None:
        self._issuers = {issuer.issuer: _prepare(issuer) for issuer in issuers}
        self._decoy = next((key for issuer in self._issuers.values() for key in issuer.keys.values()), None)
        self._held: OrderedDict[bytes, tuple[Caller, float]] = OrderedDict()

    def standings(self) -> Iterator[bytes]:
        """The mark of every caller that a token may prove to be now."""
        for issuer in self._issuers.values():
            for key_id in issuer.keys:
                for client in issuer.trusted.clients:
                    yield _standing(issuer.trusted, key_id, client)

    def verify(self, token: bytes, now: float) -> Caller:
        """Whose token it is at Unix time `now`; raises Refusal, whose reason only the audit tells."""
        digest = hashlib.sha256(token).digest()
        held = self._held.get(digest)
        if held is None or held[1] <= now:
            self._held.pop(digest, None)
            try:
                held = self._judge(token, now)
            except ClaimError as error:
                raise refusal.bad_credential(error.reason) from None
            self._held[digest] = held
        self._held.move_to_end(digest)
        if len(self._held) > REMEMBERED:
            self._held.popitem(last=False)
        return held[0]

    def _judge(self, token: bytes, now: float) -> tuple[Caller, float]:
        parts = _read(token)
        key_id = claims.key_id(parts.header)
        name = parts.claims.get("iss")
        issuer = self._issuers.get(name) if isinstance(name, str) else None
        key = issuer.keys.get(key_id) if issuer else None
        if issuer is None or key is None:
            if self._decoy is not None:  # an unknown key takes the same work as a wrong signature
                self._is_signed(parts, self._decoy, self._decoy.algorithms[0])
            raise ClaimError(Reason.TOKEN_KEY_UNKNOWN if issuer else Reason.TOKEN_ISSUER_UNKNOWN)
        algorithm = parts.header["alg"]
        if algorithm not in key.algorithms or not self._is_signed(parts, key, algorithm):
            raise ClaimError(Reason.TOKEN_SIGNATURE_INVALID)
        named = claims.judge(parts.claims, issuer.trusted, issuer.clients, now=now)
        standing = _standing(issuer.trusted, key_id, named.client)
        caller = Caller(named.client.client, standing, issuer=issuer.trusted.name, subject=named.subject, pod=named.pod)
        return caller, named.until

    def _is_signed(self, parts: "_Parts", key: _Key, algorithm: str) -> bool:
        return _ALGORITHMS[algorithm].verify(parts.signed, key.public, parts.signature)


def _prepare(issuer: TrustedIssuer) -> _Issuer:
    keys = {key.kid: _load(key) for key in issuer.keys}
    return _Issuer(issuer, keys, claims.index(issuer.clients))


def _load(key: VerifyKey) -> _Key:
    return _Key(key.algorithms, jwks.load(key))


@dataclass(frozen=True, slots=True)
class _Parts:
    """A token as it stands there, nothing of it proved; `signed` are the bytes that `signature` must be of."""

    header: dict[str, Any]
    claims: dict[str, Any]
    signed: bytes
    signature: bytes


def _read(token: bytes) -> _Parts:
    """Each part read in one way only; raises ClaimError."""
    if len(token) > MAX_TOKEN_BYTES or not _FORM.fullmatch(token):
        raise ClaimError(Reason.TOKEN_MALFORMED)
    signed, _, signature = token.rpartition(b".")
    header, _, payload = signed.partition(b".")
    try:
        found = _Parts(
            strict_json.parse(_decoded(header)), strict_json.parse(_decoded(payload)), signed, _decoded(signature)
        )
    except (binascii.Error, strict_json.JsonError) as error:
        raise ClaimError(Reason.TOKEN_MALFORMED) from error
    if not isinstance(found.header, dict) or not isinstance(found.claims, dict):
        raise ClaimError(Reason.TOKEN_MALFORMED)
    return found


def _decoded(part: bytes) -> bytes:
    """Raises binascii.Error, also where bits that say nothing are set: there is one text for one token."""
    data = base64.urlsafe_b64decode(part + b"=" * (-len(part) % 4))
    if base64.urlsafe_b64encode(data).rstrip(b"=") != part:
        raise binascii.Error("not in the one form that is canonical")
    return data


def _standing(issuer: TrustedIssuer, key_id: str, client: TokenClient) -> bytes:
    """Changes with whatever makes a caller's standing: a key that is published no more, an account made anew."""
    parts = (issuer.issuer, issuer.audience, issuer.subject_claim, issuer.groups_claim, key_id, client)
    return b"token " + hashlib.sha256(repr(parts).encode("utf-8", "backslashreplace")).digest()
