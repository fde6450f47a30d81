"""No way round the seam from the wire: whatever encoding, framing or place, what the model reads the seam has seen."""

import gzip
import json
import random
import zlib

from tests.fuzz.caller import Bench
from tests.fuzz.mutation import Mutator, with_cuts
from tests.fuzz.target import Target
from tests.fuzz.targets.canary import CANARY, HIDDEN, strings
from tests.fuzz.targets.schema import ROUTES, text_for
from tests.fuzz.values import TEXTS, Wisher
from tests.fuzz.wire_words import ALIVE, CHUNKED, SEEDS, WORDS
from tests.unit.guard.inspectors import HoldBack
from tests.unit.guard.running import request_bytes

_SEEN = HoldBack(0)
_BENCHES: list[Bench] = []
_LINES = (
    *(b"Content-Type: application/json; charset=utf-8", b"Content-Type: application/json;charset=UTF-8"),
    *(b"Content-Type: application/json; charset=utf-16", b"Content-Type: text/plain"),
    *(b"Content-Type: application/json, x/y",),
    *(b"Content-Encoding: gzip", b"Content-Encoding: identity", b"Content-Encoding: br", b"Accept-Encoding: gzip"),
    *(b"Expect: 100-continue", b"X-Prompt: " + CANARY.encode(), b"Content-Language: x", b"X-HTTP-Method-Override: GET"),
)  # fmt: skip
_ENCODINGS = ("utf-16", "utf-16-le", "utf-32", "utf-7", "utf-8-sig", "latin-1")


def make(chance: random.Random) -> bytes:
    route = ROUTES[chance.randrange(len(ROUTES))][1]
    text = text_for(route, chance, Wisher(chance, texts=(*HIDDEN * 3, *TEXTS), wild=0.002))
    lines = [chance.choice(_LINES)] if chance.random() < 0.3 else []
    body = _encoded(text, chance) if chance.random() < 0.2 else text
    if chance.random() < 0.4:
        body, lines = _chunked(body, chance), [*lines, CHUNKED]
    data = request_bytes(body, *lines, *([ALIVE] if chance.random() < 0.3 else []), path=route.path)
    if chance.random() < 0.2:
        data += chance.choice(SEEDS)
    if chance.random() < 0.2:
        data = Mutator((data,), WORDS).make(chance)
    return bytes([chance.choice((0, 1))]) + with_cuts(data, chance)


def _encoded(text: bytes, chance: random.Random) -> bytes:
    match chance.randrange(4):
        case 0:
            return gzip.compress(text)
        case 1:
            return zlib.compress(text)
        case 2:
            return text + chance.choice((b"\n", b" ", b"{}", b"\x00", text))
    return text.decode("utf-8", "replace").encode(chance.choice(_ENCODINGS), "replace")


def _chunked(body: bytes, chance: random.Random) -> bytes:
    out, at = b"", 0
    while at < len(body):
        size = chance.choice((1, 3, 50, len(body)))
        piece = body[at : at + size]
        out += b"%x%b\r\n%b\r\n" % (len(piece), chance.choice((b"", b"", b";a=b")), piece)
        at += size
    return out + b"0\r\n\r\n"


def judge(case: bytes) -> None:
    if not _BENCHES:
        _BENCHES.append(Bench(lambda: _SEEN))
    _SEEN.leaves.clear()
    try:
        _BENCHES[0].run(case)
    except BaseException:
        _BENCHES.clear()
        raise
    seen = {leaf.text for leaf in _SEEN.leaves}
    for _, body in _BENCHES[0].guard.model.requests:
        missed = set(strings(json.loads(body))) - seen
        assert not missed, f"the model reads what the seam has not seen: {missed}"
        assert CANARY not in body.decode() or any(CANARY in text for text in seen)


TARGET = Target("bypass", make, judge)
