"""More pods wait until the guards that serve know that they will share the limits with them."""

from dataclasses import replace

from bartizan.controller import guards
from bartizan.controller.findings import Findings
from bartizan.controller.guards import GuardState
from bartizan.controller.observe import World
from bartizan.controller.tools import Tools
from bartizan.policy.model import ModelDeployment

GRACE_SECONDS = 30.0
"""A guard that has not taken the document up by then keeps no endpoint from growing; `InSync` names it."""


async def paced(tools: Tools, world: World, wish: ModelDeployment, findings: Findings) -> ModelDeployment:
    """The wish, with the replicas that run now while a guard still counts on a greater share."""
    live, document = world.deployment, findings.document
    if live is None or document is None or wish.spec.replicas <= live["spec"].get("replicas", 1):
        return wish
    if tools.now().timestamp() - document.version / 1000 >= GRACE_SECONDS:
        return wish
    pods = world.owned_pods
    states = guards.judge(pods, await tools.guards.ask(pods), findings.document_hash)
    if GuardState.OUTDATED not in states.values():
        return wish
    findings.waits_to_grow = True
    return replace(wish, spec=replace(wish.spec, replicas=live["spec"].get("replicas", 1)))
