"""What is in force: a document made ready for use, once, when it is taken up and not at every request."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bartizan.guard import shared_windows
from bartizan.guard.costs import Caps
from bartizan.guard.profiles import anthropic, kserve, openai
from bartizan.guard.profiles.contract import Profile, Terms
from bartizan.guard.shared_windows import Window
from bartizan.guard.slots import Caps as Slots
from bartizan.guard.verifier import Verifier
from bartizan.policy import capabilities, limits, tokens
from bartizan.policy import document as documents
from bartizan.policy.document import ClientKey, DocumentError, GuardDocument
from bartizan.policy.limits import Scope, Scoped
from bartizan.policy.model import ExcessOutput
from bartizan.policy.protocols import Protocol
from bartizan.policy.reasons import Reason

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
    windows: tuple[Window, ...]


@dataclass(frozen=True, slots=True)
class Enforcement:
    """The figures are this replica's share, but for those of the whole."""

    document: GuardDocument
    hash: str
    profile: Profile
    keys: Mapping[bytes, ClientKey]
    verifier: Verifier | None
    """None where no issuer is trusted: then nothing but a key is a credential."""
    standings: frozenset[bytes]
    """Of every caller that may come in now."""
    paces: Scoped[limits.Pace]
    budgets: Scoped[tokens.Budget]
    caps: Caps
    capabilities: frozenset[str]
    slots: Slots
    whole: Whole
    is_shared: bool
    """Whether a store counts for all replicas together."""


def prepare(document: GuardDocument, text: bytes) -> Enforcement:
    """Raises DocumentError where the document asks for what this guard does not know."""
    try:
        return _prepare(document, text)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise DocumentError(Reason.DOCUMENT_MALFORMED, f"the document cannot be used: {error!r}") from error


def _prepare(document: GuardDocument, text: bytes) -> Enforcement:
    keys = {key.id.encode("ascii"): key for key in document.keys}
    verifier = Verifier(document.issuers) if document.issuers else None
    return Enforcement(
        document=document,
        is_shared=document.store is not None,
        hash=documents.hash_of(text.strip().decode("ascii")),
        profile=PROFILES[document.protocol](Terms(document.model, document.allow_fields, document.media)),
        keys=keys,
        verifier=verifier,
        standings=frozenset((*keys, *(verifier.standings() if verifier else ()))),
        paces=_paces(document, document.replicas),
        budgets=_budgets(document, document.replicas),
        whole=Whole(_paces(document, 1), _budgets(document, 1), shared_windows.windows(document)),
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


def _paces(document: GuardDocument, replicas: int) -> Scoped[limits.Pace]:
    by_scope = {
        scope: tuple(
            limits.share(window.limit, window.window_seconds, replicas=replicas)
            for window in document.requests
            if Scope(window.scope) is scope
        )
        for scope in Scope
    }
    return Scoped(by_scope[Scope.CLIENT], by_scope[Scope.ENDPOINT])


def _budgets(document: GuardDocument, replicas: int) -> Scoped[tokens.Budget]:
    by_scope = {
        scope: tuple(
            tokens.share(tokens.Kind(window.type), window.limit, window.window_seconds, replicas=replicas)
            for window in document.tokens
            if Scope(window.scope) is scope
        )
        for scope in Scope
    }
    return Scoped(by_scope[Scope.CLIENT], by_scope[Scope.ENDPOINT])
