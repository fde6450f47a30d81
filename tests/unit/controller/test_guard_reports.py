"""What a real guard says of itself, as the operator reads it."""

import asyncio
import json
import socket
from contextlib import suppress
from dataclasses import fields, replace
from pathlib import Path

import pytest
from tests.unit.guard import running, tokenizers_made

from bartizan.controller.guards import (
    ASKED_AT_ONCE,
    MAX_STATUS_BYTES,
    GuardReport,
    TlsReport,
    ask_over_http,
    open_session,
    tell_over_http,
)
from bartizan.guard import page_server
from bartizan.policy import names, usage
from bartizan.policy.usage import MOST_SECONDS, MOST_WINDOWS, Notice, Usage


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


MOST: Usage = {f"{number:032x}": MOST_SECONDS for number in range(MOST_WINDOWS)}


def test_a_guard_takes_the_longest_notice_and_awaits_none_from_then_on(tmp_path: Path) -> None:
    address, state = "127.0.77.3", tmp_path / "state"
    state.mkdir()

    async def tell() -> tuple[GuardReport | None, list[bool], GuardReport | None]:
        async with open_session() as session:
            ask, send = ask_over_http(session), tell_over_http(session)
            before = await ask(address)
            assert before is not None
            notices = [
                Notice(running.ENDPOINT, nonce, MOST) for nonce in ("another", before.usage_nonce, before.usage_nonce)
            ]
            taken = [await send(address, usage.encode(notice, running.SIGNING_KEY)) for notice in notices]
            return before, taken, await ask(address)

    flags = ("--address", address, "--status-port", str(names.STATUS_PORT), "--state-directory", str(state))
    with running.guard(tmp_path, f"unix:{tmp_path / 'nobody'}", *flags):
        before, taken, after = asyncio.run(tell())
    assert before is not None
    assert (len(before.usage_nonce), taken) == (32, [False, True, False])
    assert after == replace(before, awaits_usage=False)
    assert after.usage_nonce != before.usage_nonce


def test_nobody_there_has_taken_no_notice() -> None:
    async def tell() -> bool:
        async with open_session() as session:
            return await tell_over_http(session)("127.0.77.4", "notice")

    assert asyncio.run(tell()) is False


def test_there_is_room_for_the_most_that_can_be_said() -> None:
    rest = 2048  # reasons, hashes, the endpoint's names and the certificate
    assert len(json.dumps(MOST, separators=(",", ":"))) + rest <= MAX_STATUS_BYTES
    notice = Notice(replace(running.ENDPOINT, namespace="x" * 63, name="x" * 63), "0" * 32, MOST)
    assert len(usage.encode(notice, running.SIGNING_KEY)) <= page_server.MAX_BODY_BYTES


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
    words = ("documentHash", "reason", "documentReason", "limitsReason", "tokenizerReason", "usageNonce")
    report = _read(dict.fromkeys(words, LIE) | {"tls": {"reason": LIE, "validity": LIE, "notAfter": 10**400}})
    assert report is not None
    assert report.tls is not None
    others = ("tls", "usage", "awaits_usage")
    said = {getattr(report, field.name) for field in fields(report) if field.name not in others}
    assert {*said, report.tls.files, report.tls.validity} == {LIE[:256]}
    assert (report.tls.not_after, report.usage, report.awaits_usage) == (0, None, False)


@pytest.mark.parametrize(
    "used",
    [{LIE: 1}, {"a" * 32: LIE}, {"a" * 32: 10**400}, {f"{number:032x}": 1 for number in range(MOST_WINDOWS + 1)}],
)
def test_of_windows_it_believes_what_a_guard_could_say(used: object) -> None:
    report = _read({"usage": {"a" * 32: 1}})
    assert report is not None
    assert report.usage == {"a" * 32: 1}
    lie = _read({"usage": used})
    assert lie is not None
    assert lie.usage is None


@pytest.mark.parametrize("odd", [["x"], {"x": "y"}, 7, True, None])
def test_what_is_no_text_says_nothing(odd: object) -> None:
    words = ("documentHash", "reason", "documentReason", "limitsReason", "tokenizerReason")
    assert _read(dict.fromkeys(words, odd)) == EMPTY
    assert _read({"tls": {"reason": odd, "validity": odd}}) == replace(EMPTY, tls=TlsReport("", "", 0))


def test_a_status_that_comes_in_pieces_is_read_whole() -> None:
    """As all do that are longer than what a network carries at once."""
    text = json.dumps({"documentHash": "x", "reason": "GuardReady", "usage": MOST}).encode()

    left = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(text))
        for begin in range(0, len(text), 1400):
            writer.write(text[begin : begin + 1400])
            for _ in range(10):  # the reader's turns, in the same loop: it has taken this piece before the next
                await asyncio.sleep(0)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
        left.set()

    async def scenario() -> GuardReport | None:
        async with open_session() as session, await asyncio.start_server(answer, "127.0.77.6", names.STATUS_PORT):
            report = await ask_over_http(session)("127.0.77.6")
            await left.wait()
            return report

    report = asyncio.run(scenario())
    assert report is not None
    assert report.usage == MOST


def test_no_more_is_read_than_a_guard_could_say() -> None:
    assert _read({"reason": "x" * MAX_STATUS_BYTES}) is None


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
