"""Client Secret: one client's key in the form that OpenAI's SDKs read from the environment."""

import base64
from typing import Any

from bartizan.controller.builders.surroundings import metadata
from bartizan.policy import names
from bartizan.policy.keys import ClientCredential
from bartizan.policy.model import Identity


def build(identity: Identity, client: str, credential: ClientCredential) -> dict[str, Any]:
    """Opaque Secret for `envFrom`; `api_key` is for those who mount files."""
    key = credential.reveal()
    values = {
        "OPENAI_API_KEY": key,
        "OPENAI_BASE_URL": names.base_url(identity.name, identity.namespace),
        "api_key": key,
    }
    secret_metadata: dict[str, Any] = metadata(identity, names.client_secret(identity.name, client))
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "Opaque",
        "metadata": secret_metadata | {"labels": secret_metadata["labels"] | {names.CLIENT_LABEL: client}},
        "data": {name: base64.b64encode(value.encode()).decode() for name, value in values.items()},
    }
