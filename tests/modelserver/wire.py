"""Knows HTTP/1.1 on a stream: reads one request, writes one answer, whole or as server-sent events."""

import asyncio
import json
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

MAX_BODY_BYTES = 64 << 20


class BadRequestError(ValueError):
    """What came in is not a request this server reads."""


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def keeps_alive(self) -> bool:
        return self.headers.get("connection", "").lower() != "close"

    def summary(self) -> dict[str, object]:
        body = self.body.decode("utf-8", "replace")
        return {"method": self.method, "path": self.path, "headers": self.headers, "body": body}

    def json(self) -> dict[str, Any]:
        try:
            value = json.loads(self.body)
        except ValueError as error:
            raise BadRequestError(f"the body is not JSON: {error}") from error
        if not isinstance(value, dict):
            raise BadRequestError("the body is not a JSON object")
        return value


async def read_request(reader: asyncio.StreamReader, first: bytes) -> Request:
    """Read the request whose first byte was read already."""
    head = (first + await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, path, _ = head[0].split(" ")
    fields = (line.partition(":") for line in head[1:] if line)
    headers = {name.strip().lower(): value.strip() for name, _, value in fields}
    return Request(method, path, headers, await read_body(reader, headers))


async def read_body(reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
    if headers.get("transfer-encoding", "").lower() == "chunked":
        return await read_chunks(reader)
    length = int(headers.get("content-length", "0"))
    if length > MAX_BODY_BYTES:
        raise BadRequestError(f"the body has {length} bytes, the most is {MAX_BODY_BYTES}")
    return await reader.readexactly(length)


async def read_chunks(reader: asyncio.StreamReader) -> bytes:
    body = b""
    while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
        body += (await reader.readexactly(size + 2))[:-2]
    await reader.readuntil(b"\r\n")
    return body


def head(status: int, content_type: str, framing: str) -> bytes:
    phrase = HTTPStatus(status).phrase if status in set(HTTPStatus) else "Overloaded"
    return f"HTTP/1.1 {status} {phrase}\r\nContent-Type: {content_type}\r\n{framing}\r\n\r\n".encode()


async def write_json(writer: asyncio.StreamWriter, value: object, status: int = 200) -> None:
    body = json.dumps(value).encode()
    writer.write(head(status, "application/json", f"Content-Length: {len(body)}") + body)
    await writer.drain()


async def start_events(writer: asyncio.StreamWriter) -> None:
    writer.write(head(200, "text/event-stream", "Transfer-Encoding: chunked"))
    await writer.drain()


async def write_event(writer: asyncio.StreamWriter, value: object) -> None:
    line = value if isinstance(value, str) else json.dumps(value)
    await write_chunk(writer, f"data: {line}\n\n".encode())


async def write_named_event(writer: asyncio.StreamWriter, value: dict[str, Any]) -> None:
    await write_chunk(writer, f"event: {value['type']}\ndata: {json.dumps(value)}\n\n".encode())


async def write_chunk(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(b"%x\r\n%b\r\n" % (len(data), data))
    await writer.drain()


async def end_events(writer: asyncio.StreamWriter) -> None:
    await write_event(writer, "[DONE]")
    await end_chunks(writer)


async def end_chunks(writer: asyncio.StreamWriter) -> None:
    writer.write(b"0\r\n\r\n")
    await writer.drain()


def error(message: str, status: int) -> dict[str, Any]:
    """An error in OpenAI's form."""
    kind = "invalid_request_error" if status < HTTPStatus.INTERNAL_SERVER_ERROR else "server_error"
    return {"error": {"message": message, "type": kind, "param": None, "code": status}}
