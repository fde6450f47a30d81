"""Issues documents and keys: the status says first what will be issued, so that after a crash the same is issued."""

import asyncio

from bartizan.controller import rendering, status
from bartizan.controller.builders import client_secret, guard_document
from bartizan.controller.findings import Findings
from bartizan.controller.observe import World
from bartizan.controller.rendering import Renderer
from bartizan.controller.revision import Accepted
from bartizan.controller.tools import Tools
from bartizan.policy import document, epochs, keys, names
from bartizan.policy.keys import Hidden
from bartizan.policy.model import ModelDeployment
from bartizan.policy.reasons import Reason


async def issue(tools: Tools, world: World, findings: Findings, *, wish: ModelDeployment, root: Hidden) -> Accepted:
    """Writes the document's and the clients' Secrets; returns the revision whose pods the document speaks to."""
    last = (world.manifest or {}).get("status", {})
    before, accepted = epochs.read(last), findings.accepted
    replicas = rendering.sharing_replicas(world, wish, accepted.pod_template if accepted else None)
    built = guard_document.build(wish, root, findings.ledger.current(), replicas=replicas)
    findings.document, text = rendering.choose_document(built, last, root, now=tools.now())
    findings.document_hash = document.hash_of(text)
    renderer = Renderer(
        surroundings=tools.surroundings,
        document_key=keys.public_key_text(keys.signing_key(root).public_key()),
        version=findings.document.version,
        may_roll=lambda: tools.pacer.may_roll(world.deployment),
    )
    chosen = renderer.choose(wish, findings.spec or {}, accepted)
    await status.write(tools.api, world, status.record(findings))
    await tools.applier.ensure_secret(guard_document.build_secret(world.identity, text))
    await _write_client_secrets(tools, world, findings, root)
    await _tell_of_keys(tools, world, before, findings.ledger)
    return chosen


async def _write_client_secrets(tools: Tools, world: World, findings: Findings, root: Hidden) -> None:
    identity = world.identity
    secrets = [
        client_secret.build(identity, name, keys.client_credential(root, identity, name, epoch=epoch))
        for name, epoch in findings.ledger.current().items()
    ]
    await asyncio.gather(*(tools.applier.ensure_secret(secret) for secret in secrets))
    withdrawn = [entry.name for entry in findings.ledger.entries if entry.retired]
    await tools.applier.remove_secrets(
        identity.namespace, [names.client_secret(identity.name, name) for name in withdrawn]
    )


async def _tell_of_keys(tools: Tools, world: World, before: epochs.Ledger, after: epochs.Ledger) -> None:
    old, new = before.current(), after.current()
    for name in sorted(new.keys() - old.keys()):
        await tools.recorder.record(world.identity, Reason.KEY_ISSUED, f"client {name}: key issued, epoch {new[name]}")
    for name in sorted(old.keys() - new.keys()):
        await tools.recorder.record(world.identity, Reason.KEY_RETIRED, f"client {name}: withdrawn, its key is dead")
    for name in sorted(name for name in old.keys() & new.keys() if old[name] != new[name]):
        message = f"client {name}: epoch {old[name]} retired, key of epoch {new[name]} issued"
        await tools.recorder.record(world.identity, Reason.KEY_RETIRED, message)
