"""The GuardDocument: the one versioned contract between operator and guard, signed and bound to one endpoint.

On the wire it is a compact JWS with a `typ` of its own (signed.py). Equal documents and keys give equal bytes: the
operator can apply them blindly, again and again, without changing anything.
"""

import hashlib
import ipaddress
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from bartizan.policy import fields, jwks, media, signed
from bartizan.policy.capabilities import Capability
from bartizan.policy.jwks import VerifyKey
from bartizan.policy.limits import Scope
from bartizan.policy.media import MediaTerms
from bartizan.policy.reasons import Reason

API_VERSION = "guard.bartizan.dev/v1"
TYPE = "bartizan-guard-document+jws"
MAX_BYTES = 512 * 1024
"""Half of what a Secret may hold; a document of the maximal 64 clients takes some 20 KB, an issuer's keys as much."""
SERVICE_ACCOUNT = "ServiceAccount"
"""The type of the one issuer that is the cluster itself, and its name."""
JWT = "JWT"
"""The type of every other issuer."""


@dataclass(frozen=True, slots=True)
class EndpointRef:
    """The endpoint that a document speaks for; all four must match what the guard was started with."""

    namespace: str
    name: str
    uid: str
    namespace_uid: str


@dataclass(frozen=True, slots=True)
class ClientKey:
    """One valid key: looked up by `id`, compared by `sha256`, the hex digest of the key's secret part (ASCII)."""

    id: str
    sha256: str
    client: str


@dataclass(frozen=True, slots=True)
class RequestWindow:
    limit: int
    window_seconds: int
    scope: str = Scope.CLIENT
    tier: str = ""
    """Whose clients' it is, with scope Client and Tier; empty for every other client's, and for all of them."""


@dataclass(frozen=True, slots=True)
class TokenWindow:
    type: str
    limit: int
    window_seconds: int
    scope: str = Scope.CLIENT
    tier: str = ""


@dataclass(frozen=True, slots=True)
class TokenClient:
    """Whom a token may name: a `subject`, exactly, or anybody of one of the `groups`; of a ServiceAccount its `uid`."""

    client: str
    subject: str = ""
    uid: str = ""
    groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TrustedIssuer:
    """One that may say who a caller is: `issuer` and `audience` equal a token's `iss` and `aud`, to the letter.

    A token is valid for `max_lifetime_seconds` from its issue at most. Where `groups_claim` is empty nobody has any.
    """

    type: str
    name: str
    issuer: str
    audience: str
    max_lifetime_seconds: int
    keys: tuple[VerifyKey, ...]
    clients: tuple[TokenClient, ...]
    subject_claim: str = "sub"
    groups_claim: str = ""


@dataclass(frozen=True, slots=True)
class SharedStore:
    """Where guards count together: an IP address, since they resolve no names.

    With `server_name` it is spoken to by TLS, and its certificate must be for that name, from one of `ca` (PEM).
    """

    address: str
    port: int
    server_name: str = ""
    ca: str = ""


@dataclass(frozen=True, slots=True)
class GuardDocument:
    """What a guard enforces. Figures are totals over all replicas; each guard takes its share.

    `version` is the Unix time of issue in milliseconds, strictly rising within an endpoint's life. `created` is the
    Unix time in seconds at which the endpoint was made; 0 where nobody knows.
    """

    endpoint: EndpointRef
    version: int
    model: str
    protocol: str
    replicas: int
    keys: tuple[ClientKey, ...]
    requests: tuple[RequestWindow, ...]
    tokens: tuple[TokenWindow, ...]
    max_input_tokens: int
    max_output_tokens: int
    excess_output: str
    prompt_overhead_tokens: int
    max_stream_seconds: int
    concurrent: int
    concurrent_per_client: int
    issuers: tuple[TrustedIssuer, ...] = ()
    """Left out where there are none: such documents are, to the byte, what they were before there were issuers."""
    created: int = 0
    queue_size: int = 0
    queue_seconds: int = 0
    store: SharedStore | None = None
    allow_fields: tuple[str, ...] = ()
    """Fields of a request that pass though the protocol does not know them."""
    media: MediaTerms | None = None
    capabilities: tuple[str, ...] | None = None
    """What requests may ask for beyond plain text; left out where that is everything."""
    audit_may_fail: bool = False
    """Requests go on while the audit cannot be written."""
    tiers: Mapping[str, str] = field(default_factory=dict)
    """The tiers of clients that have one, by client."""
    refused_without_store: tuple[str, ...] = ()
    """The tiers whose clients are refused while the store is away."""

    def age_seconds(self, now: float) -> float:
        """Since it was issued; one of a clock that was ahead is as old as its time is far: it must not stay new."""
        return abs(now - self.version / 1000)


