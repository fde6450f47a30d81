"""The shapes that a field may have: small judges, themselves data, that return a clean copy or note a problem.

A judge never raises and never trusts: what it returns has the right types throughout, so that later rules can look
at the copy without a second check. Nothing passes that no judge has named.
"""

import re
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass

from bartizan.policy import names
from bartizan.policy.nodes import ABSENT, Absent, Clean, Node, show, suggest

Judge = Callable[[Node], Clean]


MOST_HINTS = 50
"""Problems in one reading up to which a close name is looked for: it is the one dear step of a judgement."""


@dataclass(frozen=True, slots=True)
class Text:
    """A string; `rule` says in words what `pattern` says in signs. A `private` value is not shown in messages."""

    longest: int = 253
    pattern: str = r"(?s).*"
    rule: str = "must be text"
    shortest: int = 1
    private: bool = False

    def __call__(self, node: Node) -> str | Absent:
        shown = "the value" if self.private else show(node.value)
        if not isinstance(node.value, str):
            return node.refuse(f"{shown} is not text; put it in quotes")
        if not self.shortest <= len(node.value) <= self.longest:
            wanted = f"{self.shortest} to {self.longest}"
            return node.refuse(f"{shown} has {len(node.value)} characters; give {wanted}")
        if not is_printable(node.value) or not re.fullmatch(self.pattern, node.value):
            return node.refuse(f"{shown} {self.rule}")
        return node.value


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole number; `why` says where a bound comes from that nobody would expect."""

    lowest: int
    highest: int
    why: str = ""

    def __call__(self, node: Node) -> int | Absent:
        if type(node.value) is not int:
            return node.refuse(f"{show(node.value)} is not a whole number; give {self.lowest} to {self.highest}")
        if not self.lowest <= node.value <= self.highest:
            because = self.why and f", since {self.why}"
            return node.refuse(f"{show(node.value)} is out of bounds; give {self.lowest} to {self.highest}{because}")
        return node.value


@dataclass(frozen=True, slots=True)
class Switch:
    """True or false."""

    def __call__(self, node: Node) -> bool | Absent:
        if not isinstance(node.value, bool):
            return node.refuse(f"{show(node.value)} is neither true nor false; write one of them, without quotes")
        return node.value


@dataclass(frozen=True, slots=True)
class Choice:
    """One word of a few; `remedy` says why the others are not among them."""

    options: tuple[str, ...]
    remedy: str = ""

    def __call__(self, node: Node) -> str | Absent:
        if isinstance(node.value, str) and node.value in self.options:
            return node.value
        words = " or ".join(option or "''" for option in self.options)
        return node.refuse(f"{show(node.value)} is not {words}; {self.remedy or f'write {words}'}")


@dataclass(frozen=True, slots=True)
class Only:
    """The one value that changes nothing; `why` the others do, with the remedy."""

    value: bool
    why: str

    def __call__(self, node: Node) -> bool | Absent:
        if node.value is self.value:
            return self.value
        return node.refuse(f"{show(node.value)} is refused: {self.why}")


@dataclass(frozen=True, slots=True)
class Refused:
    """A known field that may not be set; `why`, with the remedy."""

    why: str

    def __call__(self, node: Node) -> Absent:
        return node.refuse(f"is refused: {self.why}")


@dataclass(frozen=True, slots=True)
class Record:
    """A mapping with these fields and no others; of those in `one_of` exactly one must be there."""

    fields: Mapping[str, Judge]
    required: tuple[str, ...] = ()
    unknown: str = "is not a known field; remove it"
    one_of: tuple[str, ...] = ()

    def __call__(self, node: Node) -> dict[str, Clean]:
        found = entries(node)
        clean: dict[str, Clean] = {}
        for name, child in found.items():
            judge = self.fields.get(name)
            if judge is None:
                hint = suggest(name, self.fields) if len(node.problems) < MOST_HINTS else ""
                child.refuse(f"{self.unknown}{hint}")
                continue
            value = judge(child)
            if value is not ABSENT:
                clean[name] = value
        if isinstance(node.value, Mapping):
            self._judge_presence(node, found)
        return clean

    def _judge_presence(self, node: Node, found: Container[str]) -> None:
        for name in self.required:
            if name not in found:
                node.key(name, None).refuse("is missing; it is required")
        if self.one_of and sum(name in found for name in self.one_of) != 1:
            allowed = [name for name in self.one_of if not isinstance(self.fields[name], Refused)]
            node.refuse(f"needs exactly one of {', '.join(allowed)}; name one")


@dataclass(frozen=True, slots=True)
class Many:
    """A list; `few` says why it needs at least `fewest` entries."""

    judge: Judge
    most: int
    fewest: int = 0
    few: str = "name at least one"

    def __call__(self, node: Node) -> list[Clean]:
        if not isinstance(node.value, Sequence) or isinstance(node.value, str | bytes):
            node.refuse(f"{show(node.value)} is not a list; write its entries after dashes")
            return []
        if len(node.value) > self.most:
            node.refuse(f"has {len(node.value)} entries; keep to {self.most}")
            return []
        if len(node.value) < self.fewest:
            node.refuse(f"is empty; {self.few}")
            return []
        judged = [self.judge(node.index(position, value)) for position, value in enumerate(node.value)]
        return [value for value in judged if value is not ABSENT]


@dataclass(frozen=True, slots=True)
class Pairs:
    """A mapping from free names to values, such as labels."""

    name: Judge
    value: Judge
    most: int

    def __call__(self, node: Node) -> dict[str, Clean]:
        found = entries(node)
        if len(found) > self.most:
            node.refuse(f"has {len(found)} entries; keep to {self.most}")
            return {}
        clean = {}
        for name, child in found.items():
            value = self.value(child)
            if self.name(Node(child.path, name, node.problems)) is not ABSENT and value is not ABSENT:
                clean[name] = value
        return clean


@dataclass(frozen=True, slots=True)
class Ruled:
    """A shape and a rule across its parts; the rule looks at the copy and notes problems."""

    shape: Judge
    rule: Callable[[Node, Clean], None]

    def __call__(self, node: Node) -> Clean:
        clean = self.shape(node)
        self.rule(node, clean)
        return clean


@dataclass(frozen=True, slots=True)
class Distinct:
    """A list of records of which no two are alike in the fields `by`: Kubernetes merges lists by such keys."""

    entries: Many
    by: tuple[str, ...]

    def __call__(self, node: Node) -> list[Clean]:
        clean = self.entries(node)
        seen: set[tuple[Clean, ...]] = set()
        for position, entry in enumerate(clean):
            key = tuple(entry.get(field) for field in self.by)
            if None not in key and key in seen:
                fields, words = " and ".join(self.by), " and ".join(show(part) for part in key)
                node.index(position, entry).refuse(f"has the {fields} of another entry, {words}; keep one")
            seen.add(key)
        return clean


@dataclass(frozen=True, slots=True)
class Either:
    """One of two shapes, told apart by type: a whole number or text."""

    whole: Whole
    text: Text

    def __call__(self, node: Node) -> int | str | Absent:
        return self.text(node) if isinstance(node.value, str) else self.whole(node)


def entries(node: Node) -> dict[str, Node]:
    """The fields of a mapping that are set; null means unset, as in Kubernetes."""
    if not isinstance(node.value, Mapping):
        node.refuse(f"{show(node.value)} is not a mapping; write its fields as `name: value` below it")
        return {}
    found = {}
    for name, value in node.value.items():
        if not isinstance(name, str) or not is_printable(name):
            node.refuse(f"the key {show(name)} is not text; put it in quotes or remove it")
        elif value is not None:
            found[name] = node.key(name, value)
    return found


def is_printable(text: str) -> bool:
    """No NUL and no half of a surrogate pair: neither survives the way through JSON, API server and kubelet."""
    return "\x00" not in text and not any("\ud800" <= char <= "\udfff" for char in text)


LABEL = Text(
    63,
    r"[a-z0-9]([-a-z0-9]*[a-z0-9])?",
    "is not a DNS label; use lower-case letters, digits and '-', from letter or digit to letter or digit",
)
SUBDOMAIN = Text(
    253,
    r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*",
    "is not a name that Kubernetes allows; use lower-case letters, digits, '-' and '.'",
)
QUALIFIED_NAME = (
    r"((?=[^/]{1,253}/)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?"
    r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
)
LABEL_KEY = Text(
    317,
    QUALIFIED_NAME,
    "is not a label's key; write `name` or `domain/name`, the domain with at most 253 characters and the name with 63",
)
LABEL_VALUE = Text(
    63,
    r"([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?",
    "is not a label's value; use letters, digits, '-', '_' and '.' between letters or digits",
    shortest=0,
)
OWN_NAME = Text(
    names.MAX_NAME_LENGTH,
    r"[a-z]([-a-z0-9]*[a-z0-9])?",
    "is not a name that fits; start with a letter, use lower-case letters, digits and '-', end with letter or digit",
)
"""For endpoints and clients."""
