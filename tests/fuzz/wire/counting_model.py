"""A model's server on a unix socket that counts what reaches it, and takes nothing but the guard's own framing."""

import asyncio
import hashlib
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from bartizan.guard import strict_json
from bartizan.guard.strict_json import JsonError

_HEAD = re.compile(
    rb"POST (/v1/[a-z/]+) HTTP/1\.1\r\nHost: model\r\nContent-Type: application/json\r\nAccept: \*/\*\r\n"
    rb"Content-Length: (0|[1-9][0-9]*)\r\n\r\n"
)
"""Byte for byte what the guard writes; anything else on this socket is smuggled."""
_WHOLE = b'{"choices":[{"index":0,"message":{"content":"a"}}],"usage":{"prompt_tokens":1,"completion_tokens":1}}'
_EVENTS = b'data: {"choices":[{"index":0,"delta":{"content":"a"}}]}\n\ndata: [DONE]\n\n'


@dataclass
class CountingModel:
    """`bodies` counts each request by the hash of its body; `odd` is what came and was none."""

    bodies: Counter[str] = field(default_factory=Counter)
    odd: list[bytes] = field(default_factory=list)
    writers: set[asyncio.StreamWriter] = field(default_factory=set)

    async def open(self, path: Path) -> asyncio.Server:
        return await asyncio.start_unix_server(self._talk, path)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.add(writer)
        try:
            while head := await _head(reader):
                found = _HEAD.fullmatch(head)
                if found is None:
                    self.odd.append(head)
                    break
                body = await reader.readexactly(int(found[2]))
                self._count(body)
                writer.write(_answer(body))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the guard has cut it, as it does when its caller leaves
        finally:
            self.writers.discard(writer)
            writer.close()

    def _count(self, body: bytes) -> None:
        try:
            is_canonical = strict_json.serialise(strict_json.parse(body)) == body
        except JsonError:
            is_canonical = False
        if not is_canonical:
            self.odd.append(body)
        self.bodies[hashlib.sha256(body).hexdigest()] += 1


async def _head(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        return error.partial


def _answer(body: bytes) -> bytes:
    is_stream = b'"stream":true' in body
    kind, text = (b"text/event-stream", _EVENTS) if is_stream else (b"application/json", _WHOLE)
    return b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n%b" % (kind, len(text), text)
