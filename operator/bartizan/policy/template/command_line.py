"""What a container's command line and variables say, flag by flag, with variables filled in where they can be read."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bartizan.policy.nodes import Node

ARGUMENT_VARIABLES = ("GUNICORN_CMD_ARGS",)
"""Variables that hold flags themselves."""
BIND = "--bind"
_SHORT_BIND = re.compile(r"-b=?(?P<value>.*)")
_ADDRESS = re.compile(r"unix:.+|[^\s/=$]*:[0-9]+|[0-9]+(\.[0-9]+){3}|localhost")
"""What follows `-b` where that means an address (gunicorn, hypercorn); to llama.cpp it is a batch's size."""
_REFERENCE = re.compile(r"\$\$|\$\((?P<ours>[\w.-]+)\)|\$\{(?P<shell>\w+)\}|\$(?P<bare>[A-Za-z_]\w*)")

LONGEST_VALUE = 1024
MOST_FILLED_IN = 64 * 1024
"""Characters; variables of variables would else grow without end. What is beyond counts as unread."""

Values = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Said:
    """One flag; `value` with its variables filled in, `shown` as it is written."""

    node: Node
    flag: str
    value: str
    shown: str

    @property
    def is_unread(self) -> bool:
        """Whether the value comes from a variable that cannot be read here."""
        return "$" in self.value


@dataclass(frozen=True, slots=True)
class Word:
    node: Node
    text: str
    shown: str


def values(clean: Mapping[str, Any]) -> Values:
    """What the container's variables hold, as far as it is written here; a field of the pod by the field's name."""
    found: dict[str, str] = {}
    for variable in clean.get("env", ()):
        path = variable.get("valueFrom", {}).get("fieldRef", {}).get("fieldPath")
        value = path or ("" if "valueFrom" in variable else _expand(variable.get("value", ""), found))
        if ("valueFrom" not in variable or path) and len(value) <= LONGEST_VALUE:
            found[variable.get("name", "")] = value
    return found


def words(container: Node, clean: Mapping[str, Any]) -> list[Word]:
    """Command and arguments as one line, also within the one string that a shell gets."""
    known, room = values(clean), MOST_FILLED_IN
    found: list[Word] = []
    for field in ("command", "args"):
        for position, argument in enumerate(clean.get(field, ())):
            node = container.key(field, None).index(position, argument)
            for written in argument.split():
                texts = _expand(written, known).split() if room > 0 else [written]
                room -= sum(map(len, texts)) if texts != [written] else 0
                found += [Word(node, text.strip("'\""), written) for text in texts]
    return found


def flags(container: Node, clean: Mapping[str, Any]) -> Iterator[Said]:
    """Those of the command line and those of variables that hold flags."""
    yield from _flags(words(container, clean))
    known = values(clean)
    for position, variable in enumerate(clean.get("env", ())):
        name = variable.get("name", "")
        if name in ARGUMENT_VARIABLES:
            node = container.key("env", None).index(position, variable)
            yield from _flags([Word(node, text.strip("'\""), text) for text in known.get(name, "").split()])


def _expand(text: str, known: Values) -> str:
    """As the kubelet and a shell do: `$(NAME)`, `${NAME}` and `$NAME`; `$$` is a dollar sign, the unknown stays."""

    def fill(found: re.Match[str]) -> str:
        name = found["ours"] or found["shell"] or found["bare"]
        return known.get(name, found[0]) if name else "$"

    return _REFERENCE.sub(fill, text)


def _flags(line: list[Word]) -> Iterator[Said]:
    """`--flag value` and `--flag=value` alike; `--a_b` is `--a-b`, as Python's servers read it."""
    for position, word in enumerate(line):
        after = line[position + 1] if position + 1 < len(line) else Word(word.node, "", "")
        name, equals, value = word.text.partition("=")
        if name.startswith("--"):
            has_follower = not equals and not after.text.startswith("--")
            is_apart = has_follower and after.shown != word.shown
            shown = f"{word.shown} {after.shown}".strip() if is_apart else word.shown
            following = after.text if has_follower else ""
            yield Said(word.node, name.replace("_", "-").lower(), value.strip("'\"") if equals else following, shown)
        elif short := _SHORT_BIND.fullmatch(word.text):
            value = short["value"] or after.text
            if _ADDRESS.fullmatch(value):
                yield Said(word.node, BIND, value, word.shown if short["value"] else f"{word.shown} {after.shown}")
