"""`bartizan check`: says what is wrong with a ModelDeployment, offline, by the operator's own rules."""

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bartizan.cli import documents, ours
from bartizan.cli.documents import Document
from bartizan.policy.model import ModelDeployment


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
    if not any(document.complaint or ours.is_ours(document.value) for document in found):
        yield Finding(path, ours.NONE_FOUND)
    for document in found:
        if document.complaint:
            yield Finding(document.place, document.complaint)
        elif ours.is_ours(document.value):
            yield from _judge_manifest(document)


def _judge_manifest(document: Document) -> Iterator[Finding]:
    manifest: Mapping[str, Any] = document.value  # type: ignore[assignment] # is_ours saw that it is a mapping
    result = ours.read(manifest)
    if not isinstance(result, ModelDeployment):
        yield from (Finding(document.place, str(problem)) for problem in result)
        return
    for weakness in result.spec.template.weaknesses:
        said = f"{weakness.field}: {weakness.why} (container {weakness.container})"
        yield Finding(document.place, said, is_warning=True)
