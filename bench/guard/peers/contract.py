"""What a peer is: how it is started before the backend, and what a caller must send it."""

import http.client
import socket
import ssl
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from bench.guard import payload
from bench.guard.installing import NotRun
from bench.guard.processes import Cores, Process

CLIENTS = ("chat-ui", *(f"honest-{number}" for number in range(9)))
"""The first is who asks wherever one caller is enough, and the abuser where there are ten."""
START_SECONDS = 120.0


@dataclass(frozen=True)
class Limit:
    """Each client's requests within a window."""

    requests: int = 1_000_000
    window_seconds: int = 1


@dataclass(frozen=True)
class Place:
    """Where a peer runs: a folder of its own, the backend's unix socket and port."""

    folder: Path
    socket: Path
    backend_port: int
    cores: Cores


@dataclass(frozen=True)
class Running:
    """A started peer; `headers` are what each client sends, `refused` what nobody should be let in with.

    With `tls` its callers speak TLS, and trust what that trusts.
    """

    port: int
    process: Process
    headers: dict[str, tuple[str, ...]]
    refused: tuple[str, ...] = ()
    tls: ssl.SSLContext | None = None

    def request(self, body: bytes, client: str = CLIENTS[0]) -> bytes:
        return payload.request(body, *self.headers[client])


@dataclass(frozen=True)
class Peer:
    """`rate` and `chunk_ms` are its pace where the load sets one: less for what cannot keep up, and the report says."""

    name: str
    title: str
    start: Callable[[Place, Limit], AbstractContextManager[Running]]
    rate: float = 1000.0
    chunk_ms: int = 2


def bearer(key: str) -> tuple[str, ...]:
    return (f"Authorization: Bearer {key}",)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port: int = sock.getsockname()[1]
        return port


def await_answer(running: Running, log: Path) -> Running:
    """The peer once it answers a request with 200; raises NotRun with what it said last."""
    deadline = time.monotonic() + START_SECONDS
    seen = "no answer"
    while time.monotonic() < deadline and running.process.poll() is None:
        try:
            status = _ask(running)
        except OSError as error:
            seen = type(error).__name__
            time.sleep(0.05)
            continue
        if status == 200:
            return running
        seen = f"answers {status}"
        time.sleep(0.2)
    last = (log.read_text(errors="replace").strip().splitlines() or ["it said nothing"])[-1]
    raise NotRun(f"not started ({seen}): {last[:160]}")


def _connected(running: Running) -> http.client.HTTPConnection:
    if running.tls is None:
        return http.client.HTTPConnection("127.0.0.1", running.port, timeout=10)
    return http.client.HTTPSConnection("127.0.0.1", running.port, timeout=10, context=running.tls)


def _ask(running: Running) -> int:
    connection = _connected(running)
    headers = dict(line.split(": ", 1) for line in running.headers[CLIENTS[0]])
    try:
        connection.request(
            "POST", "/v1/chat/completions", payload.chat(512), {"Content-Type": "application/json", **headers}
        )
        return connection.getresponse().status
    finally:
        connection.close()
