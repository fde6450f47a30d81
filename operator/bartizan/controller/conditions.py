"""Conditions of a ModelDeployment, each judged from facts alone: status, reason and a message that says what to do."""

from collections.abc import Callable
from typing import Any

from bartizan.controller import certificates, pod_facts
from bartizan.controller.findings import Findings
from bartizan.controller.guards import GuardState
from bartizan.controller.observe import World
from bartizan.controller.root_key import REMEDY
from bartizan.controller.verdict import Verdict
from bartizan.policy.document import GuardDocument
from bartizan.policy.reasons import EXPLANATIONS, Reason

# ruff: noqa: ARG001 - all judges take the same two arguments, so that JUDGES can hold them
MAX_PROBLEMS = 10


def accepted(world: World, findings: Findings) -> Verdict:
    if findings.name_taken:
        return Verdict(False, Reason.NAME_TAKEN, findings.name_taken)
    if not findings.problems:
        return Verdict(True, Reason.SPEC_ACCEPTED)
    shown = "; ".join(str(problem) for problem in findings.problems[:MAX_PROBLEMS])
    more = f"; and {len(findings.problems) - MAX_PROBLEMS} more" if len(findings.problems) > MAX_PROBLEMS else ""
    stays = "the last accepted spec stays in force" if findings.deployment else "the gate stays closed"
    return Verdict(False, Reason.SPEC_REFUSED, f"{shown}{more} ({stays})")


def hardened(world: World, findings: Findings) -> Verdict:
    if findings.deployment is None:
        return Verdict(None, Reason.SPEC_REFUSED)
    spec = findings.deployment.spec
    weaknesses = spec.template.weaknesses
    shown = [f"container {item.container}: {item.field}: {item.why}" for item in weaknesses]
    if spec.audit_may_fail:
        shown.append("spec.audit.whenUnavailable: requests go on while the audit cannot be written")
    if not shown:
        return Verdict(True, Reason.FULLY_HARDENED)
    return Verdict(False, Reason.TEMPLATE_WEAKENS if weaknesses else Reason.AUDIT_MAY_FAIL, "; ".join(shown))


def network_isolated(world: World, findings: Findings) -> Verdict:
    return Verdict(None, Reason.NOT_PROBED)


def enforcement_verified(world: World, findings: Findings) -> Verdict:
    return Verdict(None, Reason.NOT_PROBED)


def guard_injected(world: World, findings: Findings) -> Verdict:
    pods = world.owned_pods
    if not pods:
        return Verdict(None, Reason.NO_PODS)
    bare = [pod["metadata"]["name"] for pod in ungated(world, findings)]
    if bare:
        return Verdict(False, Reason.PODS_NOT_GATED, f"without the guard: {', '.join(bare[:5])}; delete these pods")
    return Verdict(True, Reason.ALL_PODS_GATED, f"{len(pods)} of {len(pods)} pods run behind their guard")


def ungated(world: World, findings: Findings) -> list[dict[str, Any]]:
    """Measured against the templates that the operator sealed: during a roll-out, pods of two of them serve."""
    templates = [item.pod_template for item in findings.sealed]
    templates += [findings.pod_template] if findings.pod_template else []
    return [pod for pod in world.owned_pods if not pod_facts.is_gated(pod, templates)]


def in_sync(world: World, findings: Findings) -> Verdict:
    if findings.is_root_lost or (world.owned_pods and findings.document is None):
        return _nobody_asked(world, findings)
    if not world.owned_pods:
        return Verdict(None, Reason.NO_PODS)
    by_state = {state: _in_state(findings, state) for state in GuardState}
    behind = by_state[GuardState.OUTDATED]
    if behind:
        return Verdict(False, Reason.GUARDS_OUT_OF_SYNC, f"waiting for the newest document: {', '.join(behind[:5])}")
    unknown = sorted({*_unanswered(world, findings), *by_state[GuardState.UNREACHABLE]})
    if unknown:
        return Verdict(None, Reason.GUARDS_UNREACHABLE, f"cannot be asked: {', '.join(unknown[:5])}")
    if by_state[GuardState.STARTING] and not by_state[GuardState.IN_SYNC]:
        return Verdict(None, Reason.PODS_NOT_READY, "the guards are starting")
    return Verdict(True, Reason.ALL_GUARDS_IN_SYNC)


