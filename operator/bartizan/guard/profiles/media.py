"""Inline images: which types and sizes pass, that they are what they say they are, and where they stand in a body.

An image by URL never passes: the model reaches no network. The seam sees an image as the one string that it is, base64
and all; what is drawn or written in it, only a detector for images could tell.
"""

import binascii
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bartizan.guard.profiles.schema import Choice, Record, Rule, invalid
from bartizan.guard.refusal import Refusal
from bartizan.policy.media import MediaTerms

_BEGINNINGS: Mapping[str, tuple[bytes, ...]] = {
    "image/png": (b"\x89PNG\r\n\x1a\n",),
    "image/jpeg": (b"\xff\xd8\xff",),
    "image/gif": (b"GIF87a", b"GIF89a"),
    "image/webp": (b"RIFF",),
}
_WEBP = slice(8, 12), b"WEBP"


@dataclass(frozen=True, slots=True)
class Image:
    """An image in base64, as `terms` let it pass."""

    terms: MediaTerms

    def check(self, data: str, kind: str, path: str) -> None:
        """Raises Refusal. Base64 in one form only: servers skip what they do not know, and would read another image."""
        if len(data) > (self.terms.max_bytes + 2) // 3 * 4:
            raise self._too_large(path)
        try:
            image = binascii.a2b_base64(data, strict_mode=True)
        except ValueError as error:
            raise invalid(path, "must be base64, without line breaks") from error
        if binascii.b2a_base64(image, newline=False) != data.encode():  # strict still takes padding too many
            raise invalid(path, "must be base64 in its one form")
        if len(image) > self.terms.max_bytes:
            raise self._too_large(path)
        if not image.startswith(_BEGINNINGS[kind]) or (kind == "image/webp" and image[_WEBP[0]] != _WEBP[1]):
            raise invalid(path, f"must be what it says, {kind}")

    def _too_large(self, path: str) -> Refusal:
        return invalid(path, f"must be an image of at most {self.terms.max_bytes} bytes")


@dataclass(frozen=True, slots=True)
class DataUrl:
    """An image as a data URL (RFC 2397), in the one form that clients write."""

    image: Image

    def judge(self, value: Any, path: str) -> None:  # noqa: ANN401
        known = ", ".join(self.image.terms.types)
        if type(value) is not str or not value.startswith("data:"):
            raise invalid(path, f"must be a data URL, data:<type>;base64,<data>, with one of {known}")
        head, _, data = value.partition(",")
        kind = head.removeprefix("data:").removesuffix(";base64")
        if kind not in self.image.terms.types or head != f"data:{kind};base64":
            raise invalid(path, f"must be a data URL, data:<type>;base64,<data>, with one of {known}")
        self.image.check(data, kind, path)


@dataclass(frozen=True, slots=True)
class Source:
    """An image as Anthropic's blocks hold it: type and data each in a field."""

    image: Image
    record: Record

    def judge(self, value: Any, path: str) -> None:  # noqa: ANN401
        self.record.judge(value, path)
        self.image.check(value["data"], value["media_type"], f"{path}.data")


def data_url(terms: MediaTerms) -> Rule:
    return DataUrl(Image(terms))


def source(terms: MediaTerms, data: Rule) -> Rule:
    fields = {"type": Choice(("base64",)), "media_type": Choice(terms.types), "data": data}
    return Source(Image(terms), Record(fields, tuple(fields)))


def of_chat(body: Mapping[str, Any]) -> Iterator[str]:
    """Every image in a judged chat completion's body, as it stands there."""
    for message in body["messages"]:
        for part in _parts(message.get("content")):
            if part["type"] == "image_url":
                yield part["image_url"]["url"]


def of_response(body: Mapping[str, Any]) -> Iterator[str]:
    for item in _parts(body["input"]):
        for part in _parts(item.get("content")):
            if part["type"] == "input_image":
                yield part["image_url"]


def of_message(body: Mapping[str, Any]) -> Iterator[str]:
    for message in body["messages"]:
        for block in _parts(message["content"]):
            for part in (block, *_parts(block.get("content"))):
                if part["type"] == "image":
                    yield part["source"]["data"]


def _parts(content: object) -> list[Any]:
    return content if isinstance(content, list) else []
