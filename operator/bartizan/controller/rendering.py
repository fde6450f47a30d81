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
from bartizan.policy import document, keys
from bartizan.policy.document import GuardDocument
from bartizan.policy.keys import Hidden
from bartizan.policy.model import Manifest, ModelDeployment


@dataclass(frozen=True, slots=True)
class Renderer:
    """What a pod template is rendered with; `may_roll` says whether a new guard image may restart pods now."""

    surroundings: Surroundings
    document_key: str
    version: int
    may_roll: Callable[[], bool]

    def choose(self, deployment: ModelDeployment, spec: Manifest, before: Accepted | None) -> Accepted:
        """`before` itself where the spec is the accepted one; its template where the new spec leaves the pods alone."""
        inputs = revision.pod_inputs(spec)
        if before is not None and self._keeps(before, inputs):
            return before if before.spec == spec else replace(before, revision=before.revision + 1, spec=spec)
        return Accepted(
            revision=before.revision + 1 if before else 1,
            spec=spec,
            pod_template=self._render(deployment),
            pod_inputs=inputs,
            guard_image=self.surroundings.guard_image,
            document_key=self.document_key,
        )

    def _keeps(self, before: Accepted, inputs: str) -> bool:
        if (before.pod_inputs, before.document_key) != (inputs, self.document_key):
            return False
        return before.guard_image == self.surroundings.guard_image or not self.may_roll()

    def _render(self, deployment: ModelDeployment) -> dict[str, Any]:
        return pod_template.build(
            deployment, self.surroundings, document_key=self.document_key, not_before=self.version
        )


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


def sharing_replicas(world: World, deployment: ModelDeployment, pod_template: Manifest | None) -> int:
    """By how many guards the totals are divided: never fewer than may serve at the same time, roll-outs counted.

    It grows before new pods are made (the document is written before the Deployment) and shrinks after old ones end.
    """
    wanted = deployment.spec.replicas
    live = world.deployment
    is_rolling = live is not None and (
        _is_behind(live) or (pod_template is not None and _args(live["spec"]["template"]) != _args(pod_template))
    )
    rolling = wanted + deployment_builder.surge(deployment) if is_rolling else wanted
    return max(1, rolling, len(world.owned_pods))


def _is_behind(live: dict[str, Any]) -> bool:
    status, wanted = live.get("status", {}), live["spec"].get("replicas", 1)
    observed = status.get("observedGeneration", 0) >= live["metadata"].get("generation", 0)
    # A Deployment's first roll-out starts from nothing: there is no old pod beside the new ones.
    has_old_pods = status.get("replicas", 0) > status.get("updatedReplicas", 0)
    return has_old_pods or (not observed and wanted > 0 and status.get("replicas", 0) > 0)


def _args(template: Manifest) -> list[tuple[object, ...]]:
    """What tells one roll-out's pods from the next one's, without the API server's defaults."""
    spec = template["spec"]
    containers = [*spec.get("initContainers", ()), *spec["containers"]]
    return [(item["name"], item["image"], item.get("command"), item.get("args")) for item in containers]