def _nobody_asked(world: World, findings: Findings) -> Verdict:
    """Which document the guards should have is not known, so neither is whether they have it."""
    if findings.is_root_lost:
        return Verdict(None, Reason.ROOT_LOST)
    if world.is_deleting:
        return Verdict(None, Reason.DELETING)
    if findings.failure:
        return Verdict(None, Reason.APPLY_FAILED, f"no guard was asked: {findings.failure}")
    return Verdict(None, Reason.SPEC_REFUSED, "no guard was asked: there is no spec in force that could be read")


def _unanswered(world: World, findings: Findings) -> list[str]:
    """Pods of which nothing is known, or which serve though they have no guard that could be asked."""
    found = [(pod, findings.guard_states.get(pod["metadata"]["name"])) for pod in world.owned_pods]
    return [
        pod["metadata"]["name"]
        for pod, state in found
        if state is None or pod_facts.is_on_lost_node(pod) or (state is GuardState.STARTING and pod_facts.is_ready(pod))
    ]


def _in_state(findings: Findings, state: GuardState) -> list[str]:
    return sorted(name for name, found in findings.guard_states.items() if found is state)


_INEXACT = (
    *(Reason.STORE_UNAVAILABLE, Reason.LIMITS_FORGOTTEN, Reason.LIMITS_UNKEPT),
    *(Reason.TOKENIZER_ABSENT, Reason.TOKENIZER_REFUSED),
)
"""What guards say of their limits, the gravest first."""


def limits_exact(world: World, findings: Findings) -> Verdict:
    """In the guards' own words, where they are ours."""
    wish, document = findings.deployment, findings.document
    if wish is not None and wish.spec.limits.store and document is not None and document.store is None:
        name = wish.spec.limits.store
        message = f"spec.limits.store: there is no store {name}; add it to the chart's values, or leave it out"
        return Verdict(False, Reason.STORE_UNKNOWN, message)
    if document is not None and (small := _below_one(document)):
        message = f"spec.limits: {', '.join(small[:5])} shared by {document.replicas} guards, each of which gives 1"
        return Verdict(False, Reason.SHARE_BELOW_ONE, f"{message}; raise it, have fewer replicas, or use a store")
    if not world.owned_pods:
        return Verdict(None, Reason.NO_PODS)
    reports = {name: report for name, report in sorted(findings.guard_reports.items()) if report is not None}
    if not reports:
        return Verdict(None, Reason.GUARDS_UNREACHABLE)
    for reason in _INEXACT:
        pods = [name for name, it in reports.items() if reason in (it.limits_reason, it.tokenizer_reason)]
        if pods:
            return Verdict(False, reason, f"{EXPLANATIONS[reason]} Pods: {', '.join(pods[:5])}")
    return Verdict(True, Reason.ALL_LIMITS_EXACT)


def _below_one(document: GuardDocument) -> list[str]:
    """Figures that cannot be divided among so many guards; a store divides nothing but the slots."""
    figures = [("concurrent", document.concurrent), ("concurrentPerClient", document.concurrent_per_client)]
    if document.store is None:
        figures += [("requests[].limit", window.limit) for window in document.requests]
        figures += [("tokens[].limit", window.limit) for window in document.tokens]
    return [f"{name} {figure}" for name, figure in figures if figure < document.replicas]


def plain_http(world: World, findings: Findings) -> Verdict:
    if findings.deployment is None:
        return Verdict(None, Reason.SPEC_REFUSED)
    secret = findings.deployment.spec.serving.tls_secret
    return certificates.plain() if secret is None else certificates.judge(findings.guard_reports, secret)


