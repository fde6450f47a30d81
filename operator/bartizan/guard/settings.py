"""The guard's flags, each declared here and nowhere else, and the frozen value that they become."""

import argparse
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from bartizan.guard import tokenizer_file
from bartizan.guard.tls import Files
from bartizan.policy import keys
from bartizan.policy.document import EndpointRef


@dataclass(frozen=True, slots=True)
class Address:
    """Where the model listens: a unix socket's `path`, or `port` on 127.0.0.1."""

    path: str = ""
    port: int = 0

    def __str__(self) -> str:
        return f"unix:{self.path}" if self.path else f"tcp:127.0.0.1:{self.port}"


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one connection may take; beyond it the connection is answered with a refusal or cut."""

    header_seconds: float
    body_seconds: float
    idle_seconds: float
    reader_seconds: float
    answer_seconds: float
    connections: int
    connections_per_address: int
    body_bytes: int
    waiting_bytes: int
    answer_bytes: int
    turn_seconds: float


@dataclass(frozen=True, slots=True)
class Ports:
    guard: int
    status: int
    metrics: int


@dataclass(frozen=True, slots=True)
class Settings:
    endpoint: EndpointRef
    document: Path
    document_key: Ed25519PublicKey
    document_not_before: int
    state_directory: Path | None
    upstream: Address
    address: str
    ports: Ports
    bounds: Bounds
    tls: Files | None
    """The pair for the clients' port; None for plain HTTP."""
    tokenizer: tokenizer_file.Place | None
    """Where the model's tokenizer lies; without one input is judged by its bytes alone."""
    farewell_seconds: float
    drain_seconds: float


def parse(arguments: list[str]) -> Settings:
    """The settings in `arguments`; ends the process with a message on standard error where they make no sense."""
    parser = _parser()
    given = parser.parse_args(arguments)
    if (given.tls_certificate is None) != (given.tls_key is None):
        parser.error("--tls-certificate and --tls-key belong together")
    return Settings(
        endpoint=EndpointRef(given.namespace, given.name, given.uid, given.namespace_uid),
        document=given.document,
        document_key=given.document_key,
        document_not_before=given.document_not_before,
        state_directory=given.state_directory,
        upstream=given.upstream,
        address=given.address,
        ports=Ports(given.port, given.status_port, given.metrics_port),
        bounds=Bounds(
            header_seconds=given.header_seconds,
            body_seconds=given.body_seconds,
            idle_seconds=given.idle_seconds,
            reader_seconds=given.reader_seconds,
            answer_seconds=given.answer_seconds,
            connections=given.max_connections,
            connections_per_address=given.max_connections_per_address,
            body_bytes=given.max_body_bytes,
            waiting_bytes=given.max_waiting_bytes,
            answer_bytes=given.max_answer_bytes,
            turn_seconds=given.max_turn_seconds,
        ),
        tls=Files(given.tls_certificate, given.tls_key) if given.tls_key else None,
        tokenizer=_tokenizer(given),
        farewell_seconds=given.farewell_seconds,
        drain_seconds=given.drain_seconds,
    )


def _tokenizer(given: argparse.Namespace) -> tokenizer_file.Place | None:
    directory: Path | None = given.tokenizer_directory
    return tokenizer_file.Place(directory, given.tokenizer_path) if directory else None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="bartizan guard",
        description="The proxy in front of one model: refuses what it cannot prove to be allowed.",
    )
    _declare_identity(parser)
    _declare_places(parser)
    _declare_bounds(parser)
    return parser


