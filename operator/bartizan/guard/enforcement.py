"""What is in force: a document made ready for use, once, when it is taken up and not at every request."""

from collections.abc import Mapping
from dataclasses import dataclass

from bartizan.guard.costs import Caps
from bartizan.guard.profiles import openai
from bartizan.guard.profiles.contract import Profile
from bartizan.guard.verifier import Verifier
from bartizan.policy import document as documents
from bartizan.policy import limits, tokens
from bartizan.policy.document import ClientKey, DocumentError, GuardDocument
from bartizan.policy.limits import Scope, Scoped
from bartizan.policy.model import ExcessOutput
from bartizan.policy.reasons import Reason

PROFILES: Mapping[str, Profile] = {profile.name: profile for profile in (openai.PROFILE,)}
DEFAULT_PROFILE = openai.PROFILE
"""Words the refusals of a guard that has no document yet."""


@dataclass(frozen=True, slots=True)
class Enforcement:
    """The figures are this replica's share."""

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
    slots: int
    slots_per_client: int


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
        hash=documents.hash_of(text.strip().decode("ascii")),
        profile=PROFILES[document.protocol],
        keys=keys,
        verifier=verifier,
        standings=frozenset((*keys, *(verifier.standings() if verifier else ()))),
        paces=Scoped(_paces(document, Scope.CLIENT), _paces(document, Scope.ENDPOINT)),
        budgets=Scoped(_budgets(document, Scope.CLIENT), _budgets(document, Scope.ENDPOINT)),
        caps=Caps(
            max_input_tokens=document.max_input_tokens,
            max_output_tokens=document.max_output_tokens,
            clamps_output=ExcessOutput(document.excess_output) is ExcessOutput.CLAMP,
            prompt_overhead_tokens=document.prompt_overhead_tokens,
        ),
        slots=limits.part(document.concurrent, replicas=document.replicas),
        slots_per_client=limits.part(document.concurrent_per_client, replicas=document.replicas),
    )


def _paces(document: GuardDocument, scope: Scope) -> tuple[limits.Pace, ...]:
    return tuple(
        limits.share(window.limit, window.window_seconds, replicas=document.replicas)
        for window in document.requests
        if Scope(window.scope) is scope
    )


def _budgets(document: GuardDocument, scope: Scope) -> tuple[tokens.Budget, ...]:
    return tuple(
        tokens.share(tokens.Kind(window.type), window.limit, window.window_seconds, replicas=document.replicas)
        for window in document.tokens
        if Scope(window.scope) is scope
    )
