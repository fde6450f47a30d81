"""The floor: what httptools and uvloop cost for passing a request on unjudged, from TCP to a unix socket.

Run as a program it is that proxy; everything that the guard costs beyond it is what the guard does.
"""

import asyncio
import contextlib
import sys
from collections import deque
from collections.abc import Iterator
from typing import cast

import httptools
import uvloop
from bench.guard.peers.contract import CLIENTS, Limit, Peer, Place, Running, await_answer, free_port
from bench.guard.processes import Streams, started

_FRAME = b"POST %b HTTP/1.1\r\nHost: model\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"


class Upstream(asyncio.Protocol):
    """One connection to the model; gives what it reads to the caller of the moment."""

    def __init__(self, idle: deque["Upstream"]) -> None:
        self._idle = idle
        self._caller: Caller | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._parser = httptools.HttpResponseParser(self)

    def send(self, request: bytes, caller: "Caller") -> None:
        self._caller = caller
        self._is_ended = False
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)
        if self._caller is not None:
            self._caller.transport.write(data)
        if self._is_ended:
            self._caller = None
            self._idle.append(self)

    def on_message_complete(self) -> None:
        self._is_ended = True

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002 -- asyncio's signature
        with contextlib.suppress(ValueError):
            self._idle.remove(self)
        if self._caller is not None:
            self._caller.transport.close()


class Caller(asyncio.Protocol):
    """One client's connection."""

    def __init__(self, path: str, idle: deque[Upstream]) -> None:
        self._path = path
        self._idle = idle
        self._upstream: Upstream | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._parser = httptools.HttpRequestParser(self)
        self._url = self._body = b""

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002 -- asyncio's signature
        if self._upstream is not None and self._upstream not in self._idle:
            self._upstream.transport.abort()

    def on_url(self, part: bytes) -> None:
        self._url += part

    def on_header(self, name: bytes, value: bytes) -> None:
        """Dropped: as with the guard, nothing of the caller's header goes on."""

    def on_body(self, piece: bytes) -> None:
        self._body += piece

    def on_message_complete(self) -> None:
        request = _FRAME % (self._url, len(self._body), self._body)
        self._url = self._body = b""
        if self._idle:
            self._forward(self._idle.pop(), request)
        else:
            self._opening = asyncio.get_running_loop().create_task(self._open(request))

    async def _open(self, request: bytes) -> None:
        loop = asyncio.get_running_loop()
        _, upstream = await loop.create_unix_connection(lambda: Upstream(self._idle), self._path)
        self._forward(upstream, request)

    def _forward(self, upstream: Upstream, request: bytes) -> None:
        self._upstream = upstream
        upstream.send(request, self)


async def _serve(path: str, port: int) -> None:
    idle: deque[Upstream] = deque()
    server = await asyncio.get_running_loop().create_server(lambda: Caller(path, idle), "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


@contextlib.contextmanager
def start(place: Place, limit: Limit) -> Iterator[Running]:  # noqa: ARG001 -- it has no limits
    port, log = free_port(), place.folder / "log"
    command = [sys.executable, "-m", "bench.guard.peers.floor", str(place.socket), str(port)]
    with started(command, Streams(log), core=place.cores.measured) as process:
        yield await_answer(Running(port, process, dict.fromkeys(CLIENTS, ())), log)


PEER = Peer("floor", "Floor: a bare httptools + uvloop proxy", start)

if __name__ == "__main__":
    uvloop.run(_serve(sys.argv[1], int(sys.argv[2])))
