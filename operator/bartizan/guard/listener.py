"""The clients' port: caps connections, and lets go of them in order when the guard is to end."""

import asyncio
import socket
from collections.abc import Callable

from bartizan.guard.connection import ClientConnection, Surroundings
from bartizan.policy.reasons import Reason

BACKLOG = 1024
SETTLE_SECONDS = 0.05
"""How often a draining listener looks whether everyone has left."""

CUT_SECONDS = 1.0
"""How long requests that were cut may take to say so in the audit."""


def bind(address: str, port: int) -> socket.socket:
    """A listening socket; without an address on IPv4 and, where the node has it, on IPv6."""
    if address:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        return socket.create_server((address, port), family=family, backlog=BACKLOG)
    if socket.has_dualstack_ipv6():
        try:
            return socket.create_server(("", port), family=socket.AF_INET6, backlog=BACKLOG, dualstack_ipv6=True)
        except OSError:
            pass  # IPv6 compiled in and switched off; the next line says what is wrong if it is something else
    return socket.create_server(("", port), backlog=BACKLOG)


class Listener:
    def __init__(self, *, most: int, counted: Callable[[int], None]) -> None:
        self.is_draining = False
        self._most = most
        self._counted = counted
        self._connections: set[ClientConnection] = set()
        self._server: asyncio.Server | None = None

    async def open(self, sock: socket.socket, surroundings: Surroundings) -> None:
        loop = asyncio.get_running_loop()
        seconds = surroundings.seconds()
        self._server = await loop.create_server(lambda: ClientConnection(self, surroundings, seconds), sock=sock)

    def joined(self, connection: ClientConnection) -> bool:
        """Whether there is room for it; beyond twice the room there is not even an answer."""
        if len(self._connections) >= self._most:
            self._make_room()
        self._connections.add(connection)
        self._counted(len(self._connections))
        if len(self._connections) > 2 * self._most:
            connection.abort(Reason.OVERLOADED)
        return len(self._connections) <= self._most

    def _make_room(self) -> None:
        """Let go of who has been there longest without a request: holding connections open needs no key."""
        waiting = [connection for connection in self._connections if connection.may_make_room]
        if waiting:
            oldest = min(waiting, key=_entered)
            self._connections.discard(oldest)  # now, lest the next one that comes finds it here still
            oldest.make_room()

    def left(self, connection: ClientConnection) -> None:
        self._connections.discard(connection)
        self._counted(len(self._connections))

    async def drain(self, seconds: float) -> int:
        """Accept nobody, end idle connections, let the others finish until the deadline; the number that was cut."""
        loop = asyncio.get_running_loop()
        self.is_draining = True
        if self._server is not None:
            self._server.close()
        deadline = loop.time() + seconds
        for connection in [connection for connection in self._connections if connection.is_idle]:
            connection.close()
        await self._empty(deadline)
        left = list(self._connections)
        for connection in left:
            connection.abort(Reason.DRAINING)
        await self._empty(loop.time() + CUT_SECONDS)
        return len(left)

    async def _empty(self, deadline: float) -> None:
        loop = asyncio.get_running_loop()
        while self._connections and loop.time() < deadline:  # noqa: ASYNC110 -- a deadline, looked at now and then
            await asyncio.sleep(SETTLE_SECONDS)


def _entered(connection: ClientConnection) -> float:
    return connection.entered
