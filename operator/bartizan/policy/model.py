"""A ModelDeployment after parsing: frozen values in which nothing is missing, doubtful or misspelt."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from bartizan.policy import capabilities, tokens
from bartizan.policy.capabilities import Capability
from bartizan.policy.identity import Identity
from bartizan.policy.limits import Scope
from bartizan.policy.media import MediaTerms
from bartizan.policy.protocols import Protocol

Manifest = Mapping[str, Any]


class Transport(StrEnum):
    """How the guard reaches the model."""

    UNIX_SOCKET = "UnixSocket"
    LOOPBACK = "Loopback"


class NamespaceScope(StrEnum):
    """Whose pods may come in."""

    SAME = "Same"
    SELECTOR = "Selector"
    ALL = "All"


@dataclass(frozen=True, slots=True)
class Serving:
    """How the model serves: `socket_path` with UnixSocket, `port` with Loopback; `allow_fields` beyond the protocol.

    `tls_secret` names the Secret with the pair for the guard's port, which speaks plain HTTP without one.
    """

    transport: Transport
    container: str
    socket_path: str | None = None
    port: int | None = None
    protocol: Protocol = Protocol.OPENAI
    allow_fields: tuple[str, ...] = ()
    media: MediaTerms | None = None
    capabilities: tuple[Capability, ...] = capabilities.ALL
    tls_secret: str | None = None

    @property
    def has_tls(self) -> bool:
        return self.tls_secret is not None


@dataclass(frozen=True, slots=True)
class AccessFrom:
    """The declared side of the network: `selector` is a Kubernetes label selector, set with scope Selector only."""

    namespaces: NamespaceScope
    selector: Manifest | None = None
    ip_blocks: tuple[str, ...] = ()


class Proof(StrEnum):
    """How clients may prove who they are."""

    API_KEY = "APIKey"
    SERVICE_ACCOUNT = "ServiceAccount"
    JWT = "JWT"


@dataclass(frozen=True, slots=True, order=True)
class ServiceAccountRef:
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class JwtRef:
    """Whom an issuer's tokens must name: one `subject`, or anybody of one of the `groups`."""

    issuer: str
    subject: str = ""
    groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Authentication:
    """One way to prove oneself; `issuer` is the name of the one that signs, where there may be several."""

    type: Proof
    issuer: str = ""

    def __str__(self) -> str:
        return f"{{type: {self.type}, issuer: {self.issuer}}}" if self.issuer else f"{{type: {self.type}}}"


@dataclass(frozen=True, slots=True)
class Client:
    """One that may come in: with the key of its epoch, or as what its tokens name."""

    name: str
    key_epoch: int
    service_account: ServiceAccountRef | None = None
    jwt: JwtRef | None = None
    tier: str = ""
    """Whose limits are the client's; empty where it has those of clients without one."""

    @property
    def proof(self) -> Authentication:
        if self.jwt:
            return Authentication(Proof.JWT, self.jwt.issuer)
        return Authentication(Proof.SERVICE_ACCOUNT if self.service_account else Proof.API_KEY)

    @property
    def has_key(self) -> bool:
        return self.proof.type is Proof.API_KEY


@dataclass(frozen=True, slots=True)
class RequestLimit:
    """`limit` requests for each `window_seconds`, evenly, with a burst of `limit`, over all replicas together."""

    limit: int
    window_seconds: int
    scope: Scope = Scope.CLIENT
    tier: str = ""
    """Whose clients' it is; empty for that of clients for which no other stands, and for the endpoint's."""


@dataclass(frozen=True, slots=True)
class TokenLimit:
    """As `RequestLimit`, in tokens of one kind."""

    kind: tokens.Kind
    limit: int
    window_seconds: int
    scope: Scope = Scope.CLIENT
    tier: str = ""


@dataclass(frozen=True, slots=True)
class RequestCaps:
    """What one request may cost; tokens, and seconds of a stream's wall-clock time."""

    max_input_tokens: int
    max_output_tokens: int
    excess_output: tokens.ExcessOutput
    prompt_overhead_tokens: int
    max_stream_seconds: int


@dataclass(frozen=True, slots=True)
class Tokenizer:
    """The model's tokenizer.json: a volume of the template that nothing in the pod can write, and a path within it."""

    volume: str
    path: str


@dataclass(frozen=True, slots=True)
class Limits:
    """`concurrent` is the endpoint's cap, `concurrent_per_client` each client's; both over all replicas together."""

    requests: tuple[RequestLimit, ...]
    tokens: tuple[TokenLimit, ...]
    caps: RequestCaps
    concurrent: int
    concurrent_per_client: int
    queue_size: int = 0
    queue_seconds: int = 0
    """How many requests may wait for a slot, and for how long; none, where they are 0."""
    store: str | None = None
    """Name of the installation's store in which the guards count together; without one each has its share."""
    refused_without_store: tuple[str, ...] = ()
    """The tiers whose clients are refused while the store is away; others have the guard's share."""
    tokenizer: Tokenizer | None = None
    """What input is counted with; without one only its bytes are."""


@dataclass(frozen=True, slots=True)
class Weakness:
    """A setting of the template that is weaker than the default would be; shown as Hardened=False."""

    container: str
    field: str
    why: str


@dataclass(frozen=True, slots=True)
class Template:
    """The pod template after the allow-list: `metadata` and `spec` hold only what is known to be safe.

    `spec` is the pod spec as the user wrote it (plain Kubernetes JSON), checked but not yet hardened, rewritten or
    joined by the guard: that is the Deployment builder's work.
    """

    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    spec: Manifest
    weaknesses: tuple[Weakness, ...] = ()


@dataclass(frozen=True, slots=True)
class EgressRule:
    """One NetworkPolicy egress rule; `to` and `ports` are plain Kubernetes JSON, already checked and bounded."""

    to: tuple[Manifest, ...]
    ports: tuple[Manifest, ...]


@dataclass(frozen=True, slots=True)
class Strategy:
    """Deployment strategy; None leaves the figure to the builder."""

    type: str = "RollingUpdate"
    max_surge: int | str | None = None
    max_unavailable: int | str | None = None


@dataclass(frozen=True, slots=True)
class Spec:
    """The accepted wish of a workload's owner."""

    model_name: str
    template: Template
    replicas: int
    serving: Serving
    access_from: AccessFrom
    proofs: tuple[Authentication, ...]
    clients: tuple[Client, ...]
    limits: Limits
    egress: tuple[EgressRule, ...]
    strategy: Strategy
    audit_may_fail: bool = False
    """Requests go on while the audit cannot be written."""

    @property
    def key_clients(self) -> tuple[Client, ...]:
        return tuple(client for client in self.clients if client.has_key)

    @property
    def token_clients(self) -> tuple[Client, ...]:
        return tuple(client for client in self.clients if not client.has_key)


@dataclass(frozen=True, slots=True)
class ModelDeployment:
    identity: Identity
    spec: Spec


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a spec is refused: path, value, rule and remedy in one sentence that starts with the path."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"