def clients_resolved(world: World, findings: Findings) -> Verdict:
    if findings.deployment is None:
        return Verdict(None, Reason.SPEC_REFUSED)
    if findings.identities is None:
        return _nobody_asked(world, findings)
    if findings.identities.problems:
        return Verdict(False, Reason.CLIENTS_UNRESOLVED, "; ".join(findings.identities.problems[:MAX_PROBLEMS]))
    return Verdict(True, Reason.ALL_CLIENTS_RESOLVED)


def ready(world: World, findings: Findings) -> Verdict:
    for check in (_blocked, _ungated, _without_pods, _failing):
        verdict = check(world, findings)
        if verdict:
            return verdict
    return Verdict(True, Reason.ENDPOINT_READY)


def _blocked(world: World, findings: Findings) -> Verdict | None:
    if world.is_deleting:
        return Verdict(False, Reason.DELETING, findings.failure)
    if findings.name_taken:
        return Verdict(False, Reason.NAME_TAKEN, findings.name_taken)
    if findings.is_root_lost:
        message = f"nothing new is issued, gates keep what they have; in the operator's namespace, {REMEDY}"
        return Verdict(False, Reason.ROOT_LOST, message)
    if findings.failure:
        return Verdict(False, Reason.APPLY_FAILED, findings.failure)
    return None


def _ungated(world: World, findings: Findings) -> Verdict | None:
    if findings.deployment is None and not world.owned_pods:
        return Verdict(False, Reason.SPEC_REFUSED, "no spec was accepted yet: the gate is closed and no pod runs")
    return Verdict(False, Reason.PODS_NOT_GATED) if ungated(world, findings) else None


def _without_pods(world: World, findings: Findings) -> Verdict | None:
    if findings.deployment is not None and findings.deployment.spec.replicas == 0:
        return Verdict(False, Reason.SCALED_TO_ZERO)
    return None


def _failing(world: World, findings: Findings) -> Verdict | None:
    live = findings.written("Deployment") or world.deployment or {}
    status = live.get("status", {})
    is_current = status.get("observedGeneration", 0) >= live.get("metadata", {}).get("generation", 1)
    wanted = live.get("spec", {}).get("replicas", 1)
    available = status.get("availableReplicas", 0)
    if is_current and available >= wanted and status.get("updatedReplicas", 0) >= wanted:
        return None
    found = pod_facts.failures(world.owned_pods, [*world.replica_sets, live])
    serving = f"{available} of {wanted} pods available"
    if found:
        return Verdict(available > 0 and is_current, Reason.PODS_FAILING, f"{serving}; {'; '.join(found[:5])}")
    waits = "; ".join([serving, *_what_guards_wait_for(findings), *_what_kubelets_wait_for(world, findings)])
    return Verdict(available >= wanted and is_current, Reason.PODS_NOT_READY, waits)


def _what_guards_wait_for(findings: Findings) -> list[str]:
    """In the guards' own words, where they are ours: a text that somebody else may have sent is not repeated."""
    said = {report.reason for report in findings.guard_reports.values() if report is not None}
    known = sorted(Reason(reason) for reason in said if reason in set(Reason) and reason != Reason.GUARD_READY)
    return [f"the guard says {reason}: {EXPLANATIONS[reason]}" for reason in known]


def _what_kubelets_wait_for(world: World, findings: Findings) -> list[str]:
    """A pod does not say that a Secret is missing, and the operator may not look; who may is told where to."""
    secret = findings.deployment.spec.serving.tls_secret if findings.deployment else None
    if secret is None or not any(pod_facts.is_being_created(pod) for pod in world.owned_pods):
        return []
    return [f"no guard starts before there is a Secret {secret!r} (spec.serving.tls) with tls.crt and tls.key"]


JUDGES: dict[str, Callable[[World, Findings], Verdict]] = {
    "Accepted": accepted,
    "Hardened": hardened,
    "NetworkIsolated": network_isolated,
    "GuardInjected": guard_injected,
    "EnforcementVerified": enforcement_verified,
    "InSync": in_sync,
    "LimitsExact": limits_exact,
    "PlainHTTP": plain_http,
    "ClientsResolved": clients_resolved,
    "Ready": ready,
}
"""In the order in which they are shown."""
