"""Issues documents and keys: the status says first what will be issued, so that after a crash the same is issued."""

from collections.abc import Iterator, Mapping
from typing import Any

from bartizan.controller import rendering, status, together
from bartizan.controller.builders import client_secret, guard_document, trusted_issuers
from bartizan.controller.builders.guard_document import Reach
from bartizan.controller.findings import Findings
from bartizan.controller.observe import World
from bartizan.controller.rendering import Renderer
from bartizan.controller.revision import Accepted
from bartizan.controller.tools import Tools
from bartizan.policy import document, epochs, keys, names
from bartizan.policy.keys import Hidden
from bartizan.policy.model import ModelDeployment
from bartizan.policy.reasons import Reason

OLDER_AT_ONCE = 8
"""Secrets of clients withdrawn long ago that one reconcile deletes blindly: a ledger remembers hundreds of them."""
LEFTOVERS_SECONDS = 300.0
"""How soon the next so many follow: their keys are dead already, and after a start every endpoint may have some."""


async def issue(tools: Tools, world: World, findings: Findings, *, wish: ModelDeployment, root: Hidden) -> Accepted:
    """Writes the document's and the clients' Secrets; returns the revision whose pods the document speaks to."""
    last = (world.manifest or {}).get("status", {})
    before, accepted = epochs.read(last) or epochs.Ledger(), findings.accepted
    ledger = findings.ledger or epochs.Ledger()
    document_key = keys.public_key_text(keys.signing_key(root).public_key())
    renderer = Renderer(findings.spec or {}, tools.surroundings, document_key)
    keeps_pods = renderer.keeps_pods(accepted, may_roll=lambda: tools.pacer.may_roll(world.key, world.deployment))
    replicas = rendering.sharing_replicas(world, wish, is_about_to_roll=not keeps_pods)
    findings.identities = await tools.learner.learn(wish)
    store = tools.surroundings.stores.get(wish.spec.limits.store or "")
    reach = Reach(trusted_issuers.build(wish, findings.identities), store)
    built = guard_document.build(wish, root, ledger.current(), replicas=replicas, reach=reach)
    findings.document, text = rendering.choose_document(built, last, root, now=tools.now())
    findings.document_hash = document.hash_of(text)
    if accepted is not None and keeps_pods:
        chosen = renderer.carry_over(accepted)
    else:
        chosen = renderer.render(wish, accepted, version=findings.document.version)
    await status.write(tools.api, world, status.record(findings))
    credential = tools.store_credential(store.name) if store else None
    await together.finish(
        *(
            _write(tools, world, findings, secret)
            for secret in (
                guard_document.build_secret(world.identity, text, credential),
                *_client_secrets(wish, ledger, root),
            )
        ),
        _remove_withdrawn(tools, world, findings, before=before, ledger=ledger),
    )
    findings.news += _news_of_keys(before.current(), ledger.current())
    return chosen


def _client_secrets(wish: ModelDeployment, ledger: epochs.Ledger, root: Hidden) -> list[dict[str, Any]]:
    identity, served = wish.identity, wish.spec.serving

    def build(name: str, epoch: int) -> dict[str, Any]:
        credential = keys.client_credential(root, identity, name, epoch=epoch)
        return client_secret.build(identity, name, credential, served.protocol, has_tls=served.has_tls)

    return [build(name, epoch) for name, epoch in ledger.current().items()]


async def _remove_withdrawn(
    tools: Tools, world: World, findings: Findings, *, before: epochs.Ledger, ledger: epochs.Ledger
) -> None:
    """Those withdrawn now; and a few of the older ones, the last first, in case an earlier process died over them."""
    retired = [entry.name for entry in reversed(ledger.entries) if entry.retired]
    now = [name for name in retired if name in before.current()]
    older = [name for name in retired if name not in before.current()]
    with findings.tolerating():
        for names_of, most in ((now, len(now)), (older, OLDER_AT_ONCE)):
            secrets = [names.client_secret(world.identity.name, name) for name in names_of]
            are_left = await tools.secrets.remove(world.identity.namespace, secrets, seen=world.secrets, most=most)
            findings.has_leftovers |= are_left


async def _write(tools: Tools, world: World, findings: Findings, secret: dict[str, Any]) -> None:
    with findings.tolerating():
        outcome = await tools.secrets.ensure(secret, world.secrets)
        findings.outcomes += [outcome] if outcome else []


def _news_of_keys(old: Mapping[str, int], new: Mapping[str, int]) -> Iterator[tuple[Reason, str]]:
    for name in sorted(new.keys() - old.keys()):
        yield Reason.KEY_ISSUED, f"client {name}: key issued, epoch {new[name]}"
    for name in sorted(old.keys() - new.keys()):
        yield Reason.KEY_RETIRED, f"client {name}: withdrawn, its key is dead"
    for name in sorted(name for name in old.keys() & new.keys() if old[name] != new[name]):
        yield Reason.KEY_RETIRED, f"client {name}: epoch {old[name]} retired, key of epoch {new[name]} issued"
