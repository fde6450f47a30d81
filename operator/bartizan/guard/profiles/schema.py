"""A schema as data: what a JSON value may be, judged with the path of what is wrong. Nothing unknown passes."""

from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from bartizan.guard.refusal import Refusal
from bartizan.policy import fields
from bartizan.policy.reasons import Reason

MAX_SHOWN = 64
"""Characters of a caller's own field name that a refusal repeats."""


Judge = Callable[[Any, str], None]


class Rule(Protocol):
    """Raises Refusal where `value` breaks it; `path` is where the value stands."""

    def judge(self, value: Any, path: str) -> None: ...  # noqa: ANN401


def invalid(path: str, rule: str) -> Refusal:
    return Refusal(Reason.FIELD_INVALID, f"{path or 'body'}: {rule}", param=path or None)


@dataclass(frozen=True, slots=True)
class Text:
    most: int = 1 << 24
    least: int = 0

    def judge(self, value: Any, path: str) -> None:  # noqa: ANN401
        if type(value) is not str:
            raise invalid(path, "must be a string")
        if not self.least <= len(value) <= self.most:
            raise invalid(path, f"must have {self.least} to {self.most} characters")


@dataclass(frozen=True, slots=True)
class Choice:
    values: tuple[str, ...]

    def judge(self, value: Any, path: str) -> None:  # noqa: ANN401
        if type(value) is not str or value not in self.values:
            raise invalid(path, f"must be one of {', '.join(self.values)}")


@dataclass(frozen=True, slots=True)
class Flag:
    def judge(self, value: Any, path: str) -> None:  # noqa: ANN401
        if type(value) is not bool:
            raise invalid(path, "must be true or false")


@dataclass(frozen=True, slots=True)
class Only:
    """The one value that asks for nothing: a field that clients send and that does nothing here."""

    value: bool | None

    def judge(self, value: Any, path: str) -> None:  # noqa: ANN401
        if value is not self.value:
            raise invalid(path, f"must be {str(self.value).lower().replace('none', 'null')}, or left out")


@dataclass(frozen=True, slots=True)
class Whole:
    least: int
    most: int

    def judge(self, value: Any, path: str) -> None:  # noqa: ANN401
        if type(value) is not int or not self.least <= value <= self.most:
            raise invalid(path, f"must be a whole number from {self.least} to {self.most}")


@dataclass(frozen=True, slots=True)
class Number:
    least: float
    most: float

    def judge(self, value: Any, path: str) -> None:  # noqa: ANN401
        if type(value) not in (int, float) or not self.least <= value <= self.most:
            raise invalid(path, f"must be a number from {self.least:g} to {self.most:g}")


@dataclass(frozen=True, slots=True)
class Nullable:
    rule: Rule

    def judge(self, value: Any, path: str) -> None:  # noqa: ANN401
        if value is not None:
            self.rule.judge(value, path)


@dataclass(frozen=True, slots=True)
class Sequence:
    item: Rule
    most: int
    least: int = 0

    def judge(self, value: Any, path: str) -> None:  # noqa: ANN401
        if type(value) is not list:
            raise invalid(path, "must be a list")
        if not self.least <= len(value) <= self.most:
            raise invalid(path, f"must have {self.least} to {self.most} items")
        judge = self.item.judge
        for index, item in enumerate(value):
            judge(item, f"{path}[{index}]")


@dataclass(frozen=True, slots=True)
class Table:
    """An object whose keys the caller chooses."""

    key: Text
    item: Rule
    most: int

    def judge(self, value: Any, path: str) -> None:  # noqa: ANN401
        if type(value) is not dict:
            raise invalid(path, "must be an object")
        if len(value) > self.most:
            raise invalid(path, f"must have at most {self.most} entries")
        for name, item in value.items():
            self.key.judge(name, path)
            self.item.judge(item, path)


