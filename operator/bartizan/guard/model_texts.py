"""What the model reads of a request's body, as texts that a tokenizer can count."""

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bartizan.guard import strict_json

_UNREAD = frozenset({"model", "stream_options"})
"""For the server alone."""


@dataclass(slots=True)
class Texts:
    """`figures` are the characters of numbers and truth values: no tokenizer makes more tokens of them."""

    found: list[str] = field(default_factory=list)
    figures: int = 0

    def add(self, value: Any, images: Container[int]) -> None:  # noqa: ANN401 -- JSON
        """A text as it is, and an object within an object as the JSON that templates write of it.

        Names in lists' objects are the protocol's own: what it writes round a message is counted for each message.
        """
        if isinstance(value, str):
            if id(value) not in images:
                self.found.append(value)
        elif isinstance(value, list):
            for item in value:
                self.add(item, images)
        elif isinstance(value, dict):
            for item in value.values():
                if isinstance(item, dict) and not any(id(part) in images for part in item.values()):
                    self.add_json(item)
                else:
                    self.add(item, images)
        elif value is not None:
            self.figures += len(str(value))

    def add_json(self, value: Any) -> None:  # noqa: ANN401 -- JSON
        self.found.append(strict_json.serialise(value).decode())


def read(body: Mapping[str, Any], images: Container[int], free: Container[str] = ()) -> Texts:
    """`images` are the ids of the strings that are images; of the fields in `free` nobody knows the form."""
    texts = Texts()
    for name, value in body.items():
        if name in _UNREAD or not isinstance(value, str | list | dict):
            continue  # a switch or a figure of the body's own says how to answer, and is not read
        if isinstance(value, dict) or (name in free and not isinstance(value, str)):
            texts.add_json(value)
        else:
            texts.add(value, images)
    return texts


def jobs(texts: Sequence[str], most_characters: int, most_texts: int) -> Iterator[list[str]]:
    """The texts in portions that are counted at one go; a text that is longer is cut before a space, if it has one."""
    waiting: list[str] = []
    size = 0
    for text in texts:
        for piece in _pieces(text, most_characters):
            if waiting and (size + len(piece) > most_characters or len(waiting) == most_texts):
                yield waiting
                waiting, size = [], 0
            waiting.append(piece)
            size += len(piece)
    if waiting:
        yield waiting


def _pieces(text: str, most: int) -> Iterator[str]:
    start = 0
    while len(text) - start > most:
        space = text.rfind(" ", start + most // 2, start + most)
        end = space if space > 0 else start + most
        yield text[start:end]
        start = end
    yield text[start:]
