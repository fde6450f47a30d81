"""Tries every TCP port of an address: which take a connection? It prints how many at a time, and for how long.

The kernel makes the connections while the program sleeps, and only then is it asked how they stand: a machine that is
too busy to run this in time makes it late, not blind.
"""

import errno
import resource
import select
import socket
import sys
import time

MOST_AT_A_TIME = 8000
WAIT_SECONDS = 0.6


def at_a_time() -> int:
    """As many as the system lets one process have open, less a few for the process itself."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return min(MOST_AT_A_TIME, most - 50)


def scan(address: str, ports: range) -> list[int]:
    attempts = {port: attempt(address, port) for port in ports}
    time.sleep(WAIT_SECONDS)
    asked = select.poll()
    for tried in attempts.values():
        asked.register(tried, select.POLLOUT)
    answered = {descriptor for descriptor, _ in asked.poll(0)}
    found = [port for port, tried in attempts.items() if tried.fileno() in answered and is_connected(tried)]
    for tried in attempts.values():
        tried.close()
    return found


def attempt(address: str, port: int) -> socket.socket:
    tried = socket.socket()
    tried.setblocking(False)
    begun = tried.connect_ex((address, port))
    if begun not in (0, errno.EINPROGRESS, errno.ECONNREFUSED):
        raise OSError(begun, f"port {port} could not be tried")
    return tried


def is_connected(tried: socket.socket) -> bool:
    return tried.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0 and peer(tried) is not None


def peer(tried: socket.socket) -> object:
    try:
        return tried.getpeername()
    except OSError:
        return None


address, last = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 65535
parallel = at_a_time()
batches = (range(first, min(first + parallel, last + 1)) for first in range(1, last + 1, parallel))
found = [port for batch in batches for port in scan(address, batch)]
print(f"{last} ports tried, {parallel} at a time, {WAIT_SECONDS} s each; open: {found}")
