"""TLS on the clients' port, with real clients over real sockets: versions, rotation, bad pairs, and abuse."""

import asyncio
import contextlib
import hashlib
import http.client
import json
import os
import random
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from tests.unit.guard import authority, running
from tests.unit.guard.authority import DAY, Authority, Mount
from tests.unit.guard.running import Guard, Model, chat, credential, eventually, read_all, request_bytes

from bartizan.guard.tls import Files, TlsWatch
from bartizan.guard.tls_connection import MOST_HALF_OPEN, HalfOpen, TlsConnection
from bartizan.guard.turn import Turn

AUTHORITY = Authority()
CLIENT = AUTHORITY.client()
PAIR = AUTHORITY.issue("llama.ml.svc")
BODY = json.dumps(chat()).encode()
LONG = json.dumps(chat("/count 1000 /slow 50", stream=True)).encode()


@pytest.fixture
def mount(tmp_path: Path) -> Mount:
    laid = Mount(tmp_path / "tls")
    laid.put(PAIR)
    return laid


@contextlib.contextmanager
def _guard(mount: Mount, model: Model, *flags: str) -> Iterator[Guard]:
    with running.guard(mount.folder.parent, model.upstream, *mount.flags, *flags) as guard:
        yield guard


@contextlib.contextmanager
def _connected(guard: Guard, context: ssl.SSLContext = CLIENT, **options: Any) -> Iterator[ssl.SSLSocket]:
    with guard.connect() as sock, context.wrap_socket(sock, server_hostname="127.0.0.1", **options) as secured:
        yield secured


def _ask(guard: Guard, data: bytes = b"") -> bytes:
    with _connected(guard) as secured:
        secured.sendall(data or request_bytes(BODY))
        return read_all(secured)


def _seen(guard: Guard) -> str:
    """The fingerprint of the certificate that a new client is shown."""
    with _connected(guard) as secured:
        return hashlib.sha256(secured.getpeercert(binary_form=True) or b"").hexdigest()


def test_the_openai_sdk_works_with_nothing_but_the_authority(mount: Mount, model: Model) -> None:
    with _guard(mount, model) as guard, openai.DefaultHttpxClient(verify=CLIENT) as http:
        url = f"https://127.0.0.1:{guard.port}/v1"
        client = openai.OpenAI(base_url=url, api_key=credential().reveal(), max_retries=0, http_client=http)
        asked: Any = {"model": "demo", "messages": [{"role": "user", "content": "/count 50"}]}
        said = client.chat.completions.create(**asked).choices[0].message.content
        stream = client.chat.completions.create(**asked, stream=True)
        pieces = [piece.choices[0].delta.content or "" for piece in stream]
        assert said == "".join(pieces) == " ".join(map(str, range(1, 51)))
        wrong = openai.OpenAI(base_url=url, api_key=credential(epoch=2).reveal(), max_retries=0, http_client=http)
        with pytest.raises(openai.AuthenticationError):
            wrong.models.list()


def test_a_client_without_the_authority_sends_nothing(mount: Mount, model: Model) -> None:
    with _guard(mount, model) as guard:
        with pytest.raises(ssl.SSLCertVerificationError), _connected(guard, ssl.create_default_context()):
            pass
        assert _ask(guard).startswith(b"HTTP/1.1 200 ")


def _limited(version: ssl.TLSVersion) -> ssl.SSLContext:
    context = AUTHORITY.client()
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.maximum_version = version
    context.set_ciphers("ALL:@SECLEVEL=0")
    return context


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_old_versions_are_refused(mount: Mount, model: Model, version: ssl.TLSVersion) -> None:
    with _guard(mount, model) as guard:
        with pytest.raises((ssl.SSLError, ConnectionError)), _connected(guard, _limited(version)):
            pass
        assert _ask(guard).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_what_is_agreed_on_is_sane(mount: Mount, model: Model, version: ssl.TLSVersion) -> None:
    context = _limited(version)
    context.set_alpn_protocols(["h2", "http/1.1"])
    with _guard(mount, model) as guard, _connected(guard, context) as secured:
        name, _, bits = secured.cipher() or ("", "", 0)
        assert ("GCM" in name or "CHACHA20" in name) and bits >= 128  # noqa: PT018 # one claim
        assert name.startswith("TLS_" if version is ssl.TLSVersion.TLSv1_3 else "ECDHE-")
        assert (secured.selected_alpn_protocol(), secured.compression()) == ("http/1.1", None)


