"""`bartizan check`: says what is wrong with a ModelDeployment, offline, by the operator's own rules."""

import argparse
from collections.abc import Iterator, Mapping
from typing import Any

from bartizan.cli import documents
from bartizan.cli.documents import Document
from bartizan.policy import names
from bartizan.policy.model import Identity, ModelDeployment
from bartizan.policy.parse import parse

DEFAULT_NAMESPACE = "default"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.description = "Say what is wrong with the ModelDeployments of a file. Exit code 1 if anything is."
    parser.add_argument(
        "-f",
        "--filename",
        action="append",
        required=True,
        metavar="FILE",
        help="YAML or JSON, also with many documents; - reads standard input; may be given again",
    )


def run(arguments: argparse.Namespace) -> int:
    lines = [line for path in arguments.filename for line in judge(tuple(documents.read(path)), path)]
    for line in lines:
        print(line)
    if any(": warning: " not in line for line in lines):
        return 1
    print("ok")
    return 0


def judge(found: tuple[Document, ...], path: str) -> Iterator[str]:
    """One line for each problem, and one, marked as warning, for each weakness."""
    if not any(document.complaint or is_ours(document.value) for document in found):
        yield f"{path}: holds no {names.KIND} of {names.GROUP}"
    for document in found:
        if document.complaint:
            yield f"{document.place}: {document.complaint}"
        elif is_ours(document.value):
            yield from _judge_manifest(document)


def is_ours(value: object) -> bool:
    """Whether the manifest means to be of our group; other projects have a kind ModelDeployment, too."""
    if not isinstance(value, Mapping):
        return False
    group = str(value.get("apiVersion", "")).partition("/")[0]
    return group == names.GROUP or (group == "" and value.get("kind") == names.KIND)


def identity(manifest: Mapping[str, Any]) -> Identity:
    """As far as it is known outside a cluster: without UIDs."""
    given = manifest.get("metadata")
    metadata = given if isinstance(given, Mapping) else {}
    return Identity(
        namespace=str(metadata.get("namespace") or DEFAULT_NAMESPACE),
        name=str(metadata.get("name") or ""),
        uid="",
        namespace_uid="",
    )


def _judge_manifest(document: Document) -> Iterator[str]:
    manifest: Mapping[str, Any] = document.value  # type: ignore[assignment] # is_ours saw that it is a mapping
    for field, wanted in (("apiVersion", names.API_VERSION), ("kind", names.KIND)):
        if manifest.get(field) is None:
            yield f"{document.place}: {field}: is missing; write {wanted}"
    result = parse(manifest, identity(manifest))
    if isinstance(result, ModelDeployment):
        for weakness in result.spec.template.weaknesses:
            yield f"{document.place}: warning: {weakness.field}: {weakness.why} (container {weakness.container})"
        return
    for problem in result:
        yield f"{document.place}: {problem}"
