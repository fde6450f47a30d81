"""Random values: any JSON, what a schema takes or nearly takes, and all the ways in which JSON may be written."""

import random
from collections.abc import Iterable
from typing import Any

from bartizan.guard.profiles import kserve_schema, schema

TEXTS = (
    *("", "a", "user", "text", "function", "demo", "é", "😀", "\u200b", "\u202e", "\x00", "\ud800", "\udc00", "\ufeff"),
    *("e\u0301", "ﬁ", "\U000e0041", '"', "\\", "/", "</s>", "%00", "{{x}}", "\u2028", "NaN", "1", " ", "\n"),
    *("x" * 65, "y" * 300),
)  # fmt: skip
NUMBERS = (0, 1, -1, 2, 8, 9, 1.0, 0.5, -0.0, 1e30, 1e-9, 2**53, 2**63, -(2**63), 10**20, True, False)
Pairs = list[tuple[str, Any]]
"""An object as it is written: keys may stand twice."""


def anything(chance: random.Random, depth: int = 3) -> Any:
    """Any JSON; objects are lists of pairs within `Object`."""
    kind = chance.randrange(6 if depth else 4)
    if kind < 2:
        return chance.choice(TEXTS)
    if kind == 2:
        return chance.choice(NUMBERS)
    if kind == 3:
        return chance.choice((None, True, False))
    if kind == 4:
        return [anything(chance, depth - 1) for _ in range(chance.randrange(4))]
    return Object([(chance.choice(TEXTS), anything(chance, depth - 1)) for _ in range(chance.randrange(4))])


class Object(Pairs):
    """An object's pairs, to tell it from a list."""


class Wisher:
    """Values for a schema's rules: mostly what they take, with `wild` as the chance of something else at each place."""

    def __init__(self, chance: random.Random, *, texts: Iterable[str] = TEXTS, wild: float = 0.02) -> None:
        self._chance = chance
        self._texts = tuple(texts)
        self._wild = wild

    def of(self, rule: schema.Rule) -> Any:
        if self._chance.random() < self._wild:
            return anything(self._chance, 2)
        return self._of(rule)

    def _of(self, rule: schema.Rule) -> Any:  # noqa: C901, PLR0911, PLR0912 -- one for each rule
        chance = self._chance
        match rule:
            case schema.Text():
                return chance.choice(self._texts)
            case schema.Choice(values):
                return chance.choice(values)
            case schema.Flag():
                return chance.random() < 0.5
            case schema.Whole(least, most):
                return chance.choice((least, most, chance.randint(least, most), least - 1))
            case schema.Number(least, most):
                return chance.choice((least, most, chance.uniform(least, most), most + 1))
            case schema.Nullable(inner):
                return None if chance.random() < 0.2 else self.of(inner)
            case schema.Sequence(item):
                return [self.of(item) for _ in range(chance.choice((1, 1, 1, 2, 3, 0)))]
            case schema.Table(key, item):
                return Object([(self.of(key), self.of(item)) for _ in range(chance.randrange(3))])
            case schema.Record():
                return self._record(rule)
            case schema.Tagged(tag, records):
                name, record = chance.choice(list(records.items()))
                return Object([pair for pair in self._of(record) if pair[0] != tag] + [(tag, name)])
            case schema.Only(value):
                return value
            case kserve_schema.Tensor(record):
                return self._tensor(record)
            case schema.ByType(rules):
                return self.of(chance.choice(list(rules.values())))
        found = anything(chance, 3)  # free-form JSON, and rules that are not known here
        return found if isinstance(found, Object) else Object([(chance.choice(self._texts), found)])

    def _tensor(self, record: schema.Record) -> Object:
        """Mostly of as many elements as its shape says, and of its datatype."""
        count = self._chance.randrange(4)
        texts, numbers = ("BYTES", self._texts), (self._chance.choice(("INT8", "FP32", "UINT64")), NUMBERS)
        datatype, some = self._chance.choice((texts, texts, numbers))
        data = [self._chance.choice(some) for _ in range(count)]
        rest = [pair for pair in self._record(record) if pair[0] not in ("shape", "datatype", "data")]
        return Object([*rest, ("shape", [count]), ("datatype", datatype), ("data", data)])

    def _record(self, rule: schema.Record) -> Object:
        chance = self._chance
        names = list(rule.required)
        others = [name for name in rule.fields if name not in names]
        names += chance.sample(others, min(len(others), chance.choice((0, 1, 1, 2, 3))))
        pairs = Object([(name, self.of(rule.fields[name])) for name in names])
        if chance.random() < self._wild:
            pairs.append((chance.choice((*names, *self._texts)), anything(chance, 1)))
        chance.shuffle(pairs)
        return pairs


def written(value: Any, chance: random.Random) -> str:
    """JSON text, in one of the many ways in which the value may be written."""
    if isinstance(value, Object):
        pairs = (
            f"{_space(chance)}{_text(_name(name), chance)}{_space(chance)}:{written(item, chance)}"
            for name, item in value
        )
        return "{" + ",".join(pairs) + _space(chance) + "}"
    if isinstance(value, list):
        return "[" + ",".join(_space(chance) + written(item, chance) for item in value) + _space(chance) + "]"
    if isinstance(value, str):
        return _text(value, chance)
    return (
        {None: "null", True: "true", False: "false"}.get(value, repr(value)) if not _is_number(value) else repr(value)
    )


def _name(name: Any) -> str:
    return name if isinstance(name, str) else "x"


def _is_number(value: Any) -> bool:
    return type(value) in (int, float)


def _space(chance: random.Random) -> str:
    return chance.choice(("", "", "", " ", "\n", "\t\r\n"))


def _text(text: str, chance: random.Random) -> str:
    """Each character as it is, or escaped in one of its ways; a few must be."""
    share = chance.choice((0.0, 0.0, 0.1, 1.0))
    return '"' + "".join(_character(letter, chance, share) for letter in text) + '"'


_SHORT = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def _character(letter: str, chance: random.Random, share: float) -> str:
    if letter in _SHORT:
        return _SHORT[letter]
    if letter >= " " and not (share and chance.random() < share):
        return letter
    units = letter.encode("utf-16-be", "surrogatepass")
    escaped = "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))
    return escaped if chance.random() < 0.5 else escaped.upper().replace("\\U", "\\u")
