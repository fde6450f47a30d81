"""An answer that comes whole, of any protocol: passed on as it is, or changed by nobody but the seam."""

import json
import random
from collections.abc import Callable
from typing import Any, NamedTuple

from tests.fuzz import odd_json
from tests.fuzz.mutation import Mutator
from tests.fuzz.stream_words import WHOLE, WHOLE_INFERENCE, WHOLE_TOKENS, WORDS
from tests.fuzz.target import Target
from tests.fuzz.targets.stream_answer import Recorder
from tests.fuzz.targets.strict_json import same
from tests.unit.guard import test_anthropic_answers, test_responses_answers
from tests.unit.guard.inspectors import Blot

from bartizan.guard.inspection import Inspector
from bartizan.guard.profiles import anthropic_answers, kserve, openai_answers, responses_answers
from bartizan.guard.tally import AnswerError, Tally
from bartizan.policy.tokens import Amount

NAMES = ("id", "object", "created", "model", "system_fingerprint", "service_tier")
"""What a server says of itself and of the answer; the rest is text and usage."""
_TERMS = ("hello", odd_json.TERM)


class Protocol(NamedTuple):
    """`described` is what goes on of an answer that nobody changes; `parts` is the field whose items have a bound."""

    read: Callable[[bytes, Inspector, Tally], bytes]
    seeds: tuple[bytes, ...]
    described: Callable[[bytes], dict[str, Any]]
    parts: str
    most: int


def described(answer: bytes) -> dict[str, Any]:
    """OpenAI's answer without fields that nobody described, and those of what it says of itself that are no word."""
    found = _only(answer, frozenset({*NAMES, "choices", "usage"}))
    return {name: value for name, value in found.items() if name not in NAMES or _is_word(name, value)}


def _is_word(name: str, value: Any) -> bool:
    return value is None or (type(value) in (int, float) if name == "created" else isinstance(value, str))


def _only(answer: bytes, fields: frozenset[str]) -> dict[str, Any]:
    found = json.loads(answer)
    return {name: found[name] for name in found if name in fields}


def _seeds(*answers: dict[str, Any]) -> tuple[bytes, ...]:
    return tuple(json.dumps(answer).encode() for answer in answers)


_RESPONSES = _seeds(
    test_responses_answers.STREAM[-1]["response"],
    test_responses_answers.response("completed", test_responses_answers.MESSAGE, metadata={"a": "b"}),
)
OPENAI = Protocol(
    openai_answers.read_whole,
    (*WHOLE, WHOLE_TOKENS),
    described,
    "choices",
    openai_answers.MAX_CHOICES,
)
PROTOCOLS = (
    OPENAI,
    Protocol(
        anthropic_answers.read_whole,
        _seeds(test_anthropic_answers.MESSAGE),
        lambda answer: _only(answer, anthropic_answers._MESSAGE),
        "content",
        anthropic_answers.MAX_BLOCKS,
    ),
    Protocol(
        responses_answers.read_whole,
        _RESPONSES,
        lambda answer: _only(answer, responses_answers._RESPONSE),
        "output",
        responses_answers.MAX_ITEMS,
    ),
    Protocol(kserve.read_whole, (WHOLE_INFERENCE,), lambda answer: _only(answer, kserve._FIELDS), "outputs", 1 << 20),
)
_MUTATORS = tuple(Mutator(protocol.seeds, (*WORDS, b"secret", b'"type":"secret"')) for protocol in PROTOCOLS)


def make(chance: random.Random) -> bytes:
    number = chance.randrange(len(PROTOCOLS))
    if chance.random() < 0.5:
        return bytes([number]) + _MUTATORS[number].make(chance)
    seed = json.loads(chance.choice(PROTOCOLS[number].seeds))
    return bytes([number]) + json.dumps(odd_json.changed(seed, chance)).encode()


def judge(case: bytes) -> None:
    """A first byte that no JSON begins with says which protocol it is."""
    protocol = OPENAI
    if case and case[0] < len(PROTOCOLS):
        protocol, case = PROTOCOLS[case[0]], case[1:]
    _judge_tail(case)
    recorder, tally = Recorder(3), Tally()
    try:
        out = protocol.read(case, recorder, tally)
    except AnswerError:
        return
    assert out == case or same(json.loads(out), protocol.described(case)), "changed by nobody"
    assert recorder.given == recorder.seen
    assert len(json.loads(out)[protocol.parts]) <= protocol.most
    assert min(tally.spent(held=Amount(5, 5))) >= 0
    for term in _TERMS:
        try:
            blotted = json.loads(protocol.read(case, Blot(term), Tally()))
        except AnswerError:  # a text under a name that the seam has changed, or two names that it has made one
            continue
        assert term not in json.dumps(blotted), "past the seam"


def _judge_tail(case: bytes) -> None:
    try:
        said = openai_answers.tail_usage(case[-512:])
    except AnswerError:
        return
    assert all(figure is None or figure >= 0 for figure in said or ())


TARGET = Target("whole_answer", make, judge)
