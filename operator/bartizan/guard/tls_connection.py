"""TLS between a client's socket and its connection: handshake, records, farewell; OpenSSL does all of it in memory.

The connection inside is there from the first byte, and so are its caps and deadlines: whoever does not finish a
handshake holds a place among those without a request, and loses it like them. Python's own `ssl` transports know a
connection only once its handshake is over.
"""

import asyncio
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Any, cast

from bartizan.guard.turn import Turn

HANDSHAKE_RECORD = 0x16
"""The first byte of every TLS connection (RFC 8446, section 5.1); no method of HTTP begins with it."""
MOST_HANDSHAKE_BYTES = 64 * 1024
"""A client's part of a handshake has some 2 KB; there are no client certificates here."""
MOST_HALF_OPEN = 256
"""Handshakes under way at one time: OpenSSL makes room for all that a client says its first message has, 150 KB for
each that says so and sends no more."""
READ_BYTES = 64 * 1024
STEP_BYTES = 64 * 1024
"""What is encrypted at one time: OpenSSL keeps the room for the most it ever held, as long as the connection lasts."""
_PLAIN_TEXT = b"This port speaks TLS; write https:// in the base URL.\n"
PLAIN_ANSWER = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\n"
    b"Cache-Control: no-store\r\nConnection: close\r\n\r\n%b" % (len(_PLAIN_TEXT), _PLAIN_TEXT)
)

Failed = Callable[[str], None]


class HalfOpen:
    """Those whose handshake has begun and not ended. Beyond the most, whoever began first has had the longest."""

    def __init__(self) -> None:
        self._held: dict[TlsConnection, None] = {}

    def add(self, connection: "TlsConnection") -> None:
        self._held[connection] = None
        if len(self._held) > MOST_HALF_OPEN:
            oldest = next(iter(self._held))
            del self._held[oldest]
            oldest.abort()

    def remove(self, connection: "TlsConnection") -> None:
        self._held.pop(connection, None)


class TlsConnection(asyncio.Protocol):
    """The protocol of the socket's transport, and the transport of the connection inside."""

    def __init__(
        self,
        inner: asyncio.Protocol,
        context: ssl.SSLContext | None,
        turn: Turn,
        half_open: HalfOpen,
        *,
        failed: Failed,
    ) -> None:
        self._inner = inner
        self._turn = turn
        self._half_open = half_open
        self._failed = failed
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls: ssl.SSLObject | None = None
        if context is not None:
            self._tls = context.wrap_bio(self._in, self._out, server_side=True)
        self._is_open = False
        self._is_deaf = False
        self._handshake_bytes = 0
        self._early = b""
        """What is to be said as soon as it can be."""
        self._then: Callable[[], None] | None = None
        """And how it ends after that."""

    # The socket's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._raw = cast("asyncio.Transport", transport)
        self._inner.connection_made(cast("asyncio.Transport", self))

    def connection_lost(self, error: Exception | None) -> None:
        self._half_open.remove(self)
        self._inner.connection_lost(error)
        self._tls = None  # 50 KB that would wait for the collector: the two connections know each other

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()

    def eof_received(self) -> bool | None:
        return self._inner.eof_received()

    def data_received(self, data: bytes) -> None:
        self._turn.begin()  # a handshake is dearer than most of what comes after it
        if self._is_open and self._is_deaf:
            self._inner.data_received(data)  # which counts it and looks no further
        elif self._tls is None or (not self._handshake_bytes and data[0] != HANDSHAKE_RECORD):
            self._turn_away(data)
        else:
            self._in.write(data)
            self._advance(self._tls, len(data))

    def _turn_away(self, data: bytes) -> None:
        """Whoever speaks no TLS; a client of plain HTTP is told what to mend."""
        self._failed("PlainText" if self._tls else "NoCertificate")
        if self._tls and data[:1].isupper():
            self._raw.write(PLAIN_ANSWER)
        self._raw.close()

    def _advance(self, tls: ssl.SSLObject, size: int) -> None:
        try:
            if not self._is_open:
                self._shake_hands(tls, size)
            if self._is_open and not self._is_deaf and not self._raw.is_closing():
                self._hand_on(tls)
        except ssl.SSLWantReadError:
            self._flush()
        except ssl.SSLError:
            self._failed("Records" if self._is_open else "Handshake")
            self._flush()  # the alert that says why
            self._raw.close()

    def _hand_on(self, tls: ssl.SSLObject) -> None:
        """All that has come in one piece, as from a plain socket: else each record might hold a request of its own."""
        pieces, is_over = [], False
        try:
            while data := tls.read(READ_BYTES):
                pieces.append(data)
            is_over = True
        except ssl.SSLWantReadError:
            self._flush()
        if pieces:
            self._inner.data_received(b"".join(pieces))
        if is_over:
            self._inner.eof_received()
            self.close()

    def _shake_hands(self, tls: ssl.SSLObject, size: int) -> None:
        if not self._handshake_bytes:
            self._half_open.add(self)
        self._handshake_bytes += size
        try:
            tls.do_handshake()
        except ssl.SSLWantReadError:
            if self._handshake_bytes > MOST_HANDSHAKE_BYTES:  # counted here: a body may come right behind its end
                raise ssl.SSLError("the handshake is too long") from None
            raise
        self._is_open = True
        self._half_open.remove(self)
        self._flush()
        if self._early:
            self._encrypt(tls, self._early)
        if self._then is not None:
            self._end(self._then)

    def _flush(self) -> None:
        if self._out.pending and not self._raw.is_closing():
            self._raw.write(self._out.read())

    # The connection's side: what it uses of a transport

    def write(self, data: bytes) -> None:
        if not self._is_open or self._tls is None:
            self._early += data
            return
        try:
            self._encrypt(self._tls, data)
        except ssl.SSLError:
            self._raw.abort()

    def _encrypt(self, tls: ssl.SSLObject, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[tls.write(view[:STEP_BYTES]) :]
            self._flush()

    def write_eof(self) -> None:
        self._is_deaf = True
        self._end(self._raw.write_eof)

    def close(self) -> None:
        self._end(self._raw.close)

    def _end(self, how: Callable[[], None]) -> None:
        if self._early and not self._is_open:
            self._then = how
            return
        if self._is_open and self._tls is not None:
            with suppress(ssl.SSLError):  # it would like to hear the other side's farewell, too
                self._tls.unwrap()
            self._flush()
        how()

    def abort(self) -> None:
        self._raw.abort()

    def is_closing(self) -> bool:
        return self._then is not None or self._raw.is_closing()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._raw.set_write_buffer_limits(high, low)

    def get_write_buffer_size(self) -> int:
        return self._raw.get_write_buffer_size() + (0 if self._is_open else len(self._early))

    def get_extra_info(self, name: str, default: Any = None) -> Any:  # noqa: ANN401 -- asyncio's signature
        return self._raw.get_extra_info(name, default)
