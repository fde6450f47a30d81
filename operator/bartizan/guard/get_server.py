"""A read-only HTTP server for a few fixed pages: GET, no body, one answer a connection."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import httptools

MAX_BYTES = 8 * 1024
SECONDS = 5.0
MAX_CONNECTIONS = 64
"""Beyond it the oldest goes: whoever holds connections and asks nothing must not keep the kubelet's probes out."""


@dataclass(frozen=True, slots=True)
class Page:
    status: int
    content_type: str
    body: bytes


Pages = Mapping[bytes, Callable[[], Awaitable[Page]]]

_NOT_FOUND = Page(404, "text/plain", b"not found\n")
_BAD = Page(400, "text/plain", b"only GET is served\n")
_PHRASES = {200: b"OK", 400: b"Bad Request", 404: b"Not Found", 503: b"Service Unavailable"}


class GetServer:
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
        path = _path(await reader.readuntil(b"\r\n\r\n"))
        page = _BAD
        if path is not None:
            build = self._pages.get(path)
            page = _NOT_FOUND if build is None else await build()
        head = b"HTTP/1.1 %d %b\r\nContent-Type: %b\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"
        kind = page.content_type.encode("ascii")
        writer.write(head % (page.status, _PHRASES[page.status], kind, len(page.body)) + page.body)
        await writer.drain()


class _Target:
    def __init__(self) -> None:
        self.path = b""

    def on_url(self, part: bytes) -> None:
        self.path += part


def _path(head: bytes) -> bytes | None:
    """The raw path of a GET, None for anything else."""
    target = _Target()
    parser = httptools.HttpRequestParser(target)
    try:
        parser.feed_data(head)
    except (httptools.HttpParserError, httptools.HttpParserUpgrade):
        return None
    return target.path if parser.get_method() == b"GET" else None
