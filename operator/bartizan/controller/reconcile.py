"""The page: what happens to one ModelDeployment, from top to bottom, in the order that keeps its gate shut.

Level-triggered: it looks at the world as it is, and does not know what changed. Create, update, resume, drift and
resync are all this. Policy before keys, keys before workload; on deletion the other way round.
"""

from typing import Any

from bartizan.controller import (
    acceptance,
    guards,
    issuing,
    owned,
    policy_keeper,
    report,
    revision,
    scaling,
    status,
    teardown,
    trial,
)
from bartizan.controller.api import ApiError
from bartizan.controller.builders import network_policy
from bartizan.controller.findings import Findings
from bartizan.controller.identities import LOOK_AGAIN_SECONDS
from bartizan.controller.log import logger
from bartizan.controller.next_look import LONGEST_SECONDS, LONGEST_WITHOUT_PODS_SECONDS, NextLook
from bartizan.controller.observe import World, observe
from bartizan.controller.revision import Accepted
from bartizan.controller.root_key import RootError
from bartizan.controller.tools import Tools
from bartizan.controller.work_queue import Key
from bartizan.controller.workers import Result
from bartizan.policy import epochs, keys, parse
from bartizan.policy.keys import Hidden
from bartizan.policy.model import ModelDeployment, Problem

LOGGER = logger(__name__)


