"""Takes an endpoint down: workload first, then what it used, the network policy last."""

from collections.abc import Iterator
from typing import Any

from bartizan.controller import ownership
from bartizan.controller.apply import Applier
from bartizan.controller.kinds import (
    CONTROLLER_REVISION,
    DEPLOYMENT,
    MODEL_DEPLOYMENT,
    NETWORK_POLICY,
    POD_DISRUPTION_BUDGET,
    REPLICA_SET,
    SERVICE,
    SERVICE_ACCOUNT,
    Kind,
)
from bartizan.controller.observe import World
from bartizan.controller.secret_writer import SecretWriter
from bartizan.policy import epochs, names

Live = dict[str, Any]


async def proceed(applier: Applier, secrets: SecretWriter, world: World) -> bool:
    """One step of the way down; nothing is let go while a pod of the endpoint is left, whatever the cascade.

    True once nothing is left to do.
    """
    manifest = world.manifest
    if manifest is None or names.FINALIZER not in (manifest["metadata"].get("finalizers") or ()):
        return await release_policies(applier, world)
    if await _end_workload(applier, world):
        return False
    if not world.is_namespace_ending:
        await _remove_secrets(secrets, world)
    for kind, live in _rest(world):
        if ownership.is_ours(live, world.identity):
            await applier.remove(kind, live)
    await _let_policies_go(applier, world)
    await applier.release(MODEL_DEPLOYMENT, manifest)
    return True


def has_workload(world: World) -> bool:
    """Something may still run, or be started, that the policy must hold."""
    identity = world.identity
    found = [world.deployment, *world.replica_sets, *world.owned_pods]
    return any(live is not None and ownership.is_ours(live, identity) for live in found)


async def release_policies(applier: Applier, world: World) -> bool:
    """For policies whose ModelDeployment vanished behind our back: they stay until the last pod has gone (True).

    A workload that somebody kept may start pods again, so they stay for that, too.
    """
    policies = [policy for policy in (world.policy, *world.twins) if policy and _is_managed(policy)]
    if policies and (world.owned_pods or _may_start_pods(world)):
        return False
    await _let_policies_go(applier, world)
    return True


def _may_start_pods(world: World) -> bool:
    """A ReplicaSet is known by its label, a Deployment by its pods' labels: the selector binds them, so they stay."""
    found = [*world.replica_sets, *([world.deployment] if _is_endpoints(world.deployment) else ())]
    return any(live is not None and not _is_going(live) for live in found)


def _is_endpoints(deployment: Live | None) -> bool:
    if deployment is None:
        return False
    labels = deployment["spec"]["template"].get("metadata", {}).get("labels") or {}
    return bool(labels.get(names.ENDPOINT_LABEL) == deployment["metadata"]["name"])


async def _end_workload(applier: Applier, world: World) -> bool:
    """True while something of the workload is left; an orphaned ReplicaSet would start its pods again, so it goes."""
    identity = world.identity
    deployment = world.deployment
    if deployment is not None and ownership.is_ours(deployment, identity):
        await applier.remove(DEPLOYMENT, deployment, propagation="Foreground")
        await applier.release_foreign(deployment, identity)
        return True
    # One on its way out starts no pod; its finalizers may be others' and stay for ever, and the policy waits for pods.
    replica_sets = [item for item in world.replica_sets if ownership.is_ours(item, identity) and not _is_going(item)]
    for replica_set in replica_sets:
        await applier.remove(REPLICA_SET, replica_set, propagation="Foreground")
    return bool(replica_sets or [pod for pod in world.owned_pods if ownership.is_ours(pod, identity)])


async def _remove_secrets(secrets: SecretWriter, world: World) -> None:
    identity = world.identity
    status = (world.manifest or {}).get("status", {})
    ledger = epochs.read(status) or epochs.Ledger()
    clients = [names.client_secret(identity.name, client) for client in ledger.current()]
    await secrets.remove(identity.namespace, [*clients, names.document_secret(identity.name)])


async def _let_policies_go(applier: Applier, world: World) -> None:
    for policy in (world.policy, *world.twins):
        if policy is not None and _is_managed(policy):
            await applier.remove(NETWORK_POLICY, policy)
            await applier.release(NETWORK_POLICY, policy)


def _is_going(live: Live) -> bool:
    return "deletionTimestamp" in live["metadata"]


def _is_managed(policy: Live) -> bool:
    metadata = policy["metadata"]
    labelled = (metadata.get("labels") or {}).get(names.MANAGED_BY_LABEL) == names.MANAGED_BY
    return labelled or names.FINALIZER in (metadata.get("finalizers") or ())


def _rest(world: World) -> Iterator[tuple[Kind, Live]]:
    for kind, live in (
        (SERVICE, world.service),
        (POD_DISRUPTION_BUDGET, world.budget),
        (SERVICE_ACCOUNT, world.service_account),
    ):
        if live is not None:
            yield kind, live
    # The API server compares their data byte by byte, so the garbage collector cannot patch an owner off them:
    # with orphans asked for it would try for ever.
    for live in world.revisions:
        yield CONTROLLER_REVISION, live
