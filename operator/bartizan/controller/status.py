"""The status of a ModelDeployment: built from facts, written only where it says something new."""

from datetime import UTC, datetime
from typing import Any

from bartizan.controller import conditions
from bartizan.controller.api import Api, ApiError
from bartizan.controller.findings import Findings
from bartizan.controller.kinds import MODEL_DEPLOYMENT
from bartizan.controller.observe import World
from bartizan.controller.prerequisites import RIGHTS_REMEDY
from bartizan.controller.verdict import Verdict
from bartizan.controller.work_queue import Key
from bartizan.policy import epochs, names
from bartizan.policy.protocols import Protocol
from bartizan.policy.reasons import Reason

Live = dict[str, Any]

LEDGER_FIELDS = frozenset({"clients", "epochFloor"})


def build(world: World, findings: Findings, *, now: datetime) -> Live:
    """The whole status, `lastTransitionTime` kept where a condition's status has not changed."""
    previous = _conditions_of(world)
    generation = world.identity.generation
    served = findings.deployment.spec.serving if findings.deployment else None
    protocol, has_tls = (served.protocol, served.has_tls) if served else (Protocol.OPENAI, False)
    verdicts = {name: judge(world, findings) for name, judge in conditions.JUDGES.items()}
    return {
        **record(findings),
        "observedGeneration": generation,
        "replicas": (world.deployment or {}).get("status", {}).get("replicas", 0),
        "selector": f"{names.ENDPOINT_LABEL}={world.identity.name},{names.ENDPOINT_UID_LABEL}={world.identity.uid}",
        "address": names.base_url(world.identity.name, world.identity.namespace, protocol, has_tls=has_tls),
        "pods": _pods(world, findings),
        "conditions": [
            _condition(name, verdict, previous.get(name), generation=generation, now=now)
            for name, verdict in verdicts.items()
        ],
    }


def record(findings: Findings) -> Live:
    """What must stand in the status before keys and documents are issued from it."""
    issued: Live = epochs.write(findings.ledger) if findings.ledger is not None else {}
    if findings.document is not None:
        issued |= {"documentHash": findings.document_hash, "documentVersion": findings.document.version}
    return issued


async def write(api: Api, world: World, status: Live) -> bool:
    """Merges `status` into the live one; True where that changed anything.

    A ledger of keys is written only over the object that it was counted on from: an older one must not come back.
    """
    assert world.manifest is not None  # noqa: S101 # a status belongs to an object
    live = world.manifest.get("status", {})
    changed = {name: value for name, value in status.items() if live.get(name) != value}
    if not changed:
        return False
    identity, metadata = world.identity, world.manifest["metadata"]
    known = {"uid": identity.uid}
    if LEDGER_FIELDS & changed.keys():
        known["resourceVersion"] = metadata["resourceVersion"]
    body = {"metadata": known, "status": changed}
    answer = await api.patch_merge(MODEL_DEPLOYMENT, identity.namespace, identity.name, body, subresource="status")
    world.manifest["status"] = {**live, **changed}
    metadata["resourceVersion"] = answer["metadata"]["resourceVersion"]
    return True


async def refuse_namespace(api: Api, manifest: Live, *, now: datetime) -> None:
    """Status of a ModelDeployment in a namespace that the operator was not given; `manifest` may hold metadata only."""
    key = Key(manifest["metadata"]["namespace"], manifest["metadata"]["name"])
    await _tell_instead(api, key, Verdict(False, Reason.NAMESPACE_NOT_MANAGED), now=now)


async def lack_rights(api: Api, key: Key, error: ApiError, *, now: datetime) -> None:
    """Status of a ModelDeployment whose objects the operator was to manage and may not even read."""
    message = f"{error.message}; {RIGHTS_REMEDY}"
    await _tell_instead(api, key, Verdict(None, Reason.NAMESPACE_WITHOUT_RIGHTS, message), now=now)


async def _tell_instead(api: Api, key: Key, verdict: Verdict, *, now: datetime) -> None:
    """The verdict takes the place of all that was claimed before."""
    live = await api.get(MODEL_DEPLOYMENT, key.namespace, key.name)
    if live is None:
        return
    previous = {item["type"]: item for item in live.get("status", {}).get("conditions", ())}
    generation = live["metadata"].get("generation", 0)
    built = [
        _condition(item, verdict, previous.get(item), generation=generation, now=now) for item in ("Accepted", "Ready")
    ]
    if built != live.get("status", {}).get("conditions"):
        body = {"status": {"observedGeneration": generation, "conditions": built}}
        await api.patch_merge(MODEL_DEPLOYMENT, key.namespace, key.name, body, subresource="status")


def transitions(before: World, status: Live) -> list[Live]:
    """Conditions whose status or reason is another than before."""
    previous = _conditions_of(before)
    return [
        condition
        for condition in status["conditions"]
        if (old := previous.get(condition["type"])) is None
        or (old["status"], old["reason"]) != (condition["status"], condition["reason"])
    ]


def _conditions_of(world: World) -> dict[str, Live]:
    status = (world.manifest or {}).get("status", {})
    return {condition["type"]: condition for condition in status.get("conditions", ())}


def _condition(name: str, verdict: Verdict, previous: Live | None, *, generation: int, now: datetime) -> Live:
    is_same = previous is not None and previous.get("status") == verdict.status_text
    since = (
        previous["lastTransitionTime"] if is_same and previous else now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    )
    return {
        "type": name,
        "status": verdict.status_text,
        "reason": str(verdict.reason),
        "message": verdict.text,
        "lastTransitionTime": since,
        "observedGeneration": generation,
    }


def _pods(world: World, findings: Findings) -> Live:
    total = len(world.owned_pods)
    gated = total - len(conditions.ungated(world, findings))
    return {"total": total, "gated": gated, "summary": f"{gated}/{total}"}
