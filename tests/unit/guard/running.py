"""Runs a guard and a model for tests: real processes, real sockets, ports that the system picks."""

import contextlib
import fcntl
import hashlib
import http.client
import json
import selectors
import signal
import socket
import sys
import termios
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from tests import forkserver
from tests.unit.guard import socket_queues

from bartizan.policy import document as documents
from bartizan.policy import keys
from bartizan.policy.document import ClientKey, EndpointRef, GuardDocument, RequestWindow, TokenWindow
from bartizan.policy.identity import Identity

ROOT = Path(__file__).parents[3]
DEADLINE_SECONDS = 20.0
ROOT_KEY = keys.Hidden(b"test root of exactly 32 bytes...")
SIGNING_KEY = keys.signing_key(ROOT_KEY)
IDENTITY = Identity(namespace="ml", name="llama", uid="uid-1", namespace_uid="namespace-uid-1")
ENDPOINT = EndpointRef("ml", "llama", "uid-1", "namespace-uid-1")
CHAT = "/v1/chat/completions"


def credential(client: str = "chat-ui", epoch: int = 1) -> keys.ClientCredential:
    return keys.client_credential(ROOT_KEY, IDENTITY, client, epoch=epoch)


def client_key(client: str = "chat-ui", epoch: int = 1) -> ClientKey:
    made = credential(client, epoch)
    return ClientKey(made.id, made.sha256, client)


DOCUMENT = GuardDocument(
    endpoint=ENDPOINT,
    version=1_000,
    model="demo",
    protocol="OpenAI",
    replicas=1,
    keys=(client_key(), client_key("batch")),
    requests=(RequestWindow(1_000_000, 60),),
    tokens=(TokenWindow("Total", 1_000_000_000, 60),),
    max_input_tokens=1_000_000,
    max_output_tokens=1_000_000,
    excess_output="Clamp",
    prompt_overhead_tokens=0,
    max_stream_seconds=600,
    concurrent=64,
    concurrent_per_client=48,
)


def document(**changes: Any) -> GuardDocument:
    return replace(DOCUMENT, **changes)


def chat(text: str = "hello there", **more: object) -> dict[str, Any]:
    return {"model": "demo", "messages": [{"role": "user", "content": text}], **more}


def forwarded(body: dict[str, Any]) -> str:
    """The body as the model gets it: in canonical form, and told how much it may say."""
    told = {**body, "max_tokens": DOCUMENT.max_output_tokens}
    return json.dumps(told, separators=(",", ":"), ensure_ascii=False)


T = TypeVar("T")


def eventually(look: Callable[[], T], what: str, seconds: float = DEADLINE_SECONDS) -> T:
    """The first true value that `look` gives."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.01)
    raise AssertionError(f"not within {seconds} s: {what}")


def readable(socks: Iterable[socket.socket], seconds: float = DEADLINE_SECONDS) -> list[socket.socket]:
    """Those to which something has come first, whatever the numbers of their descriptors."""
    with selectors.DefaultSelector() as selector:
        for sock in socks:
            selector.register(sock, selectors.EVENT_READ, sock)
        return [key.data for key, _ in selector.select(seconds)]


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The error's code in OpenAI's form."""
        code: str = self.json()["error"]["code"]
        return code


