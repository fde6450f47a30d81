"""Which pod template and which document are in force: kept as they were, unless their cause has changed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from bartizan.controller import revision
from bartizan.controller.builders import deployment as deployment_builder
from bartizan.controller.builders import pod_template
from bartizan.controller.builders.surroundings import Surroundings
from bartizan.controller.observe import World
from bartizan.controller.revision import Accepted
from bartizan.policy import document, grace, keys
from bartizan.policy.document import GuardDocument
from bartizan.policy.keys import Hidden
from bartizan.policy.model import Manifest, ModelDeployment
from bartizan.policy.sections import limits


@dataclass(frozen=True, slots=True)
class Renderer:
    """Makes revisions of `spec`; `document_key` is the public key that the guards will believe."""

    spec: Manifest
    surroundings: Surroundings
    document_key: str

    def keeps_pods(self, before: Accepted | None, *, may_roll: Callable[[], bool]) -> bool:
        """Whether the pods go on as they are: nothing that they are made from has changed, no roll-out is due."""
        if before is None or before.pod_inputs != revision.pod_inputs(self.spec):
            return False
        if before.document_key != self.document_key:
            return False
        if self._outgrows(before):
            return False
        return before.guard_image == self.surroundings.guard_image or not may_roll()

    def _outgrows(self, before: Accepted) -> bool:
        """Whether the owner now allows longer streams than the pods could let end.

        Pods that could not do so before either are left: only what the owner changes restarts a model.
        """
        longest = _max_stream_seconds(self.spec)
        if longest <= _max_stream_seconds(before.spec):
            return False
        period: int = before.pod_template["spec"].get("terminationGracePeriodSeconds", 0)
        return grace.needed(longest) > period

    def carry_over(self, before: Accepted) -> Accepted:
        """`before` itself where the spec is the accepted one, else a revision of the new spec with the same pods."""
        return before if before.spec == self.spec else replace(before, revision=before.revision + 1, spec=self.spec)

    def render(self, deployment: ModelDeployment, before: Accepted | None, *, version: int) -> Accepted:
        """A revision with newly rendered pods, which take no document older than `version`."""
        return Accepted(
            revision=before.revision + 1 if before else 1,
            spec=self.spec,
            pod_template=pod_template.build(
                deployment, self.surroundings, document_key=self.document_key, not_before=version
            ),
            pod_inputs=revision.pod_inputs(self.spec),
            guard_image=self.surroundings.guard_image,
            document_key=self.document_key,
        )


def _max_stream_seconds(spec: Manifest) -> int:
    return limits.max_stream_seconds(spec.get("limits") or {})


def choose_document(
    built: GuardDocument, status: Mapping[str, Any], root: Hidden, *, now: datetime
) -> tuple[GuardDocument, str]:
    """The document and its signed text: that of the status where its content is the same, else one of a later version.

    The status alone decides, so a crash after it was written and before the Secret was leads to the same bytes.
    """
    signing_key = keys.signing_key(root)
    before = status.get("documentVersion") or 0
    if before:
        same = replace(built, version=before)
        text = document.encode(same, signing_key)
        if document.hash_of(text) == status.get("documentHash"):
            return same, text
    dated = replace(built, version=max(before + 1, int(now.timestamp() * 1000)))
    return dated, document.encode(dated, signing_key)


def sharing_replicas(world: World, deployment: ModelDeployment, *, is_about_to_roll: bool) -> int:
    """By how many guards the totals are divided: never fewer than may serve at the same time, roll-outs counted.

    It grows before new pods are made (the document is written before the Deployment) and shrinks after old ones end.
    """
    live = world.deployment
    is_rolling = live is not None and (is_about_to_roll or _has_old_pods(live))
    wanted = deployment.spec.replicas + (deployment_builder.surge(deployment) if is_rolling else 0)
    return max(1, wanted, len(world.owned_pods))


def _has_old_pods(live: dict[str, Any]) -> bool:
    """A roll-out is under way; the first one starts from nothing, with no old pod beside the new ones."""
    status = live.get("status", {})
    is_observed = status.get("observedGeneration", 0) >= live["metadata"].get("generation", 0)
    replicas = status.get("replicas", 0)
    return bool(replicas > status.get("updatedReplicas", 0) or (replicas and not is_observed))
