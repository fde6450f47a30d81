"""Which manifests a file holds: multi-document YAML or JSON, read as strictly as the API server reads it."""

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

STDIN = "-"
MOST_MERGED = 10_000
"""Entries of one mapping after its merge keys (`<<`) are resolved; aliases of aliases would else fill the memory."""


@dataclass(frozen=True, slots=True)
class Document:
    """One manifest with its place, `file:number`; `complaint` says why there is no value."""

    place: str
    value: object = None
    complaint: str = ""


class _StrictLoader(yaml.SafeLoader):
    """Refuses a key that stands twice (plain YAML readers keep the last) and leaves dates as the text they are."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002 # PyYAML's signature
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(None, None, f"{key.value!r} stands twice", key.start_mark)
                seen.add(key.value)
        return super().construct_mapping(node, deep)

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        super().flatten_mapping(node)
        if len(node.value) > MOST_MERGED:
            problem = f"more than {MOST_MERGED} entries after merging"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)


_StrictLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def read(path: str) -> Iterator[Document]:
    """The file's documents in order; `-` is standard input. What cannot be read comes as a complaint."""
    name = "stdin" if path == STDIN else path
    try:
        text = sys.stdin.read() if path == STDIN else Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        yield Document(name, complaint=f"cannot be read: {error}")
        return
    yield from read_text(text, name)


def read_text(text: str, name: str) -> Iterator[Document]:
    loader = _StrictLoader(text)
    position = 1
    try:
        while loader.check_data():  # type: ignore[no-untyped-call] # the stubs leave it out
            value = loader.get_data()
            if value is not None:
                yield from _unfold(Document(f"{name}:{position}", value))
            position += 1
    except (yaml.YAMLError, RecursionError, ValueError, LookupError, AttributeError, TypeError) as error:
        # The last three are what PyYAML lets escape on values that do not fit their tags, such as `!!bool x`.
        yield Document(f"{name}:{position}", complaint=f"is not YAML: {' '.join(str(error).split())}")
    finally:
        loader.dispose()


def _unfold(document: Document) -> Iterator[Document]:
    """A `kind: List` stands for its items."""
    value = document.value
    if isinstance(value, Mapping) and value.get("kind") == "List" and isinstance(value.get("items"), list):
        for position, item in enumerate(value["items"]):
            yield Document(f"{document.place}.items[{position}]", item)
        return
    yield document
