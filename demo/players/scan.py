"""Tries every TCP port of an address: which take a connection? 2,000 tries at a time, 0.6 seconds each.

The kernel makes the connections while the program sleeps, and only then is it asked how they stand: a machine that is
too busy to run this in time makes it late, not blind.
"""

import errno
import select
import socket
import sys
import time

PARALLEL = 2000
WAIT_SECONDS = 0.6


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
batches = (range(first, min(first + PARALLEL, last + 1)) for first in range(1, last + 1, PARALLEL))
print(f"{last} ports tried, open: {[port for batch in batches for port in scan(address, batch)]}")
