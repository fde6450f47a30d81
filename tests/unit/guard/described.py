"""Compares a schema with the types in which an SDK describes the same object: no field may be there unnoticed."""

import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from bartizan.guard.profiles import schema
from bartizan.guard.refusal import Refusal


@dataclass(frozen=True)
class Description:
    """`described` is a TypedDict; `more` are fields that stand beside it; `refused` says of which fields why not."""

    record: schema.Record
    described: Any
    refused: Mapping[str, str] = field(default_factory=dict)
    more: Mapping[str, Any] = field(default_factory=dict)

    def names(self) -> set[str]:
        return {*typing.get_type_hints(self.described), *self.more}

    def required(self) -> set[str]:
        hints = typing.get_type_hints(self.described, include_extras=True)
        return {name for name, hint in hints.items() if typing.get_origin(hint) is typing.Required}

    def unnoticed(self) -> set[str]:
        """Fields that the SDK knows and that are neither known nor refused on purpose."""
        return self.names() - set(self.record.fields) - set(self.refused)

    def invented(self) -> set[str]:
        return set(self.record.fields) - self.names()

    def misjudged(self) -> list[tuple[str, object]]:
        """Simple values that pass and are not described, or are described and do not pass."""
        hints = {**typing.get_type_hints(self.described), **self.more}
        found: list[tuple[str, object]] = []
        for name, rule in self.record.fields.items():
            kinds = set(kinds_of(hints[name]))
            for kind, value in ((bool, True), (int, 1), (str, "x"), (type(None), None)):
                is_described = kind in kinds or (kind is int and float in kinds)
                must_pass = is_described and kind in (bool, int, type(None))
                if passes(rule, value) is not is_described and (must_pass or not is_described):
                    found.append((name, value))
        return found


def kinds_of(hint: Any) -> Iterator[Any]:
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        for inner in typing.get_args(hint):
            yield from kinds_of(inner)
    elif origin is typing.Literal:
        yield from {type(value) for value in typing.get_args(hint)}
    elif origin is typing.Required:
        yield from kinds_of(typing.get_args(hint)[0])
    else:
        yield origin or hint


def words_of(hint: Any) -> set[Any]:
    """All that the literals in a type say."""
    if typing.get_origin(hint) is typing.Literal:
        return set(typing.get_args(hint))
    return {word for inner in typing.get_args(hint) for word in words_of(inner)}


def tags_of(union: Any, tag: str = "type") -> dict[str, Any]:
    """The members of a union of TypedDicts, by the word that tells them apart."""
    found = {}
    for member in typing.get_args(union):
        for word in words_of(typing.get_type_hints(member)[tag]):
            found[word] = member
    return found


def passes(rule: schema.Rule, value: Any) -> bool:
    try:
        rule.judge(value, "field")
    except Refusal:
        return False
    return True