@pytest.mark.parametrize("cipher", ["AES128-SHA", "ECDHE-ECDSA-AES128-SHA", "ECDHE-ECDSA-AES128-SHA256"])
def test_ciphers_without_forward_secrecy_or_aead_are_refused(mount: Mount, model: Model, cipher: str) -> None:
    context = _limited(ssl.TLSVersion.TLSv1_2)
    context.set_ciphers(f"{cipher}:@SECLEVEL=0")
    with _guard(mount, model) as guard, pytest.raises((ssl.SSLError, ConnectionError)), _connected(guard, context):
        pass


def test_a_session_is_taken_up_again(mount: Mount, model: Model) -> None:
    with _guard(mount, model) as guard:
        with _connected(guard) as first:
            first.sendall(request_bytes(BODY))
            read_all(first)
            session = first.session
        with _connected(guard, session=session) as second:
            assert second.session_reused


@pytest.mark.skipif(not shutil.which("openssl") and os.environ.get("CI") != "true", reason="no openssl")
def test_a_client_cannot_negotiate_anew(mount: Mount, model: Model) -> None:
    with _guard(mount, model) as guard:
        command = ["openssl", "s_client", "-connect", f"127.0.0.1:{guard.port}", "-tls1_2"]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        with subprocess.Popen(command, **pipes) as process:  # type: ignore[call-overload]
            assert process.stdin
            assert process.stdout
            said = b""
            while b"---\n" not in said[-200:] or b"Verify return code" not in said:
                said += process.stdout.readline()
            process.stdin.write(b"R\n")
            process.stdin.flush()
            assert b"no renegotiation" in process.stdout.read().lower()
        assert _ask(guard).startswith(b"HTTP/1.1 200 ")


def test_a_new_pair_is_taken_up_under_load_and_no_request_fails(mount: Mount, model: Model) -> None:
    outcomes: list[str] = []
    stop = threading.Event()

    def call(guard: Guard) -> None:
        while not stop.is_set():
            try:
                outcomes.append(_ask(guard)[:12].decode())
            except OSError as error:
                outcomes.append(repr(error))

    with _guard(mount, model) as guard, _connected(guard) as from_before:
        callers = [threading.Thread(target=call, args=(guard,)) for _ in range(3)]
        for caller in callers:
            caller.start()
        for _ in range(5):
            pair = AUTHORITY.issue("llama.ml.svc")
            mount.put(pair)
            eventually(lambda: guard.status()["tls"]["sha256"] == pair.sha256, "the new pair is used")  # noqa: B023
            assert _seen(guard) == pair.sha256
        stop.set()
        for caller in callers:
            caller.join()
        assert set(outcomes) == {"HTTP/1.1 200"}, outcomes
        assert len(outcomes) > 50
        from_before.sendall(request_bytes(BODY))
        assert read_all(from_before).startswith(b"HTTP/1.1 200 "), "a connection keeps the pair that it began with"


OTHER = AUTHORITY.issue("other")
BAD: dict[str, dict[str, bytes | None]] = {
    "mismatched": {"crt": PAIR.certificate, "key": OTHER.key},
    "half-written certificate": {"crt": OTHER.certificate[:200], "key": OTHER.key},
    "half-written key": {"crt": OTHER.certificate, "key": OTHER.key[:60]},
    "empty": {"crt": b"", "key": b""},
    "not PEM": {"crt": b"\xff\x00 certificate", "key": b"key"},
    "swapped": {"crt": OTHER.key, "key": OTHER.certificate},
    "locked key": {"crt": OTHER.certificate, "key": authority.key_text(OTHER.private, password=b"secret")},
    "too large": {"crt": OTHER.certificate * 1000, "key": OTHER.key},
    "no key": {"crt": OTHER.certificate, "key": None},
    "no certificate": {"crt": None, "key": OTHER.key},
}


