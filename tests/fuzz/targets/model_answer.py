"""What a model's server sends back, whatever it is: one documented answer, and never a clean end of a broken one."""

import atexit
import json
import random
import socket
import time
from typing import TYPE_CHECKING, cast

import uvloop
from tests.fuzz import answers_read, second_reader
from tests.fuzz.mutation import Mutator, pieces, with_cuts
from tests.fuzz.stream_words import EVENTS, WHOLE
from tests.fuzz.stream_words import WORDS as STREAM_WORDS
from tests.fuzz.target import Target
from tests.fuzz.targets.strict_json import same
from tests.fuzz.targets.whole_answer import described
from tests.fuzz.wire_words import WORDS
from tests.unit.guard.scripted import chunked, whole

from bartizan.guard import model_error
from bartizan.guard.answers import Asked, Reader
from bartizan.guard.inspection import LetPass
from bartizan.guard.profiles import openai
from bartizan.guard.refusal import STATUS, Refusal
from bartizan.guard.relay import Relay
from bartizan.guard.reply import Reply, Source
from bartizan.guard.request import Budget
from bartizan.guard.tally import Tally
from bartizan.guard.turn import Turn
from bartizan.guard.upstream_connection import UpstreamConnection
from bartizan.policy.reasons import Reason

if TYPE_CHECKING:
    import asyncio

STREAMS, ANSWERS_TEXT = 1, 2
_ERROR = b'{"error":{"message":"x","type":"y","code":400}}'
_SEEDS = (
    *(whole(body) for body in WHOLE),
    *(chunked(body, kind=b"application/json") for body in WHOLE),
    chunked(*EVENTS[:2], EVENTS[6], EVENTS[-1]),
    chunked(EVENTS[1] + EVENTS[6], EVENTS[8] + EVENTS[-1]),
    chunked(EVENTS[1], EVENTS[6], end=b""),
    whole(_ERROR, status=b"400 Bad Request"),
    whole(_ERROR, b"Connection: close", status=b"503 Service Unavailable"),
    whole(_ERROR, status=b"401 Unauthorized"),
    b"HTTP/1.1 100 Continue\r\n\r\n" + whole(WHOLE[0]),
    whole(b"<html>", kind=b"text/html", status=b"302 Found"),
)
_OWN_WORDS = (
    *(b"HTTP/1.1 200 OK", b"HTTP/1.1 204 No Content", b"HTTP/1.1 304 Not Modified"),
    *(b"HTTP/1.1 101 Switching Protocols",),
    *(b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 999 X", b"HTTP/1.1 000 X", b"HTTP/1.0 200 OK", b"ICY 200 OK"),
    *(b"HTTP/1.1 500 X",),
    *(b"Content-Type: text/event-stream\r\n", b"Content-Type: application/json; charset=x\r\n", b"Set-Cookie: a=b\r\n"),
)  # fmt: skip
_MUTATOR = Mutator(_SEEDS, (*_OWN_WORDS * 3, *WORDS, *STREAM_WORDS))


class Wire:
    """The caller's side: keeps what was written, and how it ended."""

    lost_because = Reason.CLIENT_GONE

    def __init__(self) -> None:
        self.written = b""
        self.has_finished = self.is_cut = False

    def write(self, data: bytes) -> None:
        self.written += data

    def take_from(self, source: Source) -> None: ...

    def let_go_of_source(self) -> None: ...

    def finish(self) -> None:
        assert not self.is_cut, "finished and cut"
        self.has_finished = True

    def will_close(self) -> bool:
        return False

    def cut(self) -> None:
        assert not self.has_finished, "cut and finished"
        self.is_cut = True

    async def drained(self, size: int, within: float) -> None: ...


class Transport:
    def write(self, data: bytes) -> None: ...

    def set_write_buffer_limits(self, *, high: int) -> None: ...

    def abort(self) -> None: ...

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


_OK = 200
_LOOP = uvloop.new_event_loop()
_SOCKET = socket.socket(socket.AF_UNIX)
atexit.register(_SOCKET.close)


def make(chance: random.Random) -> bytes:
    return bytes([chance.randrange(4)]) + with_cuts(_MUTATOR.make(chance), chance)


def judge(case: bytes) -> None:
    manners, cut = case[0] if case else 0, pieces(case[1:])
    wire = Wire()
    refused = _LOOP.run_until_complete(_exchange(manners, cut, wire))
    if refused is not None:
        assert refused.reason in STATUS
        assert not wire.has_finished, "a broken answer ended cleanly"
        assert not any(answer.is_whole for answer in answers_read.read(wire.written, methods=[])), (
            "a broken answer is whole"
        )
        return
    (answer,) = answers_read.read(wire.written, methods=[])
    assert answer.is_whole
    second = second_reader.answer(b"".join(cut))
    if second is None:  # h11 wants more of a head than llhttp does, or came to its end behind the answer
        return
    assert answer.status == second[0], "another parser sees another status"
    if answer.status != _OK:
        told = json.loads(answer.body)["error"]
        assert told.keys() == {"message", "type", "param", "code"}, "an error in the model's form"
        assert len(told["message"]) <= model_error.MAX_MESSAGE
        assert told["code"] in (None, *model_error.CODES)
    elif answer.headers.get(b"Content-Type") == b"application/json":
        is_same = answer.body == second[1] or same(json.loads(answer.body), described(second[1]))
        assert is_same, "another parser sees another body"
        assert not manners & ANSWERS_TEXT or json.loads(answer.body)["choices"] is not None
    assert set(answer.headers) <= {
        b"Content-Type",
        b"Content-Length",
        b"Transfer-Encoding",
        b"X-Request-Id",
        b"Cache-Control",
        b"Retry-After",
    }


async def _exchange(manners: int, cut: list[bytes], wire: Wire) -> Refusal | None:
    """The refusal for which the answer is not whole; any other exception is a finding."""
    connection = UpstreamConnection(_SOCKET, answer_seconds=60)
    connection.connection_made(cast("asyncio.Transport", Transport()))
    asked = Asked(bool(manners & STREAMS), shows_usage=False, is_read=bool(manners & ANSWERS_TEXT), most_output=8)
    reader = Reader(asked, openai.CHOICES, LetPass(), Tally(), Budget(1 << 20, each=1 << 20), "", "req_1")
    turn = Turn(1.0, lambda _: None, clock=time.monotonic)
    relay = Relay(Reply(wire, "req_1", has_body=True), reader, turn, sent=lambda: None, clock=time.monotonic)
    done = connection.send(b"", relay, within=60)
    for piece in cut:
        connection.data_received(piece)
        if done.done():
            break
    connection.connection_lost(None)
    try:
        await done
        await relay.finish(time.monotonic() + 60)
    except Refusal as refusal:
        return refusal
    return None


TARGET = Target("model_answer", make, judge)
