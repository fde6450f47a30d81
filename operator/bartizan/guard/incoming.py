"""Reads one request after another from a connection's bytes, within caps; llhttp (in httptools) does the parsing.

Bytes behind a whole request are excess: they are looked at no further, and the connection ends with the answer.
"""

from collections.abc import Callable

import httptools

from bartizan.guard.refusal import Refusal
from bartizan.guard.request import Field, Head, Request
from bartizan.policy.reasons import Reason

MAX_HEADER_BYTES = 16 * 1024
MAX_HEADER_COUNT = 64
"""Real clients send some 20 lines and 1 KB."""
MAX_FRAMING_BYTES = 64 * 1024
"""What head and chunk sizes may take beyond the body's own bytes once more: clients send chunks of a kilobyte and more,
while chunks of a byte cost six times what the body's bound says, and a call of the parser's for each."""


class Incoming:
    """`request` is there once its head is whole; `is_whole` once its body is."""

    def __init__(self, make: Callable[[Head], Request]) -> None:
        self._make = make
        self._parser = httptools.HttpRequestParser(self)
        self.renew()

    def renew(self) -> None:
        """Forget the request before: the next one begins."""
        self.request: Request | None = None
        self.has_excess = False
        self.keeps_alive = False
        self._fields: list[Field] = []
        self._target = b""
        self._fed_bytes = 0
        self._silent_bytes = 0
        self._body_bytes = 0

    @property
    def is_whole(self) -> bool:
        return self.request is not None and self.request.is_complete

    @property
    def has_begun(self) -> bool:
        return bool(self._fed_bytes)

    def feed(self, data: bytes) -> None:
        """Raises Refusal where the bytes are not the HTTP that the guard speaks; nothing may be fed after that."""
        size = len(data)
        self._fed_bytes += size
        self._silent_bytes += size
        was_head = self.request is None
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            raise malformed() from error
        # The parser keeps names and values until they end: head, trailer or chunk extension, none may be without end.
        if self._silent_bytes > MAX_HEADER_BYTES or (was_head and self._is_head_too_large()):
            raise Refusal(Reason.HEADERS_TOO_LARGE, "The request's header is too large.")
        if self._fed_bytes > 2 * self._body_bytes + MAX_FRAMING_BYTES:
            raise Refusal(Reason.REQUEST_MALFORMED, "The body's chunks are too small; send larger ones.")

    def _is_head_too_large(self) -> bool:
        if len(self._fields) > MAX_HEADER_COUNT:
            return True
        if self._fed_bytes <= MAX_HEADER_BYTES:  # what was not sent need not be added up
            return False
        return len(self._target) + sum(len(name) + len(value) for name, value in self._fields) > MAX_HEADER_BYTES

    def refused(self, refusal: Refusal) -> Request:
        """A request in place of the one that came, with whatever is known of it, to be answered with the refusal."""
        method = self._parser.get_method() if self._target else b""  # a refused HEAD has no body either
        if self.request is not None:
            self.request.release()
            method = self.request.head.method
        self.keeps_alive = False
        self.request = self._make(Head(method, self._target[:MAX_HEADER_BYTES], (), fault=refusal))
        return self.request

    # The parser's callbacks

    def on_message_begin(self) -> None:
        self.has_excess = self.request is not None

    def on_url(self, part: bytes) -> None:
        if not self.has_excess:
            self._target += part

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.request is None:
            self._fields.append((name.lower(), value))
        elif not self.has_excess:
            self.request.fail(malformed())  # a trailer: nothing may come after what was judged

    def on_headers_complete(self) -> None:
        if self.has_excess:
            return
        self._silent_bytes = 0
        self.keeps_alive = self._parser.should_keep_alive()
        fault = None if self._parser.get_http_version() == "1.1" else malformed()
        self.request = self._make(Head(self._parser.get_method(), self._target, tuple(self._fields), fault))

    def on_body(self, piece: bytes) -> None:
        self._silent_bytes = 0
        self._body_bytes += len(piece)
        if self.request is not None and not self.has_excess:
            self.request.add(piece)

    def on_message_complete(self) -> None:
        if self.request is not None and not self.has_excess:
            self.request.complete()


def malformed() -> Refusal:
    return Refusal(Reason.REQUEST_MALFORMED, "The request is not plain HTTP/1.1 as this endpoint reads it.")
