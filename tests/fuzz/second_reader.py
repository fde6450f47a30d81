"""A second opinion on HTTP: what h11, which shares no code with the guard's parser, makes of the same bytes."""

import re
from dataclasses import dataclass

import h11

_GENEROUS = re.compile(rb"(\A|\r\n\r\n|\})[\r\n]*([A-Z]+) +(\S+) +(HTTP/1\.1)")
"""llhttp takes several spaces within a request line and odd line ends before it, which RFC 9112 (2.2, 3) lets a server
do and h11 does not: nothing comes of it, since nothing of the line but method and target is used."""

_ZEROS = re.compile(rb"\r\n0{9,}")
"""Of a chunk's size, which h11 takes with 20 digits at the most, and the guard within its bound on framing."""


@dataclass(frozen=True)
class Read:
    method: bytes
    target: bytes
    body: bytes


def requests(data: bytes) -> list[Read]:
    """The whole requests at the beginning of the bytes, until h11 understands them no more."""
    data = _GENEROUS.sub(rb"\1\2 \3 \4", _ZEROS.sub(b"\r\n0", data))
    found: list[Read] = []
    connection = h11.Connection(our_role=h11.SERVER, max_incomplete_event_size=1 << 20)
    connection.receive_data(data)
    request, body = None, b""
    try:
        while True:
            event = connection.next_event()
            if isinstance(event, h11.Request):
                request, body = event, b""
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage) and request is not None:
                found.append(Read(request.method, request.target, body))
                connection.send(h11.Response(status_code=200, headers=[("Content-Length", "0")]))
                connection.send(h11.EndOfMessage())
            elif event is h11.PAUSED and connection.our_state is h11.DONE and connection.their_state is h11.DONE:
                connection.start_next_cycle()
            else:
                return found
    except h11.RemoteProtocolError:
        return found


def answer(data: bytes) -> tuple[int, bytes] | None:
    """Status and body of the one whole answer at the beginning of the bytes; None where h11 sees none."""
    connection = h11.Connection(our_role=h11.CLIENT, max_incomplete_event_size=1 << 20)
    connection.send(h11.Request(method="POST", target="/", headers=[("Host", "x"), ("Content-Length", "0")]))
    connection.send(h11.EndOfMessage())
    connection.receive_data(data)
    status, body = 0, b""
    try:
        while True:
            event = connection.next_event()
            if isinstance(event, h11.Response):
                status = event.status_code
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                return status, body
            elif not isinstance(event, h11.InformationalResponse):
                return None
    except h11.RemoteProtocolError:
        return None