_NAME = re.compile("[a-z]([-a-z0-9]*[a-z0-9])?")


class DocumentError(Exception):
    """A document that must not be enforced, with the reason for it."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def content_hash(document: GuardDocument) -> str:
    """SHA-256 (hex) of everything but the version: equal content needs no new version."""
    content = _content(document)
    del content["version"]
    return hashlib.sha256(signed.canonical(content)).hexdigest()


def hash_of(text: str) -> str:
    """SHA-256 (hex) of a signed document as it stands in the Secret: what a guard reports that it enforces."""
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def encode(document: GuardDocument, key: Ed25519PrivateKey) -> str:
    """The signed document, ASCII."""
    return signed.sign(signed.canonical({"apiVersion": API_VERSION, **_content(document)}), key, kind=TYPE)


def decode(text: bytes, key: Ed25519PublicKey, endpoint: EndpointRef) -> GuardDocument:
    """The document in `text`, if the operator signed it for this endpoint; raises DocumentError."""
    payload = _verified_payload(text, key)
    try:
        document = _parse(json.loads(payload))
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise DocumentError(Reason.DOCUMENT_MALFORMED, f"the document cannot be read: {error!r}") from error
    if document.endpoint != endpoint:
        raise DocumentError(
            Reason.DOCUMENT_FOREIGN,
            f"the document is for {document.endpoint.namespace}/{document.endpoint.name} "
            f"(uid {document.endpoint.uid}), not for this endpoint",
        )
    return document


def _verified_payload(text: bytes, key: Ed25519PublicKey) -> bytes:
    if len(text) > MAX_BYTES:
        raise DocumentError(
            Reason.DOCUMENT_MALFORMED, f"the document has {len(text)} bytes, at most {MAX_BYTES} are read"
        )
    try:
        return signed.verified(text, key, kind=TYPE)
    except signed.SignatureError as error:
        raise DocumentError(Reason.DOCUMENT_SIGNATURE_INVALID, f"the document's {error}") from error


def _parse(data: Any) -> GuardDocument:  # noqa: ANN401 -- whatever JSON the operator signed
    if not isinstance(data, dict):
        raise TypeError("the payload is not an object")
    if data.pop("apiVersion") != API_VERSION:
        raise ValueError(f"apiVersion is not {API_VERSION}")
    endpoint = EndpointRef(**data.pop("endpoint"))
    keys = tuple(ClientKey(**key) for key in data.pop("keys"))
    requests = tuple(RequestWindow(**window) for window in data.pop("requests"))
    tokens = tuple(TokenWindow(**window) for window in data.pop("tokens"))
    issuers = tuple(_issuer(**issuer) for issuer in data.pop("issuers", ()))
    store = SharedStore(**data.pop("store")) if "store" in data else None
    images = media.read(data.pop("media")) if "media" in data else None
    allowed = tuple(data.pop("allow_fields", ()))
    capabilities = tuple(Capability(name) for name in data.pop("capabilities")) if "capabilities" in data else None
    refused = data.pop("refused_without_store", [])
    if not isinstance(refused, list):
        raise TypeError("the tiers that need the store are no list")
    document = GuardDocument(
        endpoint=endpoint,
        keys=keys,
        requests=requests,
        tokens=tokens,
        issuers=issuers,
        store=store,
        allow_fields=allowed,
        media=images,
        capabilities=capabilities,
        refused_without_store=tuple(refused),
        **data,
    )
    _check(document)
    return document


def _issuer(*, keys: list[dict[str, Any]], clients: list[dict[str, Any]], **rest: Any) -> TrustedIssuer:  # noqa: ANN401
    return TrustedIssuer(
        keys=tuple(VerifyKey(**{**key, "algorithms": tuple(key["algorithms"])}) for key in keys),
        clients=tuple(TokenClient(**{**client, "groups": tuple(client["groups"])}) for client in clients),
        **rest,
    )


def _check(document: GuardDocument) -> None:
    figures = [document.version, document.replicas, document.concurrent, document.concurrent_per_client]
    figures += [document.max_input_tokens, document.max_output_tokens, document.max_stream_seconds]
    windows: tuple[RequestWindow | TokenWindow, ...] = (*document.requests, *document.tokens)
    figures += [figure for window in windows for figure in (window.limit, window.window_seconds)]
    figures += [document.prompt_overhead_tokens + 1, document.created + 1]
    figures += [document.queue_size + 1, document.queue_seconds + 1]  # may be nothing
    if not all(type(figure) is int and figure > 0 for figure in figures):
        raise ValueError("every figure must be a positive whole number")
    if document.store is not None and not (ipaddress.ip_address(document.store.address) and document.store.port > 0):
        raise ValueError("the store has no port")
    for kind in (document.requests, document.tokens):
        if not any(window.scope == Scope.CLIENT and not window.tier for window in kind):
            raise ValueError("a document without a client's limit of requests and of tokens would be no limit at all")
    _check_tiers(document)
    _check_openings(document)
    if len({key.id for key in document.keys}) != len(document.keys):
        raise ValueError("two keys share one id")
    for names in ([issuer.issuer for issuer in document.issuers], [issuer.name for issuer in document.issuers]):
        if len(set(names)) != len(names):
            raise ValueError("one issuer stands twice")
    for issuer in document.issuers:
        _check_issuer(issuer)


def _check_tiers(document: GuardDocument) -> None:
    if not isinstance(document.tiers, dict):
        raise TypeError("the tiers are no object")
    windows: tuple[RequestWindow | TokenWindow, ...] = (*document.requests, *document.tokens)
    for window in windows:
        if not isinstance(window.tier, str) or bool(window.tier) < (window.scope == Scope.TIER):
            raise ValueError("a tier's limit does not say whose")
        if window.tier and window.scope == Scope.ENDPOINT:
            raise ValueError("what all clients share is one tier's")
    given = set(document.tiers.values())
    if not given >= set(document.refused_without_store):
        raise ValueError("a tier that needs the store is no client's")
    clients = [key.client for key in document.keys]
    clients += [client.client for issuer in document.issuers for client in issuer.clients]
    for name in (*clients, *document.tiers, *given, *(window.tier for window in windows if window.tier)):
        if not isinstance(name, str) or not _NAME.fullmatch(name):  # it stands in the store's keys and beside marks
            raise ValueError("a tier or a client has a name that is none")
    for kind in (document.requests, document.tokens):
        if len({replace(window, limit=1) for window in kind}) != len(kind):
            raise ValueError("one window stands twice")


def _check_openings(document: GuardDocument) -> None:
    if not all(isinstance(name, str) and name not in fields.NEVER for name in document.allow_fields):
        raise ValueError("a field that no owner can let through is let through")
    if type(document.audit_may_fail) is not bool:
        raise ValueError("whether the audit may fail is not said")


def _check_issuer(issuer: TrustedIssuer) -> None:
    needed = (
        issuer.name,
        issuer.issuer,
        issuer.audience,
        issuer.subject_claim,
        *(who.client for who in issuer.clients),
    )
    if not all(isinstance(text, str) and text for text in needed):
        raise ValueError("an issuer leaves out what a token must say")
    if type(issuer.max_lifetime_seconds) is not int or issuer.max_lifetime_seconds <= 0:
        raise ValueError("an issuer's tokens have no lifetime")
    if len({key.kid for key in issuer.keys}) != len(issuer.keys) or len(issuer.keys) > jwks.MOST_KEYS:
        raise ValueError("an issuer has too many keys, or two that share one id")
    if not all(_is_somebody(client, issuer.type) for client in issuer.clients):
        raise ValueError("a client is nobody whom a token of its issuer could name")
    subjects = [client.subject for client in issuer.clients if client.subject]
    if len(set(subjects)) != len(subjects):
        raise ValueError("two clients share one subject")


def _is_somebody(client: TokenClient, kind: str) -> bool:
    texts = (client.subject, client.uid, *client.groups)
    if not all(isinstance(text, str) for text in texts) or not all(client.groups):
        return False
    given = (bool(client.subject), bool(client.uid), bool(client.groups))
    by_kind = {SERVICE_ACCOUNT: [(True, True, False)], JWT: [(True, False, False), (False, False, True)]}
    return given in by_kind.get(kind, [])


_LEFT_OUT = (
    *("allow_fields", "audit_may_fail", "created", "issuers", "media", "queue_seconds", "queue_size"),
    *("refused_without_store", "store", "tiers"),
)
"""Where it is nothing."""


def _content(document: GuardDocument) -> dict[str, Any]:
    """Without what has its default: guards of releases that do not know of it need not."""
    content = asdict(document)
    for window in (*content["requests"], *content["tokens"]):
        if window["scope"] == Scope.CLIENT:
            del window["scope"]
        if not window["tier"]:
            del window["tier"]
    for name in _LEFT_OUT:
        if not content[name]:
            del content[name]
    if content["capabilities"] is None:
        del content["capabilities"]
    return content
