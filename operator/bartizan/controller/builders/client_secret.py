"""Client Secret: one client's key in the form that its protocol's SDKs read from the environment."""

import base64
from typing import Any

from bartizan.controller.builders.surroundings import metadata
from bartizan.policy import names
from bartizan.policy.identity import Identity
from bartizan.policy.keys import ClientCredential
from bartizan.policy.protocols import ENVIRONMENT, Protocol


def build(
    identity: Identity, client: str, credential: ClientCredential, protocol: Protocol, *, has_tls: bool
) -> dict[str, Any]:
    """Opaque Secret for `envFrom`; `api_key` is for those who mount files."""
    key = credential.reveal()
    key_name, address_name = ENVIRONMENT[protocol]
    address = names.base_url(identity.name, identity.namespace, protocol, has_tls=has_tls)
    values = {key_name: key, address_name: address, "api_key": key}
    secret_metadata: dict[str, Any] = metadata(identity, names.client_secret(identity.name, client))
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "Opaque",
        "metadata": secret_metadata | {"labels": secret_metadata["labels"] | {names.CLIENT_LABEL: client}},
        "data": {name: base64.b64encode(value.encode()).decode() for name, value in values.items()},
    }
