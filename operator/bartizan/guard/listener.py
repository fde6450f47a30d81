"""The clients' port: caps connections, and lets go of them when the guard is to end."""

import asyncio
import heapq
import socket
from collections import Counter
from collections.abc import Callable, Iterable

from bartizan.guard.connection import ClientConnection, Surroundings
from bartizan.policy.reasons import Reason

BACKLOG = 1024
UNSENT_BYTES = 16 * 1024
"""Of an answer, about what the kernel takes beyond what is on its way to the caller. Left to itself it takes megabytes
for each that does not read, which no budget of ours counts and the container's memory limit does."""
UNREAD_BYTES = 32 * 1024
"""Of a request, what the kernel is asked to keep until the guard comes to it: it keeps twice that. Left to itself it
keeps megabytes for each caller that once sent fast, with a key or without."""
DOORS = 16
"""New callers that are let in during one turn of the event loop, which takes one from each socket that listens."""
TRIED = 8
"""Of those who could make room, how many are looked at: a caller that all of them keep out is told that it is full."""
Wrap = Callable[[asyncio.Protocol], asyncio.Protocol]


def bind(address: str, port: int) -> socket.socket:
    """A listening socket; without an address on IPv4 and, where the node has it, on IPv6."""
    sock = _bind(address, port)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)  # of each connection, too
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, UNREAD_BYTES)
    return sock


def _bind(address: str, port: int) -> socket.socket:
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
    """`most` connections in all, `most_each` of one address: no single caller takes the place of all others."""

    def __init__(self, *, most: int, most_each: int, counted: Callable[[int], None]) -> None:
        self.is_draining = False
        self._most = most
        self._most_each = most_each
        self._of_address: Counter[str] = Counter()
        self._counted = counted
        self._connections: set[ClientConnection] = set()
        self._servers: list[asyncio.Server] = []

    async def open(self, sock: socket.socket, surroundings: Surroundings, wrap: Wrap | None = None) -> None:
        """Serve; `wrap` puts TLS round a connection."""
        loop = asyncio.get_running_loop()
        seconds = surroundings.seconds()

        def welcome() -> asyncio.Protocol:
            connection = ClientConnection(self, surroundings, seconds)
            return connection if wrap is None else wrap(connection)

        for door in (sock, *(sock.dup() for _ in range(DOORS - 1))):
            self._servers.append(await loop.create_server(welcome, sock=door, backlog=BACKLOG))

    def joined(self, connection: ClientConnection) -> bool:
        """Whether there is room for it; beyond twice the room there is not even an answer."""
        address = connection.address
        if self._of_address[address] >= self._most_each:
            self._make_room(held for held in self._connections if held.address == address)
        elif len(self._connections) >= self._most:
            self._make_room(self._connections)
        self._connections.add(connection)
        self._of_address[address] += 1
        self._counted(len(self._connections))
        over = max(len(self._connections) / self._most, self._of_address[address] / self._most_each)
        if over > 2:  # noqa: PLR2004 # twice the room
            connection.abort(Reason.OVERLOADED)
        return over <= 1

    def _make_room(self, among: Iterable[ClientConnection]) -> None:
        """Let go of who has been there longest without a request: holding connections open needs no key.

        Who has sent something that was not looked at yet stays: many that come in one turn must not drive it out.
        """
        waiting = [connection for connection in among if connection.may_make_room]
        for oldest in heapq.nsmallest(TRIED, waiting, key=_entered):
            if not oldest.has_unread:
                self._forget(oldest)  # now, lest the next one that comes finds it here still
                oldest.make_room()
                return

    def left(self, connection: ClientConnection) -> None:
        self._forget(connection)
        self._counted(len(self._connections))

    def _forget(self, connection: ClientConnection) -> None:
        if connection not in self._connections:
            return
        self._connections.remove(connection)
        self._of_address[connection.address] -= 1
        if not self._of_address[connection.address]:
            del self._of_address[connection.address]

    @property
    def is_empty(self) -> bool:
        return not self._connections

    @property
    def owes(self) -> bool:
        """Whether somebody has not read all of an answer yet."""
        return any(connection.owes for connection in self._connections)

    def close(self) -> None:
        """Accept nobody any more."""
        for server in self._servers:
            server.close()

    def close_idle(self, *, even_new: bool) -> None:
        """End connections that wait between requests; those of which the first is still to come only if `even_new`."""
        for connection in list(self._connections):
            if connection.is_idle or (even_new and connection.is_new):
                connection.close()

    def abort(self, reason: Reason) -> int:
        """Cut all connections; how many there were."""
        left = list(self._connections)
        for connection in left:
            connection.abort(reason)
        return len(left)


def _entered(connection: ClientConnection) -> float:
    return connection.entered