@pytest.mark.parametrize("bad", BAD)
def test_a_bad_pair_changes_nothing_but_what_is_said(mount: Mount, model: Model, bad: str) -> None:
    with _guard(mount, model) as guard:
        assert guard.metric("bartizan_guard_tls_good") == 1
        mount.lay(**BAD[bad])
        wanted = "TlsPairAbsent" if bad.startswith("no ") else "TlsPairRefused"
        eventually(lambda: guard.status()["tls"]["reason"] == wanted, "the pair is refused")
        assert (_seen(guard), guard.status()["tls"]["sha256"]) == (PAIR.sha256, PAIR.sha256)
        assert guard.metric("bartizan_guard_tls_good") == 0
        assert guard.status()["ready"], "clients are served as before"
        assert "PRIVATE KEY" not in guard.log()
        mount.put(OTHER)
        eventually(lambda: guard.status()["tls"]["reason"] == "GuardReady", "a good pair is taken up")
        assert _seen(guard) == OTHER.sha256


@pytest.mark.parametrize("bad", ["mismatched", "no key"])
def test_without_a_pair_nobody_comes_in_until_there_is_one(tmp_path: Path, model: Model, bad: str) -> None:
    mount = Mount(tmp_path / "tls")
    mount.lay(**BAD[bad])
    with _guard(mount, model) as guard:
        ready = guard.get("statusPort", "/readyz")
        assert (ready.status, ready.body.strip()) == (503, guard.status()["tls"]["reason"].encode())
        assert guard.raw(request_bytes(BODY)) == b"", "least of all in the clear"
        with pytest.raises(OSError, match=r"."), _connected(guard):
            pass
        mount.put(PAIR)
        eventually(lambda: guard.status()["ready"], "the guard is ready")
        assert _ask(guard).startswith(b"HTTP/1.1 200 ")


def test_an_expired_certificate_shows(mount: Mount, model: Model) -> None:
    mount.put(AUTHORITY.issue("late", begins=-3 * DAY, ends=-DAY))
    with _guard(mount, model) as guard:
        assert guard.status()["tls"]["notAfter"] < time.time()
        assert -2 * 86400 < guard.metric("bartizan_guard_tls_expires_seconds") < -86000
        with pytest.raises(ssl.SSLCertVerificationError, match="expired"), _connected(guard):
            pass


def test_plain_http_is_told_what_to_mend_and_goes_no_further(mount: Mount, model: Model) -> None:
    before = len(model.received())
    with _guard(mount, model) as guard:
        answer = guard.raw(request_bytes(BODY))
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert b"https://" in answer
        assert guard.raw(b"\x05\x01\x00") == b"", "what is neither is not answered"
        assert guard.metric('bartizan_guard_tls_failed_total{reason="PlainText"}') == 2
    assert len(model.received()) == before


def test_a_handshake_that_takes_too_long_is_cut(mount: Mount, model: Model) -> None:
    hello = _hello()
    with _guard(mount, model, "--header-seconds", "0.5") as guard:
        for part in (b"", hello[:1], hello[:-1], hello):
            with guard.connect() as sock:
                sock.sendall(part)
                began = time.monotonic()
                read_all(sock)
                assert time.monotonic() - began < 10, f"after {len(part)} bytes"
        eventually(lambda: guard.metric("bartizan_guard_connections") == 0, "none is left")


def test_a_handshake_and_a_request_in_single_bytes_are_understood(mount: Mount, model: Model) -> None:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = CLIENT.wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
    with _guard(mount, model) as guard, guard.connect() as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def exchange() -> None:
            for byte in outgoing.read():
                sock.sendall(bytes([byte]))

        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                exchange()
                incoming.write(sock.recv(65536))
        for byte in request_bytes(BODY):
            tls.write(bytes([byte]))  # a record for each
            exchange()
        incoming.write(read_all(sock))
        assert tls.read(65536).startswith(b"HTTP/1.1 200 ")


