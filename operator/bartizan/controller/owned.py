"""The owned objects but policy and Secrets, in the order in which they are written."""

from typing import Any

from bartizan.controller import revision, together
from bartizan.controller.api import Api
from bartizan.controller.apply import Applier, FormerLifeError
from bartizan.controller.builders import deployment, disruption_budget, service, service_account
from bartizan.controller.findings import Findings
from bartizan.controller.kinds import CONTROLLER_REVISION, DEPLOYMENT, MODEL_DEPLOYMENT, POD_DISRUPTION_BUDGET
from bartizan.controller.observe import World
from bartizan.controller.ownership import is_ours
from bartizan.controller.revision import Accepted
from bartizan.policy import names
from bartizan.policy.keys import Hidden
from bartizan.policy.model import Manifest, ModelDeployment

KEPT_REVISIONS = 2


async def hold(api: Api, world: World) -> None:
    """Our finalizer on the ModelDeployment, before anything else is made: nothing may outlive it unguarded."""
    manifest = world.manifest
    if manifest is None or names.FINALIZER in (manifest["metadata"].get("finalizers") or ()):
        return
    metadata = manifest["metadata"]
    finalizers = [*(metadata.get("finalizers") or ()), names.FINALIZER]
    body = {"metadata": {"resourceVersion": metadata["resourceVersion"], "finalizers": finalizers}}
    held = await api.patch_merge(MODEL_DEPLOYMENT, metadata["namespace"], metadata["name"], body)
    metadata["resourceVersion"] = held["metadata"]["resourceVersion"]


async def frame(applier: Applier, world: World, wish: ModelDeployment, findings: Findings) -> None:
    """What the pods stand in: account, Service and budget."""
    wanted = (
        (service_account.build(wish), world.service_account),
        (service.build(wish), world.service),
        (disruption_budget.build(wish), world.budget),
    )

    async def ensure(manifest: dict[str, Any], live: dict[str, Any] | None) -> None:
        with findings.tolerating():
            findings.outcomes.append(await applier.ensure(manifest, live, wish.identity))

    await together.finish(*(ensure(manifest, live) for manifest, live in wanted if manifest is not None))
    if wanted[-1][0] is None and world.budget is not None and is_ours(world.budget, wish.identity):
        with findings.tolerating():
            await applier.remove(POD_DISRUPTION_BUDGET, world.budget)
        applier.forget("PodDisruptionBudget", wish.identity.namespace, wish.identity.name)


async def keep_revision(applier: Applier, world: World, findings: Findings, *, chosen: Accepted, root: Hidden) -> None:
    """The accepted spec, before the workload that it describes; older ones go, but for the last before it."""
    manifest = revision.build(world.identity, chosen, root)
    live = next((item for item in world.revisions if item["metadata"]["name"] == manifest["metadata"]["name"]), None)
    with findings.tolerating():
        if live is not None and is_ours(live, world.identity) and _is_beyond_repair(manifest, live):
            await applier.remove(CONTROLLER_REVISION, live)
            live = None  # it is gone: nothing here has finalizers, or else the next look finds it so
        findings.outcomes.append(await applier.ensure(manifest, live, world.identity))
    for item in world.revisions:
        is_kept = chosen.revision - KEPT_REVISIONS < item["revision"] <= chosen.revision
        if not is_kept and item["metadata"]["name"] != manifest["metadata"]["name"] and is_ours(item, world.identity):
            with findings.tolerating():
                await applier.remove(CONTROLLER_REVISION, item)


def _is_beyond_repair(manifest: Manifest, live: Manifest) -> bool:
    """A revision's data cannot be changed, nor can its number go down: one that somebody has written must go first."""
    return (live.get("data"), live["revision"]) != (manifest["data"], manifest["revision"])


async def run(applier: Applier, world: World, wish: ModelDeployment, findings: Findings) -> None:
    """The workload, last; it is repaired, but not begun, while something that it needs is not there."""
    live = world.deployment
    if findings.pod_template is None or (live is None and findings.is_obstructed):
        return
    manifest = deployment.build(wish, findings.pod_template)
    if live is not None and is_ours(live, wish.identity) and live["spec"]["selector"] != manifest["spec"]["selector"]:
        # The selector cannot be changed; only somebody who deleted and re-made the Deployment could have set another.
        await applier.remove(DEPLOYMENT, live, propagation="Foreground")
        raise FormerLifeError(f"Deployment {wish.identity.name} selects other pods and is being replaced")
    with findings.tolerating():
        findings.outcomes.append(await applier.ensure(manifest, live, wish.identity))


def live_template(world: World) -> dict[str, Any] | None:
    """The pod template that runs now, for telling gated pods when nothing better is known."""
    template: dict[str, Any] | None = (world.deployment or {}).get("spec", {}).get("template")
    return template
