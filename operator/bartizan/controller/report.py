"""Tells what a reconcile found and did: status where it changed, Events on transitions and repairs, metrics."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress

from bartizan.controller import metrics, status
from bartizan.controller.apply import Did, Outcome
from bartizan.controller.conditions import ungated
from bartizan.controller.events import About
from bartizan.controller.findings import Findings
from bartizan.controller.guards import GuardState
from bartizan.controller.observe import World
from bartizan.controller.tools import Tools
from bartizan.controller.work_queue import Key
from bartizan.policy.reasons import Reason

PASSING = frozenset(
    {
        Reason.PODS_NOT_READY,
        Reason.GUARDS_OUT_OF_SYNC,
        Reason.SCALED_TO_ZERO,
        Reason.DELETING,
        Reason.TLS_CONFIGURED,
    }
)
"""Reasons for False that belong to the normal course of things and do not deserve a warning."""
MAX_PATHS = 5
POD_STATES = ("gated", "outdated", "ungated", "unknown")


News = tuple[Reason, str, bool, About | None]
"""Reason and message of an Event, whether it is a warning, and what it is about where the message varies."""


async def tell(tools: Tools, world: World, findings: Findings) -> None:
    """Events go before the status: what is told twice after a crash is better than what is never told."""
    _count_pods(world, findings)
    built = status.build(world, findings, now=tools.now())
    news = [*_repairs(findings), *(_transitions(world, built) if not world.is_deleting else ())]
    record = tools.recorder.record
    await asyncio.gather(
        *(record(world.identity, reason, text, warning=bad, about=about) for reason, text, bad, about in news)
    )
    await status.write(tools.api, world, built)


def _repairs(findings: Findings) -> Iterator[News]:
    for reason, message in findings.news:
        yield reason, message, False, None
    if findings.policy_was_deleted:
        message = "somebody deleted the NetworkPolicy; a twin stood in until it was made anew"
        yield Reason.POLICY_DELETION_ANSWERED, message, True, None
    for outcome in findings.outcomes:
        if outcome.did is Did.REPAIRED:
            yield Reason.DRIFT_REPAIRED, _describe(outcome), True, (f"{outcome.kind} {outcome.name}", outcome.manager)


def _describe(outcome: Outcome) -> str:
    if not outcome.manager:
        return f"{outcome.kind} {outcome.name} had been deleted and was made anew"
    shown = ", ".join(outcome.paths[:MAX_PATHS])
    more = f" and {len(outcome.paths) - MAX_PATHS} more" if len(outcome.paths) > MAX_PATHS else ""
    return (
        f"{outcome.kind} {outcome.name} was put back: {shown}{more} had been changed; "
        f"the last writer calls itself {outcome.manager!r}"
    )


def _transitions(world: World, built: dict[str, object]) -> Iterator[News]:
    for condition in status.transitions(world, built):
        is_bad = condition["status"] == "False" and Reason(condition["reason"]) not in PASSING
        if condition["reason"] not in (Reason.NOT_PROBED, Reason.NO_PODS):
            message = f"{condition['type']}={condition['status']}: {condition['message']}"
            yield Reason(condition["reason"]), message, is_bad, None


def _count_pods(world: World, findings: Findings) -> None:
    bare = {pod["metadata"]["name"] for pod in ungated(world, findings)}
    counts = dict.fromkeys(POD_STATES, 0)
    for pod in world.owned_pods:
        name = pod["metadata"]["name"]
        state = findings.guard_states.get(name)
        if name in bare:
            counts["ungated"] += 1
        else:
            counts[_STATES.get(state, "unknown")] += 1
    for label, count in counts.items():
        metrics.PODS.labels(namespace=world.identity.namespace, endpoint=world.identity.name, state=label).set(count)


def forget(key: Key) -> None:
    """An endpoint that has gone has no pods to count, and must not be remembered for ever."""
    for label in POD_STATES:
        with suppress(KeyError):  # it may never have been counted
            metrics.PODS.remove(key.namespace, key.name, label)


_STATES: dict[GuardState | None, str] = {GuardState.IN_SYNC: "gated", GuardState.OUTDATED: "outdated"}
