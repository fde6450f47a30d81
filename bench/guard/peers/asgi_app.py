"""The floor once more, as an application for ready-made servers; their environment has this file and no other.

`UPSTREAM` in the environment is the model's unix socket.
"""

import asyncio
import os
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

import httptools

_FRAME = b"POST %b HTTP/1.1\r\nHost: model\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
_IDLE: "deque[_Upstream]" = deque()
Message = dict[str, Any]


class _Upstream(asyncio.Protocol):
    """One connection to the model, with one request at a time."""

    def connection_made(self, transport: Any) -> None:  # noqa: ANN401 -- uvloop's
        self._transport = transport
        self._parser = httptools.HttpResponseParser(self)

    def send(self, request: bytes) -> "asyncio.Future[bytes]":
        self._body = b""
        self._answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return self._answer

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, piece: bytes) -> None:
        self._body += piece

    def on_message_complete(self) -> None:
        _IDLE.append(self)
        if not self._answer.done():
            self._answer.set_result(self._body)


async def app(
    scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    if scope["type"] != "http":
        return
    body, more = b"", True
    while more:
        part = await receive()
        body, more = body + part.get("body", b""), part.get("more_body", False)
    upstream = _IDLE.pop() if _IDLE else await _open()
    answer = await upstream.send(_FRAME % (scope["path"].encode(), len(body), body))
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(answer))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})


async def _open() -> _Upstream:
    _, upstream = await asyncio.get_running_loop().create_unix_connection(_Upstream, os.environ["UPSTREAM"])
    return upstream
