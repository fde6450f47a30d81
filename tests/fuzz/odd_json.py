"""JSON that is nearly well-formed for its protocol: here a value or a name of another kind, there one too many."""

import json
import random
from collections.abc import Iterator
from typing import Any

TERM = "secret"
"""What the tests' inspector blots out; wherever it is put, it must not go out."""
MOST_CHANGES = 3
CROWD = 300
_ODD: tuple[Any, ...] = (
    *(None, True, 0, -1, 1.5, 10**30, "", "\ud83d", TERM, [], {}, [[]], [None], [TERM], {TERM: 1}, {"a": TERM}),
    *({TERM: TERM}, {"type": TERM}, {"type": [TERM]}, {"index": TERM}, {"token": [TERM]}, {"a": [{TERM: [TERM]}]}),
)
_NAMES = (TERM, f"a {TERM} b", "x", "index", "type", "text", "content", "delta", "bytes", "token", "logprobs", "usage")


def changed(value: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    """A copy with a few changes, each somewhere in it."""
    copy: dict[str, Any] = json.loads(json.dumps(value))
    for _ in range(1 + chance.randrange(MOST_CHANGES)):
        _change(chance.choice(list(_holders(copy))), chance)
    return copy


def _holders(value: Any) -> Iterator[Any]:
    """Every object and list, the outermost first."""
    if isinstance(value, dict | list):
        yield value
        for item in value.values() if isinstance(value, dict) else value:
            yield from _holders(item)


def _change(holder: Any, chance: random.Random) -> None:
    odd = json.loads(json.dumps(chance.choice(_ODD)))
    keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
    how = chance.randrange(8) if keys else 0
    if how < 2:
        _add(holder, odd, chance)
    elif how == 2:
        del holder[chance.choice(keys)]
    elif how == 3:
        key = chance.choice(keys)
        holder[key] = chance.choice(([holder[key]], {TERM: holder[key]}, {"text": holder[key]}))
    elif how == 4:
        _crowd(holder, chance)
    else:
        holder[chance.choice(keys)] = odd


def _add(holder: Any, odd: Any, chance: random.Random) -> None:
    if isinstance(holder, dict):
        holder[chance.choice(_NAMES)] = odd
    else:
        holder.insert(chance.randrange(len(holder) + 1), odd)


def _crowd(holder: Any, chance: random.Random) -> None:
    """Far more items than there were; those with an index of their own each with another."""
    if isinstance(holder, list) and isinstance(item := holder[0], dict) and chance.random() < 0.2:
        holder[:] = [{**item, "index": number} if "index" in item else item for number in range(CROWD)]
