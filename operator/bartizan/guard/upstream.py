"""The way to the model: connects, keeps idle connections for a moment, frames each request from scratch."""

import asyncio
import errno
import socket

from bartizan.guard import refusal
from bartizan.guard.deadlines import Deadlines
from bartizan.guard.settings import Address
from bartizan.guard.upstream_connection import Receiver, UpstreamConnection
from bartizan.policy.reasons import Reason

IDLE_SECONDS = 2.0
"""Model servers close idle connections after five seconds; one used well before that is not closed underneath."""
MAX_IDLE = 64
CONNECT_SECONDS = 2.0
UNSENT_BYTES = 16 * 1024
"""Of a body, about what the kernel takes beyond what is on its way to a model on a port. Left to itself it takes all of
one that the model does not read yet, which would be out of the budget of bodies and in the container's memory."""

_REASONS = {errno.ENOENT: Reason.SOCKET_ABSENT, errno.ECONNREFUSED: Reason.SOCKET_STALE,
            errno.EACCES: Reason.SOCKET_FORBIDDEN, errno.EPERM: Reason.SOCKET_FORBIDDEN}  # fmt: skip


class Upstream:
    """An inference is never sent twice: no exchange is repeated, whatever became of it."""

    def __init__(self, address: Address, deadlines: Deadlines, *, answer_seconds: float) -> None:
        self._address = address
        self._deadlines = deadlines
        self._answer_seconds = answer_seconds
        self._idle: list[UpstreamConnection] = []
        self.is_up = False
        """Whether somebody accepted the connection of the last probe."""

    def most_seconds(self, stream_seconds: float) -> float:
        """How long an answer may take in all: as long as a stream may, and no less than a model may be silent."""
        return max(stream_seconds, self._answer_seconds)

    async def forward(self, path: bytes, body: bytes, receiver: Receiver, header: bytes, *, within: float) -> None:
        """Hand the model's answer to `receiver`; raises Refusal. Cancelled, it closes the connection at once.

        `header` holds further lines, each with its end; the whole answer must come `within` so many seconds.
        """
        connection = self._take_idle() or await self._open()
        try:
            answered = connection.send(_frame(path, body, header), receiver, within=within)
            del body  # a long answer must not hold on to what was asked
            await answered
        finally:
            if connection.is_reusable and len(self._idle) < MAX_IDLE:
                self._idle.append(connection)
            else:
                self._drop(connection)

    async def probe(self) -> Reason:
        """GuardReady when somebody accepts connections, else what is wrong with the socket."""
        found = await self._try_to_connect()
        self.is_up = found is Reason.GUARD_READY
        return found

    async def _try_to_connect(self) -> Reason:
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                (await self._connect()).close()
        except OSError as error:
            if self._address.port and error.errno == errno.ECONNREFUSED:
                return Reason.SOCKET_ABSENT
            return _REASONS.get(error.errno or 0, Reason.UPSTREAM_UNAVAILABLE)
        return Reason.GUARD_READY

    def close(self) -> None:
        while self._idle:
            self._drop(self._idle.pop())

    def _take_idle(self) -> UpstreamConnection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.is_fit(IDLE_SECONDS):
                return connection
            self._drop(connection)
        return None

    def _drop(self, connection: UpstreamConnection) -> None:
        self._deadlines.forget(connection)
        connection.abort()

    async def _open(self) -> UpstreamConnection:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                sock = await self._connect()
        except OSError as error:
            raise refusal.unavailable(Reason.UPSTREAM_UNAVAILABLE) from error
        protocol = UpstreamConnection(sock, answer_seconds=self._answer_seconds)
        if self._address.path:
            await loop.create_unix_connection(lambda: protocol, sock=sock)
        else:
            await loop.create_connection(lambda: protocol, sock=sock)
        self._deadlines.watch(protocol)
        return protocol

    async def _connect(self) -> socket.socket:
        """A connected socket; raises OSError (a timeout is one)."""
        sock = socket.socket(socket.AF_UNIX if self._address.path else socket.AF_INET, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            if self._address.path:
                sock.connect(self._address.path)  # at once or not at all: a full backlog is an error and no wait
            else:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)
                await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", self._address.port))
        except BaseException:
            sock.close()
            raise
        return sock


def _frame(path: bytes, body: bytes, header: bytes) -> bytes:
    """The whole request to the model: nothing in it comes from the caller but what was judged."""
    return b"".join(
        (
            b"POST ",
            path,
            b" HTTP/1.1\r\nHost: model\r\n",
            header,
            b"Content-Type: application/json\r\nAccept: */*\r\nContent-Length: ",
            b"%d" % len(body),
            b"\r\n\r\n",
            body,
        )
    )
