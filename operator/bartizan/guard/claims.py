"""What a token says, judged: its header before anything is verified, its claims once its signature is.

After the best current practices for JWTs (RFC 8725): algorithms come from the key and never from the token, no header
may bring or name a key, issuer and audience are compared to the letter, types are what they must be.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bartizan.policy.document import SERVICE_ACCOUNT, TokenClient, TrustedIssuer
from bartizan.policy.jwks import MAX_KID
from bartizan.policy.reasons import Reason

LEEWAY_SECONDS = 30
"""How far clocks may differ: of the issuer and of the node that the guard runs on."""
LAST_SECOND = 2**40
"""A date beyond it, or beside whole and broken numbers, is none."""
MAX_SUBJECT = 512
"""What the audit would have to write down; a ServiceAccount's takes up to 340 characters."""
MAX_SHOWN = 253
"""A name of Kubernetes' is not longer."""
_TYPES = ("jwt", "at+jwt", "application/at+jwt")
"""A JWT of any kind, and an access token (RFC 9068, 2.1); most issuers say nothing."""
_FORBIDDEN = frozenset({"crit", "b64", "jwk", "jku", "x5c", "x5u", "enc", "zip"})
"""What would bring a key along, say where to fetch one, or change how the token is read."""

Claims = Mapping[str, Any]


class ClaimError(Exception):
    """Why a token is refused; the caller never hears it."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Clients:
    """An issuer's clients, made ready to be found."""

    by_subject: Mapping[str, TokenClient]
    by_group: Mapping[str, TokenClient]


@dataclass(frozen=True, slots=True)
class Named:
    """The client that a token stands for, what it calls itself, and the Unix second from which it is worth nothing."""

    client: TokenClient
    subject: str
    pod: str | None
    until: float


def index(clients: Iterable[TokenClient]) -> Clients:
    """Raises ValueError where two clients share a group: nobody could say whose a token is."""
    found = tuple(clients)
    groups = [(group, client) for client in found for group in client.groups]
    if len(dict(groups)) != len(groups):
        raise ValueError("two clients share one group")
    return Clients({client.subject: client for client in found if client.subject}, dict(groups))


def key_id(header: object) -> str:
    """The id of the key that the token claims to be signed with; raises ClaimError for a header that is not plain."""
    if not isinstance(header, Mapping) or header.keys() & _FORBIDDEN:
        raise ClaimError(Reason.TOKEN_MALFORMED)
    kid, kind = header.get("kid"), header.get("typ")
    if not isinstance(kid, str) or not 0 < len(kid) <= MAX_KID or not isinstance(header.get("alg"), str):
        raise ClaimError(Reason.TOKEN_MALFORMED)
    if kind is not None and (not isinstance(kind, str) or kind.lower() not in _TYPES):
        raise ClaimError(Reason.TOKEN_MALFORMED)
    return kid


def judge(claims: Claims, issuer: TrustedIssuer, clients: Clients, *, now: float) -> Named:
    """Whom the claims of a token name whose signature is its issuer's; raises ClaimError."""
    if claims.get("aud") not in (issuer.audience, [issuer.audience]):
        raise ClaimError(Reason.TOKEN_AUDIENCE_WRONG)
    until = _judge_times(claims, issuer.max_lifetime_seconds, now)
    subject = claims.get(issuer.subject_claim)
    if not isinstance(subject, str) or not 0 < len(subject) <= MAX_SUBJECT:
        raise ClaimError(Reason.TOKEN_SUBJECT_UNKNOWN)
    client = clients.by_subject.get(subject) or _by_group(claims, issuer, clients)
    pod = _judge_account(claims, client) if issuer.type == SERVICE_ACCOUNT else None
    return Named(client, subject, pod, until)


def _by_group(claims: Claims, issuer: TrustedIssuer, clients: Clients) -> TokenClient:
    """The one client that has a group of the token's: of two nobody could say whose limits hold."""
    held = claims.get(issuer.groups_claim, []) if issuer.groups_claim and clients.by_group else []
    if not isinstance(held, list) or not all(isinstance(group, str) for group in held):
        raise ClaimError(Reason.TOKEN_MALFORMED)
    found = {client.client: client for group in held if (client := clients.by_group.get(group))}
    if not found:
        raise ClaimError(Reason.TOKEN_SUBJECT_UNKNOWN)
    if len(found) > 1:
        raise ClaimError(Reason.TOKEN_CLIENT_AMBIGUOUS)
    (client,) = found.values()
    return client


def _judge_times(claims: Claims, longest_seconds: int, now: float) -> float:
    """When it ends, leeway included. Without an end or a beginning it is no token for here."""
    issued, ends = _date(claims, "iat"), _date(claims, "exp")
    begins = _date(claims, "nbf") if "nbf" in claims else issued
    if ends + LEEWAY_SECONDS <= now:
        raise ClaimError(Reason.TOKEN_EXPIRED)
    if max(issued, begins) - LEEWAY_SECONDS > now:
        raise ClaimError(Reason.TOKEN_NOT_YET_VALID)
    if not 0 < ends - issued <= longest_seconds:
        raise ClaimError(Reason.TOKEN_LIFETIME_EXCESSIVE)
    return ends + LEEWAY_SECONDS


def _date(claims: Claims, name: str) -> float:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < LAST_SECOND:
        raise ClaimError(Reason.TOKEN_MALFORMED)
    return float(value)


def _judge_account(claims: Claims, client: TokenClient) -> str | None:
    """The name of the pod that the token is bound to, if any; its account must be the very one that was meant."""
    bound = _mapping(claims.get("kubernetes.io"))
    account = _mapping(bound.get("serviceaccount"))
    if client.subject != f"system:serviceaccount:{bound.get('namespace')}:{account.get('name')}":
        raise ClaimError(Reason.TOKEN_MALFORMED)
    if account.get("uid") != client.uid:
        raise ClaimError(Reason.TOKEN_ACCOUNT_REPLACED)
    pod = _mapping(bound.get("pod")).get("name")
    return pod if isinstance(pod, str) and len(pod) <= MAX_SHOWN else None


def _mapping(found: object) -> Mapping[str, Any]:
    return found if isinstance(found, Mapping) else {}
