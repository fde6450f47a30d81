"""The model behind every peer: fixed OpenAI chat completions, whole or streamed, on a unix socket and a TCP port.

The last message may say how a stream goes: `/chunks 1000 /every 5` is 1,000 chunks, one each 5 ms.
"""

import argparse
import asyncio
import json
import re
from typing import cast

import httptools
import uvloop

_ANSWER = "The tide comes in twice a day because the sea bulges on both sides of the earth. " * 6
_FRAME = {"id": "chatcmpl-bench", "created": 1, "model": "demo"}
_ORDER = re.compile(rb"/chunks (\d+) /every (\d+)")
_STREAM = re.compile(rb'"stream": ?true')
_OK = b"HTTP/1.1 200 OK\r\n"


def _whole() -> bytes:
    message = {"role": "assistant", "content": _ANSWER}
    usage = {"prompt_tokens": 200, "completion_tokens": 120, "total_tokens": 320}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    body = json.dumps({**_FRAME, "object": "chat.completion", "choices": [choice], "usage": usage}).encode()
    return _OK + b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body


def _chunk(delta: dict[str, str], finish: str | None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    event = b"data: " + json.dumps({**_FRAME, "object": "chat.completion.chunk", "choices": [choice]}).encode()
    return _piece(event + b"\n\n")


def _piece(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


WHOLE = _whole()
STREAM_HEAD = _OK + b"Content-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n"
CHUNK = _chunk({"content": " tides"}, None)
STREAM_END = _chunk({}, "stop") + _piece(b"data: [DONE]\n\n") + b"0\r\n\r\n"


class Model(asyncio.Protocol):
    """One connection of the peer's."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._parser = httptools.HttpRequestParser(self)
        self._body = b""
        self._left = 0
        self._timer: asyncio.TimerHandle | None = None

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002 -- asyncio's signature
        if self._timer is not None:
            self._timer.cancel()

    def on_body(self, piece: bytes) -> None:
        self._body += piece

    def on_message_complete(self) -> None:
        body, self._body = self._body, b""
        if not _STREAM.search(body):
            self._transport.write(WHOLE)
            return
        order = _ORDER.search(body)
        self._left = int(order.group(1)) if order else 10
        self._transport.write(STREAM_HEAD)
        self._tick(int(order.group(2)) / 1000 if order else 0.0, asyncio.get_running_loop().time())

    def _tick(self, every: float, due: float) -> None:
        if not self._left:
            self._transport.write(STREAM_END)
            return
        self._left -= 1
        self._transport.write(CHUNK)
        self._timer = asyncio.get_running_loop().call_at(due + every, self._tick, every, due + every)


async def _serve(path: str) -> None:
    loop = asyncio.get_running_loop()
    unix = await loop.create_unix_server(Model, path, backlog=1024)
    tcp = await loop.create_server(Model, "127.0.0.1", 0, backlog=1024)
    print(tcp.sockets[0].getsockname()[1], flush=True)
    await asyncio.gather(unix.serve_forever(), tcp.serve_forever())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--socket", required=True)
    uvloop.run(_serve(parser.parse_args().socket))


if __name__ == "__main__":
    main()
