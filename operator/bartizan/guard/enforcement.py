"""What is in force: a document made ready for use, once, when it is taken up and not at every request."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from bartizan.guard import shared_windows
from bartizan.guard.costs import Caps
from bartizan.guard.profiles import anthropic, kserve, openai
from bartizan.guard.profiles.contract import Profile, Terms
from bartizan.guard.shared_windows import Window
from bartizan.guard.slots import Caps as Slots
from bartizan.guard.verifier import Verifier
from bartizan.policy import capabilities, limits, tokens
from bartizan.policy import document as documents
from bartizan.policy.document import ClientKey, DocumentError, GuardDocument, RequestWindow, TokenWindow
from bartizan.policy.limits import Scope, Scoped
from bartizan.policy.protocols import Protocol
from bartizan.policy.reasons import Reason
from bartizan.policy.tokens import ExcessOutput

AnyWindow = TypeVar("AnyWindow", RequestWindow, TokenWindow)
Share = TypeVar("Share")
PROFILES: Mapping[str, Callable[[Terms], Profile]] = {
    Protocol.OPENAI: openai.build,
    Protocol.ANTHROPIC: anthropic.build,
    Protocol.KSERVE_V2: kserve.build,
}
"""Makes an endpoint's profile, once for each document."""
DEFAULT_PROFILE = openai.PROFILE
"""Words the refusals of a guard that has no document yet."""


@dataclass(frozen=True, slots=True)
class Whole:
    """All of the limits, as a store counts them for all replicas together."""

    paces: Scoped[limits.Pace]
    budgets: Scoped[tokens.Budget]
    windows: tuple[tuple[Window, bool], ...]
    """The endpoint's, and whether each holds for this tier."""


@dataclass(frozen=True, slots=True)
class Measures:
    """What clients of one tier may ask; the figures are this replica's share, but for those of the whole."""

    tier: str
    """Empty for clients that have none."""
    paces: Scoped[limits.Pace]
    budgets: Scoped[tokens.Budget]
    whole: Whole
    needs_store: bool
    """Nothing is given while the store is away, or where there is none."""


@dataclass(frozen=True, slots=True)
class Enforcement:
    """The figures are this replica's share, but for those of the whole."""

    document: GuardDocument
    hash: str
    profile: Profile
    keys: Mapping[bytes, ClientKey]
    verifier: Verifier | None
    """None where no issuer is trusted: then nothing but a key is a credential."""
    clients: frozenset[str]
    """Everybody who may come in, by name."""
    standings: frozenset[bytes]
    """Of every caller that may come in now."""
    caps: Caps
    capabilities: frozenset[str]
    slots: Slots
    is_shared: bool
    """Whether a store counts for all replicas together."""
    measures: Measures
    """Of clients without a tier."""
    _by_client: Mapping[str, Measures]
    """Of those that have one."""

    def of(self, client: str) -> Measures:
        return self._by_client.get(client, self.measures)


def prepare(document: GuardDocument, text: bytes) -> Enforcement:
    """Raises DocumentError where the document asks for what this guard does not know."""
    try:
        return _prepare(document, text)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise DocumentError(Reason.DOCUMENT_MALFORMED, f"the document cannot be used: {error!r}") from error


def _prepare(document: GuardDocument, text: bytes) -> Enforcement:
    keys = {key.id.encode("ascii"): key for key in document.keys}
    verifier = Verifier(document.issuers) if document.issuers else None
    clients = {key.client for key in document.keys}
    clients |= {client.client for issuer in document.issuers for client in issuer.clients}
    by_tier = {tier: _measures(document, tier) for tier in {"", *document.tiers.values()}}
    return Enforcement(
        document=document,
        is_shared=document.store is not None,
        hash=documents.hash_of(text.strip().decode("ascii")),
        profile=PROFILES[document.protocol](Terms(document.model, document.allow_fields, document.media)),
        keys=keys,
        clients=frozenset(clients),
        verifier=verifier,
        standings=frozenset((*keys, *(verifier.standings() if verifier else ()))),
        measures=by_tier[""],
        _by_client={client: by_tier[tier] for client, tier in document.tiers.items()},
        caps=Caps(
            max_input_tokens=document.max_input_tokens,
            max_output_tokens=document.max_output_tokens,
            clamps_output=ExcessOutput(document.excess_output) is ExcessOutput.CLAMP,
            prompt_overhead_tokens=document.prompt_overhead_tokens,
        ),
        capabilities=frozenset(capabilities.ALL if document.capabilities is None else document.capabilities),
        slots=Slots(
            of_client=limits.part(document.concurrent_per_client, replicas=document.replicas),
            in_all=limits.part(document.concurrent, replicas=document.replicas),
            line=limits.part(document.queue_size, replicas=document.replicas) if document.queue_size else 0,
            line_seconds=document.queue_seconds,
        ),
    )


def _measures(document: GuardDocument, tier: str) -> Measures:
    requests = _held(document.requests, tier)
    used = _held(document.tokens, tier)
    windows = zip(shared_windows.windows(document), (*document.requests, *document.tokens), strict=True)
    whole = Whole(
        _scoped(requests, _pace, 1, tier),
        _scoped(used, _budget, 1, tier),
        tuple((window, given in requests or given in used) for window, given in windows),
    )
    return Measures(
        tier=tier,
        paces=_scoped(requests, _pace, document.replicas, tier),
        budgets=_scoped(used, _budget, document.replicas, tier),
        whole=whole,
        needs_store=tier in document.refused_without_store,
    )


def _held(given: tuple[AnyWindow, ...], tier: str) -> tuple[AnyWindow, ...]:
    """Those that hold for clients of the tier."""
    has_own = shared_windows.has_own(given, tier)
    return tuple(window for window in given if shared_windows.holds_for(window, tier, has_own=has_own))


def _scoped(
    held: tuple[AnyWindow, ...], share: Callable[[AnyWindow, int], Share], replicas: int, tier: str
) -> Scoped[Share]:
    client, shared, all_clients = (
        tuple(share(window, replicas) for window in held if Scope(window.scope) is scope)
        for scope in (Scope.CLIENT, Scope.TIER, Scope.ENDPOINT)
    )
    return Scoped(client, all_clients, shared, tier if shared else "")


def _pace(window: RequestWindow, replicas: int) -> limits.Pace:
    return limits.share(window.limit, window.window_seconds, replicas=replicas)


def _budget(window: TokenWindow, replicas: int) -> tokens.Budget:
    return tokens.share(tokens.Kind(window.type), window.limit, window.window_seconds, replicas=replicas)
