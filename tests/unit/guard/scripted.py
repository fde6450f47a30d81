"""A model server without manners: it answers each connection with the bytes that a test gives it."""

import contextlib
import select
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

EVERY_SECONDS = 0.005


@dataclass
class Scripted:
    """`answer` is sent for each request; then the connection closes, unless it `stays` open.

    While it stays, `more` follows again and again until the guard says something or goes.
    """

    path: Path
    answer: bytes = b""
    stays: bool = False
    more: bytes = b""
    requests: list[bytes] = field(default_factory=list)
    connections: int = 0
    closed: int = 0
    talks: dict[threading.Thread, socket.socket] = field(default_factory=dict)
    gone: threading.Event = field(default_factory=threading.Event)
    gone_at: float = 0.0

    @property
    def upstream(self) -> str:
        return f"unix:{self.path}"

    def serve(self, listener: socket.socket) -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            self.connections += 1
            thread = threading.Thread(target=self.talk, args=(sock,), daemon=True)
            self.talks[thread] = sock
            thread.start()

    def talk(self, sock: socket.socket) -> None:
        with sock, contextlib.suppress(OSError):
            while received := self.heard(sock):
                self.requests.append(received)
                sock.sendall(self.answer)
                if not self.stays:
                    break
            else:
                self.gone_at = time.monotonic()
                self.gone.set()
        self.closed += 1

    def heard(self, sock: socket.socket) -> bytes:
        """What the guard says next, nothing once it is gone."""
        with contextlib.suppress(ConnectionError):
            while self.more and self.requests and not select.select([sock], [], [], EVERY_SECONDS)[0]:
                sock.sendall(self.more)
            return sock.recv(1 << 20)
        return b""

    def leave(self) -> None:
        """End what is still open: a guard that lives on must ask whoever serves here next."""
        for thread, sock in self.talks.items():
            with contextlib.suppress(OSError):  # closed already
                sock.shutdown(socket.SHUT_RDWR)
            thread.join()


@contextlib.contextmanager
def scripted(path: Path, answer: bytes = b"", *, stays: bool = False) -> Iterator[Scripted]:
    server = Scripted(path, answer, stays)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(64)
        thread = threading.Thread(target=server.serve, args=(listener,), daemon=True)
        thread.start()
        yield server
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
    server.leave()
    path.unlink()


def whole(body: bytes, *lines: bytes, status: bytes = b"200 OK", kind: bytes = b"application/json") -> bytes:
    head = [b"HTTP/1.1 " + status, b"Content-Type: " + kind, b"Content-Length: %d" % len(body), *lines]
    return b"\r\n".join([*head, b"", b""]) + body


def chunked(*pieces: bytes, kind: bytes = b"text/event-stream", end: bytes = b"0\r\n\r\n") -> bytes:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nTransfer-Encoding: chunked\r\n\r\n" % kind
    return head + b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + end
