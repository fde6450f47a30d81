"""Keeps a network policy in force at every moment, also while somebody deletes it: a twin stands before it goes."""

import secrets
from collections.abc import Callable
from typing import Any

from bartizan.controller.api import ApiError
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
    Where the name is not to be had, the twin stays, and NameTakenError or FormerLifeError says why.
    """
    name, policy = world.identity.name, world.policy
    answered: list[Outcome] = []
    if policy is not None and _is_out_of_reach(world, policy):
        await _stand_in(applier, world, build)
        _refuse_to_strand_former_pods(world, policy)
    elif policy is not None and _is_going(policy):
        await applier.ensure(build(name), policy, world.identity)  # what is on its way out can still be edited
        answered.append(await _stand_in(applier, world, build))
        await applier.release_wholly(NETWORK_POLICY, policy)
        applier.forget("NetworkPolicy", world.identity.namespace, name)
        policy = None
    outcome = await applier.ensure(build(name), policy, world.identity)
    await _let_twins_go(applier, world, answered)
    return [outcome, *answered]


async def mend(applier: Applier, world: World, build: Build) -> list[Outcome]:
    """As `keep` in a namespace that is ending: nothing can be made there, and our rights go before the pods do."""
    found = [policy for policy in (world.policy, *world.twins) if policy and is_ours(policy, world.identity)]
    try:
        return [await applier.ensure(build(policy["metadata"]["name"]), policy, world.identity) for policy in found]
    except ApiError as error:
        if not (error.is_forbidden or error.is_terminating):
            raise
    return []


def was_deleted(world: World) -> bool:
    return world.policy is not None and is_ours(world.policy, world.identity) and _is_going(world.policy)


async def _stand_in(applier: Applier, world: World, build: Build) -> Outcome:
    """A twin in force, under whatever name is to be had; those that somebody deleted go afterwards."""
    ours = [twin for twin in world.twins if is_ours(twin, world.identity)]
    standing = next((twin for twin in ours if not _is_going(twin)), None)
    name = standing["metadata"]["name"] if standing else _free_name(world)
    applier.forget("NetworkPolicy", world.identity.namespace, name)
    outcome = await applier.ensure(_twin(build, name, world), standing, world.identity)
    for twin in ours:
        if _is_going(twin):
            await applier.release_wholly(NETWORK_POLICY, twin)
    return outcome


def _free_name(world: World) -> str:
    """The twin's own; where somebody else sits on it, one that nobody can sit on beforehand."""
    name = names.policy_twin(world.identity.name)
    return f"{name}.{secrets.token_hex(4)}" if world.twins else name


def _twin(build: Build, name: str, world: World) -> Live:
    """One with a name by chance has no finalizer: after its namespace's rights have gone, nobody could find it."""
    manifest = build(name)
    if name == names.policy_twin(world.identity.name):
        return manifest
    metadata = {field: value for field, value in manifest["metadata"].items() if field != "finalizers"}
    return {**manifest, "metadata": metadata}


async def _let_twins_go(applier: Applier, world: World, answered: list[Outcome]) -> None:
    for twin in [*world.twins, *(outcome.live for outcome in answered)]:
        if is_ours(twin, world.identity):
            await applier.remove(NETWORK_POLICY, twin)
            await applier.release_wholly(NETWORK_POLICY, twin)


def _is_going(policy: Live) -> bool:
    return "deletionTimestamp" in policy["metadata"]


def _is_out_of_reach(world: World, policy: Live) -> bool:
    """A stranger has the name, or the policy is said to be a former life's whose pods have not ended."""
    return not is_ours(policy, world.identity) or bool(_former_pods(world) and _is_former(world, policy))


def _refuse_to_strand_former_pods(world: World, policy: Live) -> None:
    """The policy of a former life selects that life's pods; it is taken over only when they have gone."""
    former = _former_pods(world)
    if former and _is_former(world, policy):
        raise FormerLifeError(f"{len(former)} pods of a former endpoint of this name have not ended yet")


def _former_pods(world: World) -> list[Live]:
    known = (world.identity.uid, None)
    return [pod for pod in world.owned_pods if pod["metadata"]["labels"].get(names.ENDPOINT_UID_LABEL) not in known]


def _is_former(world: World, policy: Live) -> bool:
    return bool((policy["metadata"].get("labels") or {}).get(names.ENDPOINT_UID_LABEL) != world.identity.uid)