class Reconciler:
    def __init__(self, tools: Tools) -> None:
        self.tools = tools
        self._sealed: dict[Key, tuple[str, Accepted]] = {}
        """With the UID of the life that it belongs to."""
        self._next_look = NextLook(lambda: tools.now().timestamp())

    async def reconcile(self, key: Key) -> Result:
        """Brings the endpoint one step nearer to its spec; raises ApiError for what time may heal."""
        tools = self.tools
        try:
            world = await observe(tools.api, key, with_secrets=tools.sees_secrets)
        except ApiError as error:
            if error.is_forbidden:
                await status.lack_rights(tools.api, key, error, now=tools.now())
            raise
        if world.manifest is None:
            self._forget(key)
            is_over = await teardown.release_policies(tools.applier, world)
            longest_seconds = LONGEST_SECONDS if world.owned_pods else LONGEST_WITHOUT_PODS_SECONDS
            return self._at_the_end(key, is_over=is_over, longest_seconds=longest_seconds)
        if world.is_deleting:
            return await self._take_down(key, world)
        findings = Findings()
        await self._bring_about(world, findings)
        await self._deliver(world, findings)
        await report.tell(tools, world, findings)
        return self._next_look.after(key, findings, otherwise_seconds=self._own_wait(world, findings))

    async def _bring_about(self, world: World, findings: Findings) -> None:
        """What it cannot have it notes and goes on: no refused object keeps those that stand from being repaired."""
        try:
            await owned.hold(self.tools.api, world)
        except ApiError as error:
            findings.fail(error)
            if error.is_not_found or error.is_conflict:
                return  # it has gone or changed since it was read: nothing is made for what may be no more
        with findings.tolerating():
            await self._make_it_so(world, findings)

    async def _make_it_so(self, world: World, findings: Findings) -> None:
        tools, root = self.tools, await self._root(findings)
        self._recall(world, findings, root)
        findings.problems = await self._try(world, findings) if root is not None else ()
        findings.was_tried_in_vain = bool(findings.problems)
        self._judge(world, findings, root)
        with findings.tolerating():  # where the name is not to be had, or not yet, a twin stands by then
            findings.outcomes += await self._close(world, findings, root)
        wish = findings.deployment
        if wish is None:
            return
        chosen = await self._issue(world, findings, root)
        await owned.frame(tools.applier, world, wish, findings)
        if root is None or chosen is None:
            await self._keep(world, findings)
            return
        wish, chosen = await scaling.paced(tools, world, findings, wish=wish, chosen=_settled(findings, chosen))
        await owned.keep_revision(tools.applier, world, findings, chosen=chosen, root=root)
        chosen = _settled(findings, chosen)
        self._sealed[world.key] = (world.identity.uid, chosen)
        findings.pod_template = chosen.pod_template
        await owned.run(tools.applier, world, wish, findings)

    async def _root(self, findings: Findings) -> Hidden | None:
        """None while it is lost, or is no root any more; while it cannot be read, the one that was read last."""
        try:
            root = await self.tools.root.current()
        except RootError as error:
            LOGGER.error("root key unusable", error=error)  # noqa: TRY400 - says all there is
            root = None
        except ApiError as error:
            findings.fail(error)
            return self.tools.root.last
        findings.is_root_lost = root is None
        return root

    async def _issue(self, world: World, findings: Findings, root: Hidden | None) -> Accepted | None:
        """None where nothing can be issued: without the root, or without a status to say so first."""
        chosen = None
        if root is not None and findings.deployment is not None:
            with findings.tolerating():
                chosen = await issuing.issue(self.tools, world, findings, wish=findings.deployment, root=root)
        if chosen is None:
            findings.document = None
        return chosen

    async def _keep(self, world: World, findings: Findings) -> None:
        """The workload that stands, as it was accepted last: a newer spec waits until its document can be issued."""
        accepted = findings.accepted
        if accepted is None or world.deployment is None:
            return
        manifest = {**(world.manifest or {}), "spec": accepted.spec}
        in_force = acceptance.judge(manifest, world.identity, None, parse=parse.parse)
        if in_force.deployment is not None:
            await owned.run(self.tools.applier, world, in_force.deployment, findings)

    def _recall(self, world: World, findings: Findings, root: Hidden | None) -> None:
        """What was accepted last, and the templates that pods may have come from."""
        findings.sealed = revision.sealed(world.revisions, world.identity, root) if root else ()
        findings.accepted = self._newest(world, findings.sealed)
        findings.pod_template = findings.accepted.pod_template if findings.accepted else owned.live_template(world)

    async def _try(self, world: World, findings: Findings) -> tuple[Problem, ...]:
        """What the API server has against a spec that the parser takes, before it takes the accepted one's place."""
        manifest, accepted = world.manifest or {}, findings.accepted
        wish = parse.parse(manifest, world.identity)
        if isinstance(wish, ModelDeployment) and (accepted is None or accepted.spec != manifest["spec"]):
            return await trial.refusals(self.tools.api, wish, self.tools.surroundings)
        return ()

    def _judge(self, world: World, findings: Findings, root: Hidden | None) -> None:
        """Which spec is in force, and which key epochs follow from it."""
        manifest, accepted, problems = world.manifest or {}, findings.accepted, findings.problems
        if problems:
            in_force = acceptance.refuse(manifest, world.identity, accepted, problems=problems, parse=parse.parse)
        else:
            in_force = acceptance.judge(manifest, world.identity, accepted, parse=parse.parse)
        findings.deployment, findings.spec, findings.problems = in_force.deployment, in_force.spec, in_force.problems
        if root is not None and in_force.deployment is not None:
            ledger = epochs.read(manifest.get("status", {}))
            if ledger is None:
                ledger = epochs.begin(self.tools.now(), is_first=accepted is None)
            findings.ledger = epochs.advance(ledger, in_force.deployment.spec.key_clients)
        findings.policy_was_deleted = policy_keeper.was_deleted(world)

    def _newest(self, world: World, found: tuple[Accepted, ...]) -> Accepted | None:
        """As far as this process remembers: who deletes a revision brings back neither an older one nor none."""
        uid, remembered = self._sealed.get(world.key, ("", None))
        known = [*found, remembered] if remembered and uid == world.identity.uid else found
        return max(known, key=lambda item: item.revision, default=None)

    async def _close(self, world: World, findings: Findings, root: Hidden | None) -> list[Any]:
        """The network policy, before anything that it must hold back."""
        wish = findings.deployment
        is_unreadable = wish is None and (root is None or findings.accepted is not None)
        if is_unreadable and world.policy is not None and not findings.policy_was_deleted:
            return []  # what runs here was accepted once and cannot be read now; its policy stays as it is

        def build(name: str) -> dict[str, Any]:
            if wish is None:
                return network_policy.build_closed(world.identity, name=name)
            return network_policy.build(wish, self.tools.surroundings, name=name)

        keep = policy_keeper.mend if world.is_namespace_ending else policy_keeper.keep
        return await keep(self.tools.applier, world, build)

    async def _deliver(self, world: World, findings: Findings) -> None:
        """Sees to it that every guard that still serves has the document, those that are ending included."""
        if findings.document is None:
            self.tools.soundings.forget(world.key)  # its pods may go meanwhile, and their addresses be others'
            return
        pods = world.owned_pods
        self.tools.usages.meet(world)
        findings.guard_reports = await self.tools.guards.ask(pods)
        self.tools.soundings.note(world.key, guards.addresses(pods), findings.guard_reports)
        findings.guard_states = guards.judge(pods, findings.guard_reports, findings.document_hash)
        with findings.tolerating():
            await self.tools.guards.deliver(pods, findings.document.version, findings.guard_states)
        if root := self.tools.root.last:
            signing_key = keys.signing_key(root)
            reports = findings.guard_reports
            is_told = await self.tools.usages.tell(world, reports, findings.document, signing_key)
            findings.usage_is_untold = not is_told

    async def _take_down(self, key: Key, world: World) -> Result:
        self.tools.soundings.forget(key)
        findings = Findings(pod_template=owned.live_template(world))
        if teardown.has_workload(world):
            root = await self._root(findings)
            self._recall(world, findings, root)
            self._judge(world, findings, root)
            with findings.tolerating():
                findings.outcomes += await self._close(world, findings, root)
        is_over = False
        with findings.tolerating():
            is_over = await teardown.proceed(self.tools.applier, self.tools.secrets, world)
        if is_over:
            self._forget(key)
        else:
            await report.tell(self.tools, world, findings)
        return self._at_the_end(key, is_over=is_over, failure=findings.error)

    def _at_the_end(
        self,
        key: Key,
        *,
        is_over: bool,
        failure: ApiError | None = None,
        longest_seconds: float = LONGEST_SECONDS,
    ) -> Result:
        if is_over:
            self._next_look.forget(key)
            return Result()
        return Result(self._next_look.at_the_end(key, longest_seconds=longest_seconds), failure)

    def _forget(self, key: Key) -> None:
        """An endpoint that has gone, by whatever way, leaves nothing in this process's memory."""
        report.forget(key)
        self.tools.usages.forget(key)
        self.tools.held_back.pop(key, None)
        self._sealed.pop(key, None)
        self.tools.soundings.forget(key)
        self.tools.applier.forget_endpoint(key.namespace, key.name)
        self.tools.secrets.forget_endpoint(key.namespace, key.name)

    def _own_wait(self, world: World, findings: Findings) -> float | None:
        """None but for one that leaves something for later, has clients nobody tells of, or waits to roll out."""
        pauses = [outcome.wait_seconds for outcome in findings.outcomes if outcome.wait_seconds]
        if findings.has_leftovers:
            pauses.append(issuing.LEFTOVERS_SECONDS)
        if findings.deployment is not None and findings.deployment.spec.token_clients:
            pauses.append(LOOK_AGAIN_SECONDS)
        if pauses:
            return min(pauses)
        live = owned.live_template(world)
        images = {item["image"] for item in (live or {}).get("spec", {}).get("initContainers", ())[:1]}
        if not images or self.tools.surroundings.guard_image in images or findings.deployment is None:
            return None
        return self.tools.pacer.look_again_seconds


def _settled(findings: Findings, chosen: Accepted) -> Accepted:
    """Pods are not rolled over to a template while something that it needs is refused; they go on with the last."""
    return findings.accepted or chosen if findings.errors else chosen
