"""`bartizan check`: says what is wrong with a ModelDeployment, offline, by the operator's own rules."""

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bartizan.cli import documents
from bartizan.cli.documents import Document
from bartizan.policy import names
from bartizan.policy.model import Identity, ModelDeployment
from bartizan.policy.parse import parse

DEFAULT_NAMESPACE = "default"


@dataclass(frozen=True, slots=True)
class Finding:
    """A problem, or as a warning a weakness that is allowed."""

    place: str
    text: str
    is_warning: bool = False

    def __str__(self) -> str:
        return f"{self.place}: {'warning: ' if self.is_warning else ''}{self.text}"


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
    findings = [finding for path in arguments.filename for finding in judge(tuple(documents.read(path)), path)]
    for finding in findings:
        print(finding)
    if any(not finding.is_warning for finding in findings):
        return 1
    print("ok")
    return 0


def judge(found: tuple[Document, ...], path: str) -> Iterator[Finding]:
    if not any(document.complaint or is_ours(document.value) for document in found):
        yield Finding(path, f"holds no {names.KIND} of {names.GROUP}")
    for document in found:
        if document.complaint:
            yield Finding(document.place, document.complaint)
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


def _judge_manifest(document: Document) -> Iterator[Finding]:
    manifest: Mapping[str, Any] = document.value  # type: ignore[assignment] # is_ours saw that it is a mapping
    for field, wanted in (("apiVersion", names.API_VERSION), ("kind", names.KIND)):
        if manifest.get(field) is None:
            yield Finding(document.place, f"{field}: is missing; write {wanted}")
    result = parse(manifest, identity(manifest))
    if not isinstance(result, ModelDeployment):
        yield from (Finding(document.place, str(problem)) for problem in result)
        return
    for weakness in result.spec.template.weaknesses:
        said = f"{weakness.field}: {weakness.why} (container {weakness.container})"
        yield Finding(document.place, said, is_warning=True)
