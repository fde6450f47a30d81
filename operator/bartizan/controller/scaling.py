"""More pods wait until the guards that serve know that they will share the limits with them: growth and roll-outs."""

from dataclasses import replace
from datetime import timedelta

from bartizan.controller import guards
from bartizan.controller.findings import Findings
from bartizan.controller.guards import GuardState, Live
from bartizan.controller.observe import World
from bartizan.controller.revision import Accepted
from bartizan.controller.tools import Tools
from bartizan.policy.model import ModelDeployment

GRACE_SECONDS = 30.0
"""A guard that has not taken the document up by then keeps no endpoint from growing; `InSync` names it. Nor do an
endpoint's documents, one after the other: whoever may make pods changes the number of those that share."""


async def paced(
    tools: Tools, world: World, findings: Findings, *, wish: ModelDeployment, chosen: Accepted
) -> tuple[ModelDeployment, Accepted]:
    """What is to run; while a guard may still count on a greater share, with the pods and as many as run now."""
    live, accepted = world.deployment, findings.accepted
    if live is None or accepted is None:
        return wish, chosen
    running, is_roll_out = live["spec"].get("replicas", 1), chosen.pod_template != accepted.pod_template
    brings_pods = wish.spec.replicas > running or is_roll_out
    if not brings_pods or not await _is_somebody_behind(tools, world, findings):
        tools.held_back.pop(world.key, None)
        return wish, chosen
    now = tools.now()
    if abs(now - tools.held_back.setdefault(world.key, now)) >= timedelta(seconds=GRACE_SECONDS):
        return wish, chosen
    findings.waits_to_grow = True
    held_back = replace(wish, spec=replace(wish.spec, replicas=min(running, wish.spec.replicas)))
    return held_back, accepted if is_roll_out else chosen


async def _is_somebody_behind(tools: Tools, world: World, findings: Findings) -> bool:
    """Of a guard that does not answer nobody knows, so it counts as behind; one that ends as well may have gone."""
    document = findings.document
    if document is None or document.age_seconds(tools.now().timestamp()) >= GRACE_SECONDS:
        return False
    pods = world.owned_pods
    states = guards.judge(pods, await tools.guards.ask(pods), findings.document_hash)
    ending = {pod["metadata"]["name"] for pod in pods if _is_ending(pod)}
    return any(
        state is GuardState.OUTDATED or (state is GuardState.UNREACHABLE and name not in ending)
        for name, state in states.items()
    )


def _is_ending(pod: Live) -> bool:
    return "deletionTimestamp" in pod["metadata"]
