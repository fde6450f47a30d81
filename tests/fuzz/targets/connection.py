"""A connection from its first byte to its last: documented answers only, no request unaudited, nothing left behind."""

import hashlib
import random
from typing import Any

from tests.fuzz import answers_read, second_reader
from tests.fuzz.caller import Bench
from tests.fuzz.mutation import Mutator, pieces, with_cuts
from tests.fuzz.target import Target
from tests.fuzz.wire_words import SEEDS, WORDS

from bartizan.guard import strict_json
from bartizan.guard.strict_json import JsonError

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
    _judge_allowed(allowed, bench.guard.model.requests)
    if len(allowed) == len(decisions):  # h11 reads nothing behind a request that it refuses, too
        _judge_forwarded(b"".join(pieces(case[1:])), bench.guard.model.requests)


def _judge_allowed(allowed: list[dict[str, Any]], forwarded: list[tuple[bytes, bytes]]) -> None:
    """Each request that the model saw was allowed, and is in canonical form."""
    hashes = [entry["bodySha256"] for entry in allowed]
    for _, body in forwarded:
        assert hashlib.sha256(body).hexdigest() in hashes, "a request to the model that no decision allows"
        assert strict_json.serialise(strict_json.parse(body)) == body, "a body that is not canonical"
    assert len(forwarded) <= len(allowed)


def _judge_forwarded(data: bytes, forwarded: list[tuple[bytes, bytes]]) -> None:
    """A second parser reads the same requests, in the same order."""
    reads = iter(second_reader.requests(data) if forwarded else [])
    for path, body in forwarded:
        assert any(_is_same(read, path, body) for read in reads), "another parser does not see this request"


def _is_same(read: second_reader.Read, path: bytes, body: bytes) -> bool:
    """But for what the guard itself tells the model."""
    try:
        asked = strict_json.parse(read.body)
    except JsonError:
        return False
    told = {"max_tokens": 0, "stream_options": 0}
    is_object = isinstance(asked, dict)
    return is_object and read.target == path and {**asked, **told} == {**strict_json.parse(body), **told}


TARGET = Target("connection", make, judge)
