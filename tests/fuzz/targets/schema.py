"""The bodies of every route: refused in plain words, or sent as they were judged, with a bound on what they cost."""

import json
import random

from tests.fuzz.mutation import Mutator
from tests.fuzz.target import Target
from tests.fuzz.targets.strict_json import _WORDS, same
from tests.fuzz.values import Object, Wisher, written
from tests.unit.guard.running import document

from bartizan.guard import body, enforcement, refusal
from bartizan.guard.profiles.contract import Route
from bartizan.guard.refusal import Refusal

ENFORCED = {
    name: enforcement.prepare(document(protocol=name, max_output_tokens=4096), b"") for name in enforcement.PROFILES
}
ROUTES = [
    (name, route) for name, enforced in ENFORCED.items() for route in enforced.profile.routes.values() if route.schema
]


def make(chance: random.Random) -> bytes:
    number = chance.randrange(len(ROUTES))
    return bytes([number]) + text_for(ROUTES[number][1], chance, Wisher(chance))


def text_for(route: Route, chance: random.Random, wisher: Wisher) -> bytes:
    """A body as a caller might write it; one in four is changed in a few of its bytes."""
    assert route.schema is not None
    wish = wisher.of(route.schema)
    if isinstance(wish, Object) and chance.random() < 0.9:
        wish[:] = [(name, "demo") if name == "model" else (name, item) for name, item in wish]
    text = written(wish, chance).encode("utf-8", "surrogatepass")
    return text if chance.random() < 0.75 else Mutator((text,), _WORDS).make(chance)


def judge(case: bytes) -> None:
    profile, route = ROUTES[case[0] % len(ROUTES)] if case else ROUTES[0]
    try:
        judged = body.judge(case[1:], route, ENFORCED[profile])
    except Refusal as refused:
        _judge_refusal(profile, refused)
        return
    sent = json.loads(judged.canonical)
    assert same(sent, dict(judged.value)), "what is sent is not what was judged"
    assert route.is_of_model or sent["model"] == "demo"
    asked = json.loads(case[1:])
    changed = {
        name for name in {*sent, *asked} if name not in sent or name not in asked or not same(sent[name], asked[name])
    }
    told = route.account.output if route.account else ()
    assert changed <= {*told, "stream_options", *route.forced}, f"the guard changed {changed}"
    assert {name: sent[name] for name in route.forced} == dict(route.forced)
    if told:
        assert 1 <= sent[told[0]] <= 4096, "the model is not told how much it may say"
        assert judged.most.output >= sent[told[0]], "less is held than the model may say"
    assert judged.most.output or not route.answers_text
    assert judged.most.input >= len(judged.canonical), "less is held than the model may read"


def _judge_refusal(profile: str, refused: Refusal) -> None:
    assert 400 <= refusal.STATUS[refused.reason] < 500, f"a body is the caller's own fault: {refused}"
    told = ENFORCED[profile].profile.refusal_body(refused, "req_1")
    assert told.isascii(), "a refusal in odd characters"
    assert len(told) < 2048, "a refusal that repeats too much"
    assert isinstance(json.loads(told), dict)


TARGET = Target("schema", make, judge)
