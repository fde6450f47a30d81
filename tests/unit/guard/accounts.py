"""A ServiceAccount that is a client in tests: its cluster's issuer, its tokens, and the document that believes them."""

import time
from typing import Any

from tests.issuer.minting import Claims, SigningKey, key_set, signing_key
from tests.unit.guard.running import document

from bartizan.policy import jwks
from bartizan.policy.document import GuardDocument, TokenClient, TrustedIssuer

ISSUER = "https://kubernetes.default.svc.cluster.local"
AUDIENCE = "bartizan.dev/ml/llama"
UID = "5d7a9f0e-0000-4000-8000-000000000001"
SUBJECT = "system:serviceaccount:team-b:runner"
CLIENT = TokenClient("runner", SUBJECT, UID)


def trusted(*keys: SigningKey, clients: tuple[TokenClient, ...] = (CLIENT,)) -> TrustedIssuer:
    published = jwks.parse(key_set(*(keys or (signing_key(),))))
    return TrustedIssuer("ServiceAccount", "ServiceAccount", ISSUER, AUDIENCE, 3600, published, clients)


CORP = TrustedIssuer(
    type="JWT",
    name="corp",
    issuer="https://login.example",
    audience="models",
    max_lifetime_seconds=7200,
    keys=jwks.parse(key_set(signing_key())),
    clients=(
        TokenClient("alice", "alice@corp"),
        TokenClient("staff", groups=("staff", "interns")),
        TokenClient("research", groups=("research",)),
    ),
    groups_claim="groups",
)
"""Its key is the cluster's, too: what tells issuers apart is what they call themselves."""


def trusting(issuer: TrustedIssuer | None = None, **changes: Any) -> GuardDocument:
    return document(issuers=(issuer or trusted(), CORP), **changes)


def claims(now: float | None = None, /, **changes: Any) -> Claims:
    """As the API server makes them; a claim that is None is left out."""
    moment = int(time.time() if now is None else now)
    found = {
        "aud": [AUDIENCE],
        "exp": moment + 3600,
        "iat": moment,
        "nbf": moment,
        "iss": ISSUER,
        "jti": "a7f2",
        "kubernetes.io": bound(),
        "sub": SUBJECT,
        **changes,
    }
    return {name: value for name, value in found.items() if value is not None}


def bound(namespace: str = "team-b", name: str = "runner", uid: str = UID) -> Claims:
    account = {"name": name, "uid": uid}
    return {"namespace": namespace, "pod": {"name": "runner-7d4b", "uid": "u"}, "serviceaccount": account}


def token(now: float | None = None, /, **changes: Any) -> str:
    return signing_key().sign(claims(now, **changes))


def corp_claims(now: float | None = None, /, **changes: Any) -> Claims:
    """As an OpenID Connect provider makes them."""
    moment = int(time.time() if now is None else now)
    found = {"iss": CORP.issuer, "aud": CORP.audience, "sub": "alice@corp", "iat": moment, "exp": moment + 7200}
    return {name: value for name, value in {**found, **changes}.items() if value is not None}


def bad_tokens() -> dict[str, str]:
    """One for every reason for which a token can be refused."""
    now = time.time()
    return {
        "TokenMalformed": signing_key().sign(claims(), jku="https://thief.example/keys"),
        "TokenIssuerUnknown": token(iss="https://other.cluster"),
        "TokenKeyUnknown": signing_key("key-2").sign(claims()),
        "TokenSignatureInvalid": token()[:-8] + "AAAAAAAA",
        "TokenAudienceWrong": token(aud=["https://kubernetes.default.svc"]),
        "TokenExpired": token(now - 7200),
        "TokenNotYetValid": token(now + 300),
        "TokenLifetimeExcessive": token(exp=now + 365 * 86400),
        "TokenSubjectUnknown": token(sub="system:serviceaccount:team-b:stranger"),
        "TokenClientAmbiguous": signing_key().sign(corp_claims(sub="bob", groups=["staff", "research"])),
        "TokenAccountReplaced": token(None, **{"kubernetes.io": bound(uid="another-life")}),
    }
