"""What the kernel holds at the far end of a connection, asked by sock_diag(7) for this one connection alone.

/proc/net/tcp tells the same, but is written anew for every look: with the thousands of closed connections that tests
leave behind, a look costs a thousand times as much.
"""

import errno
import os
import socket
import struct

SOCK_DIAG_BY_FAMILY, NETLINK_SOCK_DIAG = 20, 4
NLM_F_REQUEST, NLMSG_ERROR = 1, 2
HEADER = struct.Struct("=IHHII")
"""nlmsghdr: length, type, flags, sequence, sender."""
ASKED = struct.Struct("=BBBxI")
"""inet_diag_req_v2 up to the connection: family, protocol, extensions, states."""
PORTS = struct.Struct("!HH")
REST = struct.Struct("=I8s")
"""Interface and cookie."""
ANSWER = struct.Struct("=BBBB52xII")
"""inet_diag_msg: family, state, timer, retransmits; then what waits to be read, and what is not taken yet."""
ANYTHING = b"\xff" * 8
ESTABLISHED, CLOSE_WAIT = 1, 8
"""States of a connection that its owner has not closed."""


def of(port: int, caller: socket.socket) -> tuple[int, int] | None:
    """Bytes at the end that listens on `port`: not taken by the caller, not read yet; None when it is closed."""
    address = socket.inet_aton("127.0.0.1").ljust(16, b"\0")
    pair = PORTS.pack(port, caller.getsockname()[1]) + 2 * address
    asked = ASKED.pack(socket.AF_INET, socket.IPPROTO_TCP, 0, 0xFFFFFFFF) + pair + REST.pack(0, ANYTHING)
    header = HEADER.pack(HEADER.size + len(asked), SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST, 1, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, NETLINK_SOCK_DIAG) as kernel:
        kernel.send(header + asked)
        answer = kernel.recv(1 << 13)
    if HEADER.unpack_from(answer)[1] == NLMSG_ERROR:
        (code,) = struct.unpack_from("=i", answer, HEADER.size)
        if -code == errno.ENOENT:
            return None
        raise OSError(-code, os.strerror(-code))
    _, state, _, _, unread, untaken = ANSWER.unpack_from(answer, HEADER.size)
    return (untaken, unread) if state in (ESTABLISHED, CLOSE_WAIT) else None
