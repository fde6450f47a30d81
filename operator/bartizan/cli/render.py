"""`bartizan render -f x.yaml`: what a ModelDeployment would own, from the operator's own code, offline.

What only a cluster can give (UIDs, the root key) stands as a placeholder; no key is ever printed.
"""

import argparse
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from bartizan.cli import documents, ours
from bartizan.controller.builders import (
    client_secret,
    deployment,
    disruption_budget,
    guard_document,
    network_policy,
    pod_template,
    service,
    service_account,
)
from bartizan.controller.builders.surroundings import Surroundings
from bartizan.controller.settings import Settings
from bartizan.controller.tools import surroundings
from bartizan.policy import keys
from bartizan.policy.keys import Hidden
from bartizan.policy.model import ModelDeployment

PLACEHOLDER_UID = "00000000-0000-0000-0000-000000000000"
PLACEHOLDER = "(made by the operator)"
SAMPLE_ROOT = Hidden(bytes(keys.ROOT_BYTES))
"""Fills the places of keys while building; whatever comes of it is replaced before it is shown."""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-f", "--filename", required=True, help="manifest with ModelDeployments; - for standard input")
    parser.add_argument("-n", "--namespace", default="default", help="namespace of manifests that name none")
    parser.add_argument("--guard-image", default="bartizan:latest", help="image of guard and launcher")


def run(arguments: argparse.Namespace) -> int:
    """Prints YAML documents in the order in which the operator writes them; 1 where a spec is refused or missing."""
    installation = surroundings(Settings(guard_image=arguments.guard_image))
    complaints: list[str] = []
    found = tuple(documents.read(arguments.filename))
    if not any(document.complaint or ours.is_ours(document.value) for document in found):
        complaints.append(f"{arguments.filename}: {ours.NONE_FOUND}")
    for document in found:
        if document.complaint:
            complaints.append(f"{document.place}: {document.complaint}")
        elif ours.is_ours(document.value):
            manifest: Mapping[str, Any] = document.value  # type: ignore[assignment] # is_ours saw that it is a mapping
            wish = ours.read(manifest, namespace=arguments.namespace, uid=PLACEHOLDER_UID)
            if isinstance(wish, ModelDeployment):
                yaml.safe_dump_all(manifests(wish, installation), sys.stdout, sort_keys=False, explicit_start=True)
            else:
                complaints += [f"{document.place}: {problem}" for problem in wish]
    for complaint in complaints:
        print(complaint, file=sys.stderr)
    return 1 if complaints else 0


def manifests(wish: ModelDeployment, installation: Surroundings) -> Iterator[dict[str, Any]]:
    """All owned objects but the ControllerRevision, which only keeps what the others show."""
    identity = wish.identity
    yield network_policy.build(wish, installation)
    yield _without_values(guard_document.build_secret(identity, ""))
    for client in wish.spec.key_clients:
        credential = keys.client_credential(SAMPLE_ROOT, identity, client.name, epoch=client.key_epoch)
        served = wish.spec.serving
        secret = client_secret.build(identity, client.name, credential, served.protocol, has_tls=served.has_tls)
        yield _without_values(secret)
    yield service_account.build(wish)
    yield service.build(wish)
    if (budget := disruption_budget.build(wish)) is not None:
        yield budget
    template = pod_template.build(wish, installation, document_key=PLACEHOLDER, not_before=0)
    yield deployment.build(wish, template)


def _without_values(secret: dict[str, Any]) -> dict[str, Any]:
    shown = {name: value for name, value in secret.items() if name != "data"}
    return {**shown, "stringData": dict.fromkeys(secret["data"], PLACEHOLDER)}
