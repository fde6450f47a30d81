"""No way round the seam: a term that the model can read in any string of what it is sent was seen by the seam."""

import json
import random
from collections.abc import Iterator

from tests.fuzz.target import Target
from tests.fuzz.targets.schema import ENFORCED, ROUTES, text_for
from tests.fuzz.values import TEXTS, Wisher

from bartizan.guard import body
from bartizan.guard.refusal import Refusal

CANARY = "qzx"
HIDDEN = (
    "qzx",
    "QZX",
    "q\u200bzx",
    "\\u0071zx",
    "qz",
    "x",
    "ｑｚｘ",
    "aqzxb",
    "qzx\x00",
    '"qzx"',
    "cXp4",
    "{qzx}",
    "\ud800qzx",
)


def make(chance: random.Random) -> bytes:
    number = chance.randrange(len(ROUTES))
    wisher = Wisher(chance, texts=(*HIDDEN * 3, *TEXTS), wild=0.01)
    return bytes([number]) + text_for(ROUTES[number][1], chance, wisher)


def judge(case: bytes) -> None:
    profile, route = ROUTES[case[0] % len(ROUTES)] if case else ROUTES[0]
    try:
        judged = body.judge(case[1:], route, ENFORCED[profile])
    except Refusal:
        return
    seen = [leaf.text for leaf in judged.leaves()]
    assert sorted(seen) == sorted(strings(json.loads(judged.canonical))), "the seam and the model read other strings"
    text = judged.canonical.decode()
    if CANARY in text.lower():
        assert any(CANARY in leaf.lower() for leaf in seen), "the model sees the term and the seam does not"


def strings(value: object) -> Iterator[str]:
    """Every string in JSON, names too, as a reader of the model's would find them."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from strings(item)
    elif isinstance(value, dict):
        yield from value
        for item in value.values():
            yield from strings(item)


TARGET = Target("canary", make, judge)
