"""What a real guard says of itself, as the operator reads it."""

import asyncio
import json
import socket
from dataclasses import fields, replace
from pathlib import Path

import pytest
from tests.unit.guard import running, tokenizers_made

from bartizan.controller.guards import ASKED_AT_ONCE, GuardReport, TlsReport, ask_over_http, open_session
from bartizan.policy import names


def _asked(address: str, folder: Path, *flags: str) -> GuardReport | None:
    """Each test has an address of the loopback's for itself: the status port is always the same one."""

    async def ask() -> GuardReport | None:
        async with open_session() as session:
            return await ask_over_http(session)(address)

    flags = ("--address", address, "--status-port", str(names.STATUS_PORT), *flags)
    with running.guard(folder, f"unix:{folder / 'nobody'}", *flags):
        return asyncio.run(ask())


def test_a_guards_report_is_read_whole(tmp_path: Path) -> None:
    report = _asked("127.0.77.1", tmp_path)
    assert report is not None
    assert len(report.document_hash) == 64
    assert (report.reason, report.document_reason) == ("SocketAbsent", "GuardReady")
    assert (report.limits_reason, report.tokenizer_reason, report.tls) == ("LimitsUnkept", "GuardReady", None)


def test_it_says_what_is_wrong_with_a_tokenizer(tmp_path: Path) -> None:
    report = _asked("127.0.77.2", tmp_path, *tokenizers_made.flags(tmp_path, "absent.json"))
    assert report is not None
    assert report.tokenizer_reason == "TokenizerAbsent"


STATUS = b'HTTP/1.1 200 OK\r\nContent-Length: 45\r\n\r\n{"documentHash": "x", "reason": "GuardReady"}'


LIE = "x" * 1000
EMPTY = GuardReport("", "")


def _read(body: object) -> GuardReport | None:
    """From somebody who is no guard of ours."""
    text = json.dumps(body).encode()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(text), text))
        writer.close()

    async def scenario() -> GuardReport | None:
        async with open_session() as session, await asyncio.start_server(answer, "127.0.77.5", names.STATUS_PORT):
            return await ask_over_http(session)("127.0.77.5")

    return asyncio.run(scenario())


def test_of_what_somebody_else_says_little_is_kept() -> None:
    """It is kept for as long as the pod lives, for each pod of each endpoint."""
    words = ("documentHash", "reason", "documentReason", "limitsReason", "tokenizerReason")
    report = _read(dict.fromkeys(words, LIE) | {"tls": {"reason": LIE, "validity": LIE, "notAfter": 10**400}})
    assert report is not None
    assert report.tls is not None
    said = {getattr(report, field.name) for field in fields(report) if field.name != "tls"}
    assert {*said, report.tls.files, report.tls.validity} == {LIE[:256]}
    assert report.tls.not_after == 0


@pytest.mark.parametrize("odd", [["x"], {"x": "y"}, 7, True, None])
def test_what_is_no_text_says_nothing(odd: object) -> None:
    words = ("documentHash", "reason", "documentReason", "limitsReason", "tokenizerReason")
    assert _read(dict.fromkeys(words, odd)) == EMPTY
    assert _read({"tls": {"reason": odd, "validity": odd}}) == replace(EMPTY, tls=TlsReport("", "", 0))


def test_guards_that_hang_take_no_connection_from_those_of_other_endpoints() -> None:
    """Nor is one kept open to those that answer: their number would have no bound."""
    left = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(STATUS)
        await reader.read()
        writer.close()
        left.set()

    async def scenario() -> GuardReport | None:
        async with open_session() as session, await asyncio.start_server(answer, "127.0.77.4", names.STATUS_PORT):
            ask = ask_over_http(session)
            hanging = [asyncio.create_task(ask("127.0.77.3")) for _ in range(2 * ASKED_AT_ONCE)]
            report = await ask("127.0.77.4")
            async with asyncio.timeout(5):
                await left.wait()
            await asyncio.gather(*hanging)
            return report

    with socket.create_server(("127.0.77.3", names.STATUS_PORT), backlog=1000):
        assert asyncio.run(scenario()) == GuardReport("x", "GuardReady")