def _declare_identity(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--namespace", required=True, help="namespace of the endpoint that this guard stands before")
    parser.add_argument("--name", required=True, help="name of the endpoint's ModelDeployment")
    parser.add_argument("--uid", required=True, help="UID of the ModelDeployment; documents for another are refused")
    parser.add_argument(
        "--namespace-uid", required=True, help="UID of the namespace; documents for another are refused"
    )
    parser.add_argument("--document", required=True, type=Path, help="file with the signed GuardDocument; watched")
    parser.add_argument(
        "--document-key", required=True, type=_public_key, help="Ed25519 public key of the operator, base64url"
    )
    parser.add_argument(
        "--document-not-before", type=int, default=0, metavar="VERSION",
        help="documents with a lower version (Unix milliseconds) are refused as outdated (default %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--state-directory", type=Path, metavar="DIRECTORY",
        help="keeps the document's version and long windows, so that a restart takes up no older one and refills none",
    )  # fmt: skip


def _declare_places(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--upstream", required=True, type=_address, help="the model: unix:/path/model.sock or tcp:127.0.0.1:PORT"
    )
    parser.add_argument("--address", default="", help="address to listen on (default: all, IPv4 and IPv6)")
    parser.add_argument("--port", type=int, default=8080, help="clients' port (default %(default)s; 0: any free one)")
    parser.add_argument(
        "--tls-certificate", type=Path, metavar="FILE",
        help="the clients' port speaks TLS, with this certificate and its chain (PEM); watched (default: plain HTTP)",
    )  # fmt: skip
    parser.add_argument("--tls-key", type=Path, metavar="FILE", help="the certificate's key (PEM); watched")
    parser.add_argument(
        "--tokenizer-directory", type=Path, metavar="DIRECTORY",
        help="holds the model's tokenizer, with which long input is counted (default: it is judged by its bytes)",
    )  # fmt: skip
    parser.add_argument(
        "--tokenizer-path", default="tokenizer.json", metavar="PATH",
        help="the tokenizer's file within that directory, out of which no link may lead (default %(default)s)",
    )  # fmt: skip
    parser.add_argument("--status-port", type=int, default=8081, help="status port (default %(default)s)")
    parser.add_argument("--metrics-port", type=int, default=9090, help="Prometheus' port (default %(default)s)")


_BOUNDS: tuple[tuple[str, type, float, str], ...] = (
    ("--farewell-seconds", float, 0, "after SIGUSR1 or SIGTERM, how long new requests are still taken"),
    ("--drain-seconds", float, 25, "after SIGUSR1 or SIGTERM, how long requests under way may take to finish"),
    ("--header-seconds", float, 10, "deadline for a request's whole header"),
    ("--body-seconds", float, 30, "deadline for a request's whole body"),
    ("--idle-seconds", float, 75, "how long a connection may stay open between requests"),
    ("--reader-seconds", float, 30, "how long a caller may leave a full buffer of the answer unread"),
    ("--answer-seconds", float, 600, "how long the model may stay silent before or within an answer"),
    ("--max-connections", int, 1024, "clients' connections at one time"),
    ("--max-connections-per-address", int, 512, "those of one address; a gateway's are all of its own"),
    ("--max-body-bytes", int, 2 << 20, "the largest body that is read"),
    (
        "--max-waiting-bytes",
        int,
        32 << 20,
        "bytes of bodies held at one time, until the model has taken them; one client may hold a quarter",
    ),
    (
        "--max-answer-bytes",
        int,
        32 << 20,
        "bytes of whole answers held at one time, until callers have read them; one client may hold a quarter",
    ),
    ("--max-turn-seconds", float, 0.5, "requests that come up later than this in a turn of the loop are shed"),
)
"""Seconds and sizes; the defaults are what a guard runs with, the flags serve tests and odd networks.

JSON takes several times its bytes while it is looked at, one body or answer at a time; that bounds the body.
"""


def _declare_bounds(parser: argparse.ArgumentParser) -> None:
    for flag, kind, default, meaning in _BOUNDS:
        parser.add_argument(flag, type=kind, default=kind(default), help=f"{meaning} (default %(default)s)")


def _public_key(text: str) -> Ed25519PublicKey:
    try:
        return keys.public_key(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"not an Ed25519 public key in base64url: {error}") from error


def _address(text: str) -> Address:
    scheme, _, rest = text.partition(":")
    if scheme == "unix" and rest.startswith("/"):
        return Address(path=rest)
    host, _, port = rest.rpartition(":")
    if scheme == "tcp" and host == "127.0.0.1" and port.isascii() and port.isdecimal() and 0 < int(port) < 1 << 16:
        return Address(port=int(port))
    raise argparse.ArgumentTypeError(f"{text!r} is neither unix:/path nor tcp:127.0.0.1:PORT")