def test_a_thousand_half_open_handshakes_starve_nobody_and_cost_little(mount: Mount, model: Model) -> None:
    hello = _hello()
    with (
        _guard(mount, model, "--max-connections", "200", "--max-connections-per-address", "200") as guard,
        contextlib.ExitStack() as stack,
    ):
        _ask(guard)
        before = guard.rss_mib()
        answers = []
        for number in range(1000):
            sock = stack.enter_context(guard.connect())
            sock.sendall(hello[: 1 + number % len(hello)])
            if number % 50 == 0:
                answers.append(_ask(guard)[:12])
        assert set(answers) == {b"HTTP/1.1 200"}
        assert guard.metric("bartizan_guard_connections") <= 200
        assert guard.rss_mib() - before < 25


def test_sessions_of_old_clients_are_not_remembered_without_end(mount: Mount, model: Model) -> None:
    context = _limited(ssl.TLSVersion.TLSv1_2)
    context.options |= ssl.OP_NO_TICKET
    with _guard(mount, model) as guard:
        for _ in range(1100):
            with _connected(guard, context) as secured:
                secured.unwrap()  # of whom leaves without a farewell, OpenSSL remembers nothing
        eventually(lambda: guard.log().count('"certificate taken up"') > 1, "the context is made anew")
        assert _ask(guard).startswith(b"HTTP/1.1 200 ")


def test_whoever_leaves_a_stream_ends_it_at_the_model(mount: Mount, model: Model) -> None:
    with _guard(mount, model) as guard:
        for leave in ("with a farewell", "without"):
            with _connected(guard) as secured:
                secured.sendall(request_bytes(LONG))
                assert secured.recv(1024)
                assert guard.metric("bartizan_guard_requests_in_flight") == 1
                with contextlib.suppress(OSError):
                    secured.unwrap() if leave == "with a farewell" else secured.shutdown(socket.SHUT_WR)
                eventually(lambda: guard.metric("bartizan_guard_requests_in_flight") == 0, leave)


def test_a_cut_stream_has_no_clean_end(mount: Mount, model: Model) -> None:
    with _guard(mount, model, "--drain-seconds", "0.1") as guard, _connected(guard) as secured:
        secured.sendall(request_bytes(LONG))
        first = secured.recv(1024)
        assert guard.end() == 0
        rest = first + read_all(secured)
        assert b'"code": "draining"' in rest
        assert not rest.endswith(b"0\r\n\r\n")


def test_a_refusal_reaches_a_caller_that_still_sends(mount: Mount, model: Model) -> None:
    """Many clients send all of a body before they read: a reset would take the 413 from them."""
    with _guard(mount, model) as guard:
        answer = _ask(guard, request_bytes(b"x" * (6 << 20)))
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert answer.endswith(b"}")


def test_a_body_of_many_records_is_taken(mount: Mount, model: Model) -> None:
    with _guard(mount, model) as guard:
        answer = _ask(guard, request_bytes(json.dumps(chat("word " * 200_000)).encode()))
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert len(answer) > 900_000


class Inside(asyncio.Protocol):
    """What a TLS connection hands on."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []

    def data_received(self, data: bytes) -> None:
        self.heard.append(data)


class Raw(asyncio.Transport):
    """The socket's transport, without a socket."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return False


def test_requests_in_records_of_their_own_are_looked_at_like_those_in_one(mount: Mount) -> None:
    """One caller must not have a thousand answered within one turn of the event loop: it is one read."""
    watch = TlsWatch(Files(*(Path(flag) for flag in mount.flags[1::2])))
    watch.look()
    assert watch.current is not None
    inside, raw = Inside(), Raw()

    async def run() -> None:
        assert watch.current is not None
        turn = Turn(1.0, lambda _: None, clock=time.monotonic)
        connection = TlsConnection(inside, watch.current.context, turn, HalfOpen(), failed=lambda _: None)
        connection.connection_made(raw)
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = CLIENT.wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
        for _ in range(3):
            with contextlib.suppress(ssl.SSLWantReadError):
                client.do_handshake()
            if said := outgoing.read():
                connection.data_received(said)
            incoming.write(raw.written)
            raw.written = b""
        for _ in range(50):
            client.write(b"GET / HTTP/1.1\r\n\r\n")
        connection.data_received(outgoing.read())

    asyncio.run(run())
    assert inside.heard == [b"GET / HTTP/1.1\r\n\r\n" * 50]


