"""GuardDocument: what the guards enforce, and the Secret that brings it to them."""

import base64
from collections.abc import Mapping
from typing import Any

from bartizan.controller.builders.surroundings import metadata
from bartizan.policy import keys, names
from bartizan.policy.document import ClientKey, EndpointRef, GuardDocument, RequestWindow
from bartizan.policy.keys import Hidden
from bartizan.policy.model import Identity, ModelDeployment

FILE_NAME = "document.jws"


def build(deployment: ModelDeployment, root: Hidden, epochs: Mapping[str, int], *, replicas: int) -> GuardDocument:
    """The document, still to be dated; `epochs` names who may come in, `replicas` shares the totals out."""
    identity, spec = deployment.identity, deployment.spec
    return GuardDocument(
        endpoint=EndpointRef(identity.namespace, identity.name, identity.uid, identity.namespace_uid),
        version=1,
        model=spec.model_name,
        protocol=spec.serving.protocol,
        replicas=replicas,
        keys=tuple(_client_key(root, identity, name, epoch) for name, epoch in sorted(epochs.items())),
        requests=tuple(RequestWindow(limit.limit, limit.window_seconds) for limit in spec.limits.requests),
        concurrent=spec.limits.concurrent,
        concurrent_per_client=spec.limits.concurrent_per_client,
    )


def build_secret(identity: Identity, signed: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "Opaque",
        "metadata": metadata(identity, names.document_secret(identity.name)),
        "data": {FILE_NAME: base64.b64encode(signed.encode("ascii")).decode()},
    }


def _client_key(root: Hidden, identity: Identity, client: str, epoch: int) -> ClientKey:
    credential = keys.client_credential(root, identity, client, epoch=epoch)
    return ClientKey(id=credential.id, sha256=credential.sha256, client=client)