@dataclass
class Guard:
    """A guard process; `folder` holds its document, audit and log."""

    folder: Path
    process: forkserver.Process
    ports: dict[str, int]

    @property
    def port(self) -> int:
        return self.ports["port"]

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=DEADLINE_SECONDS)

    def ask(self, body: object = None, *, path: str = CHAT, key: str | None = None, **headers: str) -> Answer:
        """One request on a connection of its own; without `key` with the right one, with an empty one without."""
        token = credential().reveal() if key is None else key
        sent = {
            "Content-Type": "application/json",
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        if token:
            sent["Authorization"] = f"Bearer {token}"
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        return send(self.port, "POST" if data is not None else "GET", path, data, sent)

    def raw(self, data: bytes) -> bytes:
        """Everything that comes back for these bytes until the guard closes."""
        with self.connect() as sock:
            sock.sendall(data)
            return read_all(sock)

    def get(self, port: str, path: str) -> Answer:
        return send(self.ports[port], "GET", path, None, {})

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = self.get("statusPort", "/status").json()
        return found

    def metric(self, name: str) -> float:
        """The sum of all samples whose name and labels begin with `name`."""
        lines = self.get("metricsPort", "/metrics").body.decode().splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))

    def write(self, text: str | bytes) -> None:
        """Put a document in place as a kubelet does: at once, under another inode."""
        fresh = self.folder / "fresh"
        fresh.write_bytes(text if isinstance(text, bytes) else text.encode())
        fresh.rename(self.folder / "document")

    def take_up(self, new: GuardDocument) -> None:
        self.write(documents.encode(new, SIGNING_KEY))
        eventually(lambda: self.status()["documentVersion"] == new.version, "the document in force")

    def audit(self) -> list[dict[str, Any]]:
        """Every line so far, the chain checked."""
        lines = (self.folder / "audit").read_bytes().split(b"\n")[:-1]
        previous = "0" * 64
        for number, line in enumerate(lines):
            entry = json.loads(line)
            assert (entry["number"], entry["previous"]) == (number, previous)
            previous = hashlib.sha256(line).hexdigest()
        return [json.loads(line) for line in lines]

    def audited(self, request_id: str) -> list[dict[str, Any]]:
        """The lines of one request, once its last one is there."""

        def lines() -> list[dict[str, Any]]:
            found = [line for line in self.audit() if line.get("request") == request_id]
            is_over = found and (found[-1]["audit"] == "outcome" or found[-1]["reason"] != "Allowed")
            return found if is_over else []

        return eventually(lines, f"the audit of {request_id}")

    def log(self) -> str:
        return (self.folder / "log").read_text()

    def rss_mib(self) -> float:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        (line,) = [line for line in status.splitlines() if line.startswith("VmRSS:")]
        return int(line.split()[1]) / 1024

    def end(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(DEADLINE_SECONDS)


def queues(guard: Guard, sock: socket.socket) -> tuple[int, int] | None:
    """Bytes that the kernel holds at the guard's end: not taken by the caller, not read yet; None when it is closed."""
    return socket_queues.of(guard.port, sock)


def is_all_read(guard: Guard, sock: socket.socket) -> bool:
    """Whether the guard has taken everything that was sent on this connection."""
    on_the_way = int.from_bytes(fcntl.ioctl(sock, termios.TIOCOUTQ, bytes(4)), sys.byteorder)
    return on_the_way == 0 and (queues(guard, sock) or (0, 0))[1] == 0


def send(port: int, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE_SECONDS)
    with contextlib.closing(connection):
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        return Answer(response.status, dict(response.getheaders()), response.read())


def read_all(sock: socket.socket) -> bytes:
    received = b""
    with contextlib.suppress(ConnectionError):
        while data := sock.recv(65536):
            received += data
    return received


def request_bytes(body: bytes = b"", *lines: bytes, path: bytes = CHAT.encode(), method: bytes = b"POST") -> bytes:
    """A well-formed request with the right key that ends its connection; `lines` replace or join those it has."""
    head = {
        b"host": b"Host: guard",
        b"content-type": b"Content-Type: application/json",
        b"authorization": b"Authorization: Bearer " + credential().reveal().encode(),
        b"content-length": b"Content-Length: %d" % len(body),
        b"connection": b"Connection: close",
    }
    names = {line.partition(b":")[0].strip().lower() for line in lines}
    names |= {b"content-length"} if b"transfer-encoding" in names else set()
    kept = [line for name, line in head.items() if name not in names]
    return b"\r\n".join([b"%b %b HTTP/1.1" % (method, path), *kept, *lines, b"", b""]) + body


@contextlib.contextmanager
def guard(
    folder: Path,
    upstream: str,
    *flags: str,
    given: GuardDocument | None = DOCUMENT,
    module: str = "bartizan.guard.main",
) -> Iterator[Guard]:
    """A started guard in front of `upstream`, ended and reaped at the exit whatever happened."""
    if given is not None:
        (folder / "document").write_text(documents.encode(given, SIGNING_KEY))
    with (folder / "audit").open("wb") as audit, (folder / "log").open("wb") as log:
        given_flags = [*arguments(folder, upstream), *flags]
        process = forkserver.start(module, given_flags, stdout=audit.fileno(), stderr=log.fileno())
    try:
        yield Guard(folder, process, eventually(lambda: ports_of(folder, process), "the guard has started"))
    finally:
        process.kill()
        process.wait()


def arguments(folder: Path, upstream: str) -> list[str]:
    public = keys.public_key_text(SIGNING_KEY.public_key())
    endpoint = ["--namespace", "ml", "--name", "llama", "--uid", "uid-1", "--namespace-uid", "namespace-uid-1"]
    document_flags = ["--document", str(folder / "document"), "--document-key", public]
    ports = ["--address", "127.0.0.1", "--port", "0", "--status-port", "0", "--metrics-port", "0"]
    return [*endpoint, *document_flags, "--upstream", upstream, *ports]


def ports_of(folder: Path, process: forkserver.Process) -> dict[str, int]:
    for line in (folder / "log").read_text().splitlines():
        if '"guard started"' in line:
            return {name: value for name, value in json.loads(line).items() if name.lower().endswith("port")}
    assert process.poll() is None, (folder / "log").read_text()
    return {}


@dataclass
class Model:
    """The demo's model server on a unix socket; every request that reached it is in its log."""

    socket: Path
    log: Path
    process: forkserver.Process

    @property
    def upstream(self) -> str:
        return f"unix:{self.socket}"

    def received(self) -> list[dict[str, Any]]:
        return [event for event in self.events() if event["event"] == "received"]

    def events(self) -> list[dict[str, Any]]:
        if not self.log.exists():
            return []
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.endswith("}")]

    def release(self) -> None:
        """Let every request go on that a `/hold` holds."""
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(str(self.socket))
            sock.sendall(b"POST /control/release HTTP/1.1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
            read_all(sock)


@contextlib.contextmanager
def model(folder: Path) -> Iterator[Model]:
    path, log = folder / "model.sock", folder / "model.log"
    flags = ["--socket", str(path), "--log", str(log)]
    with (folder / "model.err").open("wb") as errors:
        process = forkserver.start("tests.modelserver", flags, stdout=errors.fileno(), stderr=errors.fileno())
    try:
        eventually(lambda: "listening" in (folder / "model.err").read_text(), "the model listens")
        yield Model(path, log, process)
    finally:
        process.kill()
        process.wait()
        path.unlink(missing_ok=True)
