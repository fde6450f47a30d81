"""Tries some TCP ports of an address, several times over: which take a connection?"""

import socket
import sys

TIMEOUT_SECONDS = 0.5
address, *ports = sys.argv[1:]


def is_open(port: int) -> bool:
    try:
        socket.create_connection((address, port), TIMEOUT_SECONDS).close()
    except OSError:
        return False
    return True


print([int(port) for port in ports if is_open(int(port))])
