"""GuardDocument: what the guards enforce, and the Secret that brings it to them."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bartizan.controller.builders.surroundings import metadata
from bartizan.controller.stores import Credential, Store
from bartizan.policy import capabilities, keys, names
from bartizan.policy.document import ClientKey, EndpointRef, GuardDocument, RequestWindow, TokenWindow, TrustedIssuer
from bartizan.policy.identity import Identity
from bartizan.policy.keys import Hidden
from bartizan.policy.model import ModelDeployment

FILE_NAME = "document.jws"
STORE_PASSWORD, STORE_USER = "store-password", "store-user"


@dataclass(frozen=True, slots=True)
class Reach:
    """What a guard is told of the world outside: whose tokens let in, and where all guards count together."""

    issuers: tuple[TrustedIssuer, ...] = ()
    store: Store | None = None


NOWHERE = Reach()


def build(
    deployment: ModelDeployment, root: Hidden, epochs: Mapping[str, int], *, replicas: int, reach: Reach = NOWHERE
) -> GuardDocument:
    """The document, still to be dated; `epochs` says whose keys let in."""
    identity, spec = deployment.identity, deployment.spec
    limits, caps = spec.limits, spec.limits.caps
    return GuardDocument(
        endpoint=EndpointRef(identity.namespace, identity.name, identity.uid, identity.namespace_uid),
        version=1,
        created=identity.created_seconds,
        model=spec.model_name,
        protocol=spec.serving.protocol,
        replicas=replicas,
        keys=tuple(_client_key(root, identity, name, epoch) for name, epoch in sorted(epochs.items())),
        requests=tuple(
            RequestWindow(limit.limit, limit.window_seconds, limit.scope, limit.tier) for limit in limits.requests
        ),
        tokens=tuple(
            TokenWindow(limit.kind, limit.limit, limit.window_seconds, limit.scope, limit.tier)
            for limit in limits.tokens
        ),
        tiers={client.name: client.tier for client in spec.clients if client.tier},
        refused_without_store=limits.refused_without_store,
        max_input_tokens=caps.max_input_tokens,
        max_output_tokens=caps.max_output_tokens,
        excess_output=caps.excess_output,
        prompt_overhead_tokens=caps.prompt_overhead_tokens,
        max_stream_seconds=caps.max_stream_seconds,
        concurrent=limits.concurrent,
        concurrent_per_client=limits.concurrent_per_client,
        queue_size=limits.queue_size,
        queue_seconds=limits.queue_seconds,
        issuers=reach.issuers,
        store=reach.store.place if reach.store else None,
        allow_fields=spec.serving.allow_fields,
        media=spec.serving.media,
        audit_may_fail=spec.audit_may_fail,
        capabilities=None if spec.serving.capabilities == capabilities.ALL else spec.serving.capabilities,
    )


def build_secret(identity: Identity, signed: str, credential: Credential | None = None) -> dict[str, Any]:
    """With a credential the store's lies beside the document, in the one volume that only the guard mounts."""
    files = {FILE_NAME: signed}
    if credential is not None:
        files |= {STORE_PASSWORD: credential.password, STORE_USER: credential.user}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "Opaque",
        "metadata": metadata(identity, names.document_secret(identity.name)),
        "data": {name: base64.b64encode(text.encode()).decode() for name, text in files.items()},
    }


def _client_key(root: Hidden, identity: Identity, client: str, epoch: int) -> ClientKey:
    credential = keys.client_credential(root, identity, client, epoch=epoch)
    return ClientKey(id=credential.id, sha256=credential.sha256, client=client)
