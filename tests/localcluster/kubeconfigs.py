"""How a kubeconfig file looks, and what can be read back from one."""

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from tests.localcluster.certificates import Pair
from tests.localcluster.complaints import Complaint
from tests.localcluster.places import write_changed


@dataclass(frozen=True)
class Access:
    """Who asks which API server."""

    cluster: str
    server: str
    authority: Path
    client: Pair


def write(path: Path, access: Access) -> Path:
    """Self-contained (certificates inside), so that the file can be handed round."""
    user = {
        "client-certificate-data": _encoded(access.client.certificate),
        "client-key-data": _encoded(access.client.key),
    }
    cluster = {"server": access.server, "certificate-authority-data": _encoded(access.authority)}
    name = f"bartizan-{access.cluster}"
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": cluster}],
        "users": [{"name": name, "user": user}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    }
    return write_changed(path, yaml.safe_dump(document))


def server_of(path: Path) -> str:
    """The API server of the file's current context."""
    document = yaml.safe_load(path.read_text())
    context = _named(document, "contexts", document.get("current-context"), path)["context"]
    return str(_named(document, "clusters", context["cluster"], path)["cluster"]["server"])


def _named(document: dict[str, Any], section: str, name: str | None, path: Path) -> dict[str, Any]:
    for entry in document.get(section) or []:
        if entry["name"] == name:
            return dict(entry)
    raise Complaint(f"{path}: {section} has no {name!r}; choose a context with kubectl config use-context")


def _encoded(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()
