"""An answer that comes whole: passed on as it is, or changed by nobody but the seam, which has seen every text."""

import json
import random
from typing import Any

from tests.fuzz.mutation import Mutator
from tests.fuzz.stream_words import WHOLE, WORDS
from tests.fuzz.target import Target
from tests.fuzz.targets.stream_answer import Recorder
from tests.fuzz.targets.strict_json import same
from tests.unit.guard.inspectors import Blot

from bartizan.guard.profiles.openai_answers import read_whole, tail_usage
from bartizan.guard.tally import AnswerError, Tally
from bartizan.policy.tokens import Amount

_MUTATOR = Mutator(WHOLE, WORDS)
NAMES = ("id", "object", "created", "model", "system_fingerprint", "service_tier")
"""What a server says of itself and of the answer; the rest is text and usage."""


def make(chance: random.Random) -> bytes:
    return _MUTATOR.make(chance)


def judge(case: bytes) -> None:
    _judge_tail(case)
    recorder, tally = Recorder(3), Tally()
    try:
        out = read_whole(case, recorder, tally)
    except AnswerError:
        return
    assert out == case or same(json.loads(out), described(case)), "an inspector that changes nothing changed something"
    assert recorder.given == recorder.seen
    try:
        blotted = json.loads(read_whole(case, Blot("hello"), Tally()))
    except AnswerError:  # a text under a name that the seam has changed
        return
    assert "hello" not in json.dumps({name: blotted[name] for name in blotted if name not in NAMES}), "past the seam"
    assert min(tally.spent(held=Amount(5, 5))) >= 0


def described(answer: bytes) -> dict[str, Any]:
    """The answer without fields that nobody described."""
    found = json.loads(answer)
    return {name: found[name] for name in found if name in (*NAMES, "choices", "usage")}


def _judge_tail(case: bytes) -> None:
    try:
        said = tail_usage(case[-512:])
    except AnswerError:
        return
    assert all(figure is None or figure >= 0 for figure in said or ())


TARGET = Target("whole_answer", make, judge)
