"""The reader of requests: any bytes are a request or a refusal, the same wherever they are cut, and nothing is kept."""

import random

from tests.fuzz.mutation import Mutator, pieces, with_cuts
from tests.fuzz.target import Target
from tests.fuzz.wire_words import SEEDS, WORDS

from bartizan.guard import incoming
from bartizan.guard.incoming import Incoming
from bartizan.guard.refusal import Refusal
from bartizan.guard.request import Budget, Head, Request

MOST_BODY = 4096
_MUTATOR = Mutator(SEEDS, WORDS)
Outcome = tuple[object, ...]


def make(chance: random.Random) -> bytes:
    return with_cuts(_MUTATOR.make(chance), chance)


def judge(case: bytes) -> None:
    cut = pieces(case)
    found, whole = _read(cut), _read([b"".join(cut)])
    if sum(map(len, cut)) > incoming.MAX_HEADER_BYTES:
        return  # how much comes at once decides which cap it meets
    assert bool(found[0]) == bool(whole[0]), f"a cut decides whether it is refused: {found[0] or whole[0]}"
    assert found[0] or found == whole, "a cut decides what is read"


def _read(cut: list[bytes]) -> Outcome:
    """The first request, as far as it came, and the reason for which no more of it was read."""
    budget = Budget(2 * MOST_BODY, each=MOST_BODY)
    made: list[Request] = []

    def begun(head: Head) -> Request:
        made.append(Request(head, "r", budget, asked=lambda: None))
        return made[-1]

    reader = Incoming(begun)
    reason = ""
    try:
        for piece in cut:
            reader.feed(piece)
    except Refusal as refusal:
        reason = refusal.reason
    assert len(made) <= 1, "a second request was begun before the first was answered"
    request = made[0] if made else None
    outcome: Outcome = (reason, reader.is_whole)
    if request:
        head, body = request.head, bytes(request._body)
        assert len(body) <= MOST_BODY
        assert len(head.fields) <= incoming.MAX_HEADER_COUNT or reason, "more header lines than are read"
        outcome = (*outcome, head.method, head.path, head.fields, str(head.fault), body)
        request.release()
    assert budget.left == 2 * MOST_BODY, "bytes of a body were not given back"
    return outcome


TARGET = Target("incoming", make, judge)
