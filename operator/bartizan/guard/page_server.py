"""A small HTTP server for a few fixed pages: GET without a body, POST with a bounded one, one answer a connection."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

import httptools

MAX_BYTES = 8 * 1024
MAX_BODY_BYTES = 64 * 1024
"""A signed notice of the most windows that can be told takes some 31 KB."""
SECONDS = 5.0
MAX_CONNECTIONS = 64
"""Beyond it the oldest goes: whoever holds connections and asks nothing must not keep the kubelet's probes out."""


@dataclass(frozen=True, slots=True)
class Page:
    status: int
    content_type: str
    body: bytes


Show = Callable[[], Awaitable[Page]]
Take = Callable[[bytes], Awaitable[Page]]


@dataclass(frozen=True, slots=True)
class Pages:
    """By path: those that are shown, and those that take something."""

    shown: Mapping[bytes, Show]
    taken: Mapping[bytes, Take] = field(default_factory=dict)


_NOT_FOUND = Page(404, "text/plain", b"not found\n")
_BAD = Page(400, "text/plain", b"only GET is served\n")
_TOO_LONG = Page(413, "text/plain", b"the body has no length, or too great a one\n")
_PHRASES = {
    200: b"OK",
    400: b"Bad Request",
    404: b"Not Found",
    409: b"Conflict",
    413: b"Content Too Large",
    503: b"Service Unavailable",
}


class PageServer:
    def __init__(self, pages: Pages) -> None:
        self._pages = pages
        self._serving: dict[asyncio.Task[None] | None, None] = {}

    async def open(self, sock: socket.socket) -> asyncio.Server:
        return await asyncio.start_server(self._serve, sock=sock, limit=MAX_BYTES)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if len(self._serving) >= MAX_CONNECTIONS and (oldest := next(iter(self._serving))):
            del self._serving[oldest]
            oldest.cancel()
        self._serving[task] = None
        try:
            async with asyncio.timeout(SECONDS):
                await self._answer(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # a caller that is gone, slow or too long gets nothing
        finally:
            self._serving.pop(task, None)
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        page = await self._page(_asked(await reader.readuntil(b"\r\n\r\n")), reader)
        head = b"HTTP/1.1 %d %b\r\nContent-Type: %b\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"
        kind = page.content_type.encode("ascii")
        writer.write(head % (page.status, _PHRASES[page.status], kind, len(page.body)) + page.body)
        await writer.drain()

    async def _page(self, asked: "_Asked | None", reader: asyncio.StreamReader) -> Page:
        if asked is None:
            return _BAD
        if asked.method == b"GET":
            show = self._pages.shown.get(asked.path)
            return _NOT_FOUND if show is None else await show()
        take = self._pages.taken.get(asked.path)
        if asked.method != b"POST" or take is None:
            return _BAD
        if not 0 < asked.length <= MAX_BODY_BYTES:
            return _TOO_LONG
        return await take(await reader.readexactly(asked.length))


class _Asked:
    """What a head asks for; `length` is 0 where it says none, or none that can be read."""

    def __init__(self) -> None:
        self.method = b""
        self.path = b""
        self.length = 0

    def on_url(self, part: bytes) -> None:
        self.path += part

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"content-length":
            self.length = int(value) if value.isdigit() and len(value) <= len(str(MAX_BODY_BYTES)) else 0


def _asked(head: bytes) -> _Asked | None:
    """None for what is no head."""
    asked = _Asked()
    parser = httptools.HttpRequestParser(asked)
    try:
        parser.feed_data(head)
    except (httptools.HttpParserError, httptools.HttpParserUpgrade):
        return None
    asked.method = parser.get_method()
    return asked
