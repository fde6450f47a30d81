"""Sends requests to one port of this machine: as many as are answered, at a rate that does not wait, or as streams."""

import asyncio
import random
import ssl
import time
from collections import Counter, deque
from collections.abc import Iterator
from typing import cast

import httptools
from bench.guard.alarm import Alarm

_EVENT = b"data: "


class Connection(asyncio.Protocol):
    """One kept-alive connection, one request at a time; opens anew what the peer closes."""

    def __init__(self, load: "Load") -> None:
        self._load = load
        self._busy_since: float | None = None
        self._transport: asyncio.Transport | None = None

    @property
    def is_open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._parser = httptools.HttpResponseParser(self)

    def send(self, request: bytes, due: float) -> None:
        """`due` is when it should have been sent: its latency counts from there."""
        self._busy_since = due
        if self._transport is not None:
            self._transport.write(request)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        self._load.reads += 1
        self._parser.feed_data(data)

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002 -- asyncio's signature
        if self._busy_since is not None:
            self._load.statuses["broken"] += 1
        self._load.lost(self)

    def on_headers_complete(self) -> None:
        self._keeps_alive = self._parser.should_keep_alive()  # asked here: the parser forgets it with the message's end

    def on_body(self, piece: bytes) -> None:
        self._load.events += piece.count(_EVENT)

    def on_message_complete(self) -> None:
        due, self._busy_since = self._busy_since or 0.0, None
        self._load.statuses[str(self._parser.get_status_code())] += 1
        if not self._keeps_alive:
            self.close()  # as every client does, who was told that the connection ends here
        self._load.answered(self, due)


class Load:
    """`statuses` counts answers, `events` a stream's chunks, `reads` what the kernel handed over at one time."""

    def __init__(self, port: int, tls: ssl.SSLContext | None = None) -> None:
        self.statuses: Counter[str] = Counter()
        self.events = 0
        self.reads = 0
        self._port = port
        self._tls = tls
        self._is_over = False
        self._connections: set[Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def completed(self) -> int:
        return self.statuses.total()

    async def open(self, connections: int) -> None:
        for _ in range(connections):
            await self._connect()

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(lambda: Connection(self), "127.0.0.1", self._port, ssl=self._tls)
        self._connections.add(connection)
        self.ready(connection)

    def ready(self, connection: Connection) -> None:
        """A connection is there to be used."""

    def answered(self, connection: Connection, due: float) -> None:  # noqa: ARG002 -- the open loop needs it
        if not self._is_over and connection.is_open:
            self.ready(connection)

    def lost(self, connection: Connection) -> None:
        self._connections.discard(connection)
        if not self._is_over:
            task = asyncio.get_running_loop().create_task(self._connect())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        self._is_over = True
        for connection in list(self._connections):
            connection.close()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.sleep(0.05)  # the kernel and the peer see the ends before the next measure begins


class ClosedLoop(Load):
    """Every connection sends its next request once the one before is answered."""

    def __init__(self, port: int, request: bytes) -> None:
        super().__init__(port)
        self._request = request

    def ready(self, connection: Connection) -> None:
        connection.send(self._request, 0.0)


class Streaming(Load):
    """Every connection holds one stream, which is not asked for again."""

    def __init__(self, port: int, request: bytes, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(port, tls)
        self._request = request
        self._asked: set[Connection] = set()

    def ready(self, connection: Connection) -> None:
        if connection not in self._asked:
            self._asked.add(connection)
            connection.send(self._request, 0.0)


class OpenLoop(Load):
    """Sends at Poisson's times whatever comes back; a request that finds no free connection waits and ages."""

    def __init__(self, port: int, requests: Iterator[bytes], *, rate: float, seed: int) -> None:
        super().__init__(port)
        self.latencies: list[float] = []
        self._requests = requests
        self._rate = rate
        self._chance = random.Random(seed)
        self._idle: deque[Connection] = deque()
        self._waiting: deque[tuple[bytes, float]] = deque()
        self._alarm = Alarm(self._ring)

    def begin(self) -> None:
        self._next = time.monotonic() + self._chance.expovariate(self._rate)
        self._alarm.start()
        self._alarm.set(self._next)

    def _ring(self) -> None:
        now = time.monotonic()
        while self._next <= now:
            self._send(next(self._requests), self._next)
            self._next += self._chance.expovariate(self._rate)
        self._alarm.set(self._next)

    def _send(self, request: bytes, due: float) -> None:
        while self._idle:
            connection = self._idle.popleft()
            if connection.is_open:
                connection.send(request, due)
                return
        self._waiting.append((request, due))

    def ready(self, connection: Connection) -> None:
        if self._waiting:
            connection.send(*self._waiting.popleft())
        else:
            self._idle.append(connection)

    def answered(self, connection: Connection, due: float) -> None:
        self.latencies.append(time.monotonic() - due)
        super().answered(connection, due)

    def outstanding(self) -> list[float]:
        """Ages of requests that should have been sent and found no connection: they count as at least that late."""
        now = time.monotonic()
        return [now - due for _, due in self._waiting]

    async def close(self) -> None:
        self._alarm.close()
        await super().close()