def test_a_full_guard_says_so_over_tls(mount: Mount, model: Model) -> None:
    with _guard(mount, model, "--max-connections", "1") as guard, _connected(guard) as busy:
        busy.sendall(request_bytes(LONG))
        assert busy.recv(1024)
        answer = _ask(guard)
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"Retry-After: 1\r\n" in answer


def test_a_reader_that_stops_costs_no_memory(mount: Mount, model: Model) -> None:
    body = json.dumps(chat("/count 400000", stream=True)).encode()
    with _guard(mount, model) as guard, contextlib.ExitStack() as stack:
        _ask(guard)
        before = guard.rss_mib()
        for _ in range(4):
            secured = stack.enter_context(_connected(guard))
            secured.sendall(request_bytes(body))
            secured.recv(1)
        for _ in range(20):
            assert _ask(guard).startswith(b"HTTP/1.1 200 ")
        assert guard.rss_mib() - before < 20


def test_who_announces_a_long_handshake_and_sends_none_gets_little_memory_for_it(mount: Mount, model: Model) -> None:
    """OpenSSL makes room for what the first bytes announce; a real handshake is never shut out by that."""
    announced = b"\x16\x03\x01\x00\x04" + b"\x01" + (131_000).to_bytes(3, "big")
    with _guard(mount, model) as guard, contextlib.ExitStack() as stack:
        _ask(guard)
        before = guard.rss_mib()
        for _ in range(2 * MOST_HALF_OPEN - 20):
            stack.enter_context(guard.connect()).sendall(announced)
        eventually(lambda: guard.metric("bartizan_guard_connections") == MOST_HALF_OPEN, "the oldest have gone")
        assert guard.rss_mib() - before < 60
        assert _ask(guard).startswith(b"HTTP/1.1 200")


def test_a_connection_does_not_keep_the_room_that_a_long_answer_took(mount: Mount, model: Model) -> None:
    long = request_bytes(json.dumps(chat("/count 100000")).encode(), b"Connection: keep-alive")
    with _guard(mount, model) as guard, contextlib.ExitStack() as stack:
        warm = stack.enter_context(_connected(guard))
        _read_answer(warm, long)
        before = guard.rss_mib()
        for _ in range(40):
            _read_answer(stack.enter_context(_connected(guard)), long)
        assert guard.metric("bartizan_guard_connections") == 41
        assert guard.rss_mib() - before < 15, "of 31 MiB"


def _read_answer(sock: ssl.SSLSocket, request: bytes) -> None:
    sock.sendall(request)
    response = http.client.HTTPResponse(sock)
    response.begin()
    assert len(response.read()) > 500_000


def test_noise_in_place_of_a_handshake_or_of_records_ends_the_connection_alone(mount: Mount, model: Model) -> None:
    noise = random.Random(7)
    hello = _hello()
    before = len(model.received())
    with _guard(mount, model) as guard:
        for _ in range(150):
            spoilt = bytearray(hello)
            for _ in range(noise.randint(1, 8)):
                spoilt[noise.randrange(len(spoilt))] = noise.randrange(256)
            with guard.connect() as sock:
                sock.settimeout(0.05)
                sock.sendall(b"\x16" + bytes(spoilt[1:]) if noise.random() < 0.7 else b"\x16" + noise.randbytes(300))
                with contextlib.suppress(OSError):
                    sock.recv(4096)
        for _ in range(20):
            with _connected(guard) as secured:
                raw = socket.socket(fileno=secured.detach())
                with raw, contextlib.suppress(OSError):
                    raw.sendall(b"\x17\x03\x03\x00\x40" + noise.randbytes(64))
                    read_all(raw)
        assert guard.metric("bartizan_guard_tls_failed_total") > 50
        assert "fault" not in guard.log()
        assert _ask(guard).startswith(b"HTTP/1.1 200 ")
    assert len(model.received()) == before + 1


def _hello() -> bytes:
    """A real client's first flight."""
    outgoing = ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        CLIENT.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="127.0.0.1").do_handshake()
    return outgoing.read()