@dataclass(frozen=True, slots=True)
class Record:
    """An object whose every field is known."""

    fields: Mapping[str, Rule]
    required: tuple[str, ...] = ()
    _required: frozenset[str] = field(init=False, repr=False, compare=False)
    _judges: Mapping[str, Judge] = field(init=False, repr=False, compare=False)
    """Of each field: made once, because this runs for each object of each body."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "_required", frozenset(self.required))
        object.__setattr__(self, "_judges", {name: rule.judge for name, rule in self.fields.items()})

    def judge(self, value: Any, path: str) -> None:  # noqa: ANN401
        if type(value) is not dict:
            raise invalid(path, "must be an object")
        prefix = f"{path}." if path else ""
        if not value.keys() >= self._required:
            missing = next(name for name in self.required if name not in value)
            raise invalid(prefix + missing, "is required")
        judges = self._judges
        for name, item in value.items():
            if name not in judges:
                raise _unknown(prefix + name[:MAX_SHOWN])
            judges[name](item, prefix + name)


@dataclass(frozen=True, slots=True)
class Tagged:
    """One of several rules for objects, chosen by the text in the field `tag`, or by `absent` where it is not there."""

    tag: str
    records: Mapping[str, Rule]
    absent: str | None = None

    def judge(self, value: Any, path: str) -> None:  # noqa: ANN401
        if type(value) is not dict:
            raise invalid(path, "must be an object")
        chosen = value.get(self.tag, self.absent)
        if type(chosen) is not str or chosen not in self.records:
            raise invalid(f"{path}.{self.tag}", f"must be one of {', '.join(self.records)}")
        self.records[chosen].judge(value, path)


@dataclass(frozen=True, slots=True)
class ByType:
    """One rule for each JSON type that may stand here."""

    rules: Mapping[type, Rule]
    wanted: str

    def judge(self, value: Any, path: str) -> None:  # noqa: ANN401
        kind = type(value)
        if kind not in self.rules:
            raise invalid(path, f"must be {self.wanted}")
        self.rules[kind].judge(value, path)


@dataclass(frozen=True, slots=True)
class Anything:
    """Free-form JSON, such as a tool's own JSON Schema; the parser bounds its size and depth."""

    def judge(self, value: Any, path: str) -> None:  # noqa: ANN401
        if type(value) is not dict:
            raise invalid(path, "must be an object")


@dataclass(frozen=True, slots=True)
class Free:
    """Whatever JSON an owner lets through by its field's name; the parser bounds its size and depth.

    What no owner can let through may not hide in it either, however deep: servers unpack some such objects into the
    request. `is_schema`: below its top, names are those of a JSON Schema's own properties.
    """

    never: Container[str]
    is_schema: bool = False
    most: int = 1 << 16

    def judge(self, value: Any, path: str) -> None:  # noqa: ANN401
        if type(value) is str and len(value) > self.most:
            raise invalid(path, f"must have at most {self.most} characters")
        hidden = _hidden(value, self.never, is_deep=not self.is_schema)
        if hidden:
            raise _unknown(path + hidden)


_OF_SCHEMAS = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"})
"""Below these a JSON schema has the caller's own names, wherever the schema stands."""


def _hidden(value: Any, never: Container[str], *, is_deep: bool) -> str:  # noqa: ANN401
    """Where below the value one of the names stands, or nothing; the parser bounds how deep that may be."""
    if type(value) is dict:
        for name, item in value.items():
            if name in never:
                return f".{name}"
            if is_deep and name not in _OF_SCHEMAS and (below := _hidden(item, never, is_deep=True)):
                return f".{name[:MAX_SHOWN]}{below}"
    elif type(value) is list:
        for index, item in enumerate(value):
            if below := _hidden(item, never, is_deep=is_deep):
                return f"[{index}]{below}"
    return ""


_FREE, _FREE_SCHEMA = Free(fields.NEVER), Free(fields.NEVER, is_schema=True)


def free(name: str) -> Free:
    """The rule of a field that an owner lets through."""
    return _FREE_SCHEMA if name in fields.SCHEMAS else _FREE


def _unknown(path: str) -> Refusal:
    return Refusal(Reason.FIELD_UNKNOWN, f"{path}: this field is not known here; leave it out", param=path)
