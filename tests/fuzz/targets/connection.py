"""A connection from its first byte to its last: documented answers only, no request unaudited, nothing left behind."""

import random
from typing import Any

from tests.fuzz import answers_read, second_reader
from tests.fuzz.caller import Bench
from tests.fuzz.mutation import Mutator, pieces, with_cuts
from tests.fuzz.target import Target
from tests.fuzz.wire_words import SEEDS, WORDS

from bartizan.guard import strict_json

_MUTATOR = Mutator(SEEDS, WORDS)
_BENCHES: list[Bench] = []


def make(chance: random.Random) -> bytes:
    return bytes([chance.choice((0, 1, 1, chance.randrange(16)))]) + with_cuts(_MUTATOR.make(chance), chance)


def judge(case: bytes) -> None:
    if not _BENCHES:
        _BENCHES.append(Bench())
    bench = _BENCHES[0]
    try:
        written = bench.run(case)
    except BaseException:
        _BENCHES.clear()  # whatever it holds is no other case's fault
        raise
    entries = bench.guard.tape.entries
    methods = [entry["method"].encode() for entry in entries if entry["audit"] == "decision"]
    answers = answers_read.read(written, methods=methods)
    for answer in answers:
        assert answer.status in answers_read.DOCUMENTED, f"status {answer.status} is not documented"
    assert all(entry["reason"] != "InternalFault" for entry in entries), "a fault inside"
    decisions = [entry for entry in entries if entry["audit"] == "decision"]
    assert len(answers) <= len(decisions), "an answer without a decision"
    allowed = [entry for entry in decisions if entry["reason"] == "Allowed"]
    assert len(allowed) == len([entry for entry in entries if entry["audit"] == "outcome"])
    _judge_forwarded(b"".join(pieces(case[1:])), allowed, bench.guard.model.requests)


def _judge_forwarded(data: bytes, allowed: list[dict[str, Any]], forwarded: list[tuple[bytes, bytes]]) -> None:
    """Each request that the model saw was allowed, is in canonical form, and a second parser reads the same."""
    bodies = [entry for entry in allowed if entry["bodyBytes"] is not None]
    assert len(forwarded) <= len(bodies), "a request to the model that no decision allows"
    if not forwarded:
        return
    second = [read for read in second_reader.requests(data) if read.method == b"POST"]
    assert len(second) >= len(forwarded), "another parser sees fewer requests"
    for (path, body), read in zip(forwarded, second, strict=False):
        meant = strict_json.parse(body)
        assert strict_json.serialise(meant) == body, "a body that is not canonical"
        asked = strict_json.parse(read.body)
        assert read.target == path, "another parser sees another path"
        assert {**asked, "max_tokens": 0, "stream_options": 0} == {**meant, "max_tokens": 0, "stream_options": 0}


TARGET = Target("connection", make, judge)
