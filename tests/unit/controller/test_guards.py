"""Whoever answers in a guard's place is believed in nothing but a bounded, flat answer, and leads nowhere else."""

import asyncio
import random

import aiohttp
import pytest

from bartizan.controller.guards import GuardReport, ask_over_http
from bartizan.policy import names

GOOD = b'{"documentHash": "abc", "reason": "GuardReady"}'


def answer(body: bytes, status: bytes = b"200 OK", more: bytes = b"") -> bytes:
    return b"HTTP/1.1 %b\r\nContent-Length: %d\r\nConnection: close\r\n%b\r\n%b" % (status, len(body), more, body)


async def _asked(first: bytes) -> tuple[GuardReport | None, int]:
    """What is made of the pod's first answer, and how many requests came; each further one would be answered well."""
    requests = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal requests
        requests += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.write(first if requests == 1 else answer(GOOD))
        await writer.drain()
        writer.close()

    address = f"127.81.{random.randrange(1, 255)}.{random.randrange(1, 255)}"  # so that tests do not meet
    server = await asyncio.start_server(serve, address, names.STATUS_PORT)
    async with server, aiohttp.ClientSession() as session:
        return await ask_over_http(session)(address), requests


def test_a_guards_answer_is_read() -> None:
    assert asyncio.run(_asked(answer(GOOD))) == (GuardReport("abc", "GuardReady"), 1)


def test_nobody_sends_the_operator_elsewhere() -> None:
    report, requests = asyncio.run(_asked(answer(b"", b"302 Found", b"Location: /elsewhere\r\n")))
    assert (report, requests) == (None, 1)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"null", b"{", b"[" * 16_000, b"1" * 16_000, b"\xff", b'{"documentHash": ["' + b"x" * 60_000]
)
def test_nonsense_is_no_report_and_no_fault(body: bytes) -> None:
    assert asyncio.run(_asked(answer(body))) == (None, 1)
