"""Keeps a network policy in force at every moment, also while somebody deletes it: a twin stands before it goes."""

from collections.abc import Callable
from typing import Any

from bartizan.controller.apply import Applier, FormerLifeError, Outcome
from bartizan.controller.kinds import NETWORK_POLICY
from bartizan.controller.observe import World
from bartizan.controller.ownership import is_ours
from bartizan.policy import names

Live = dict[str, Any]
Build = Callable[[str], Live]
"""The manifest of the policy under a given name."""


async def keep(applier: Applier, world: World, build: Build) -> list[Outcome]:
    """After it, one policy that nobody has deleted is in force under the endpoint's name.

    A deleted policy with a finalizer is still enforced. So: twin up, first one let go and made anew, twin let go.
    Where a stranger's policy has the name, the twin stays, and NameTakenError is raised.
    """
    _refuse_to_strand_former_pods(world)
    name = world.identity.name
    answered: list[Outcome] = []
    policy = world.policy
    if policy is not None and not is_ours(policy, world.identity):
        await _stand_in(applier, world, build)
    elif policy is not None and _is_going(policy):
        answered.append(await _stand_in(applier, world, build))
        await applier.release_wholly(NETWORK_POLICY, policy)
        applier.forget("NetworkPolicy", world.identity.namespace, name)
        policy = None
    outcome = await applier.ensure(build(name), policy, world.identity)
    await _let_twin_go(applier, world, answered)
    return [outcome, *answered]


def was_deleted(world: World) -> bool:
    return world.policy is not None and is_ours(world.policy, world.identity) and _is_going(world.policy)


async def _stand_in(applier: Applier, world: World, build: Build) -> Outcome:
    twin = world.twin
    if twin is not None and _is_going(twin):
        # The first policy is still enforced, so the twin can be made anew without a gap.
        await applier.release_wholly(NETWORK_POLICY, twin)
        twin = None
    applier.forget("NetworkPolicy", world.identity.namespace, names.policy_twin(world.identity.name))
    return await applier.ensure(build(names.policy_twin(world.identity.name)), twin, world.identity)


async def _let_twin_go(applier: Applier, world: World, answered: list[Outcome]) -> None:
    twin = answered[0].live if answered else world.twin
    if twin is None:
        return
    if not is_ours(twin, world.identity):
        return
    await applier.remove(NETWORK_POLICY, twin)
    await applier.release_wholly(NETWORK_POLICY, twin)


def _is_going(policy: Live) -> bool:
    return "deletionTimestamp" in policy["metadata"]


def _refuse_to_strand_former_pods(world: World) -> None:
    """The policy of a former life selects that life's pods; it is taken over only when they have gone."""
    uid = world.identity.uid
    former = [
        pod for pod in world.owned_pods if pod["metadata"]["labels"].get(names.ENDPOINT_UID_LABEL) not in (uid, None)
    ]
    policy = world.policy
    if former and policy is not None and policy["metadata"].get("labels", {}).get(names.ENDPOINT_UID_LABEL) != uid:
        raise FormerLifeError(f"{len(former)} pods of a former endpoint of this name have not ended yet")
