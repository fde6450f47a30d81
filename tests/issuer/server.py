"""An OpenID Connect issuer on TLS, with an authority of its own, that does what it is told: the dishonest, too."""

import datetime as dt
import ipaddress
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from tests.issuer.minting import SigningKey, key_set

DISCOVERY = "/.well-known/openid-configuration"
KEYS = "/keys"
_DAY = dt.timedelta(days=1)


@dataclass(frozen=True)
class Page:
    body: bytes
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    waits: bool = False
    """Nothing is sent until the server ends."""


@dataclass
class IssuerServer:
    """`authority` is PEM; `asked` are the paths of all requests, `hosts` the names they came for."""

    port: int
    authority: str
    pages: dict[str, Page] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"

    def say(self, path: str, value: Any, **page: Any) -> None:
        self.pages[path] = Page(json.dumps(value).encode(), **page)

    def publish(self, *keys: SigningKey) -> None:
        """An honest issuer with these keys."""
        self.say(DISCOVERY, {"issuer": self.url, "jwks_uri": self.url + KEYS})
        self.say(KEYS, key_set(*keys))


class _Handler(BaseHTTPRequestHandler):
    server: "_Server"

    def do_GET(self) -> None:
        issuer = self.server.issuer
        issuer.asked.append(self.path)
        page = issuer.pages.get(self.path, Page(b"", 404))
        if page.waits:
            issuer.ended.wait()
        self.send_response(page.status)
        for name, value in page.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(page.body)))
        self.end_headers()
        self.wfile.write(page.body)

    def log_message(self, *_: Any) -> None: ...


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    issuer: IssuerServer

    def handle_error(self, *_: Any) -> None:
        """A caller that does not trust us, or leaves: what these tests are about."""


@contextmanager
def serving(folder: Path, *, name: str = "localhost", address: str = "127.0.0.1") -> Iterator[IssuerServer]:
    """A running issuer whose certificate is good for `name`."""
    authority, pair = _certificates(name)
    (folder / "issuer.pem").write_bytes(pair)
    server = _Server((address, 0), _Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "issuer.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    server.issuer = IssuerServer(server.server_address[1], authority)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server.issuer
    finally:
        server.issuer.ended.set()
        server.shutdown()
        server.server_close()
        thread.join()


def _certificates(name: str) -> tuple[str, bytes]:
    """An authority's certificate, and a server's with its key, in PEM."""
    now = dt.datetime.now(dt.UTC)
    root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tests' authority")])
    root = (
        x509.CertificateBuilder(root_name, root_name, root_key.public_key(), x509.random_serial_number())
        .not_valid_before(now - _DAY)
        .not_valid_after(now + _DAY)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(root_key.public_key()), critical=False)
        .sign(root_key, SHA256())
    )
    names: list[x509.GeneralName] = [x509.DNSName(name), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    leaf = (
        x509.CertificateBuilder(root_name, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - _DAY)
        .not_valid_after(now + _DAY)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key()), critical=False)
        .sign(root_key, SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return root.public_bytes(Encoding.PEM).decode(), leaf.public_bytes(Encoding.PEM) + private
