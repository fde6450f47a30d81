"""What a real guard says of itself, as the operator reads it."""

import asyncio
from pathlib import Path

import aiohttp
from tests.unit.guard import running, tokenizers_made

from bartizan.controller.guards import GuardReport, ask_over_http
from bartizan.policy import names


def _asked(address: str, folder: Path, *flags: str) -> GuardReport | None:
    """Each test has an address of the loopback's for itself: the status port is always the same one."""

    async def ask() -> GuardReport | None:
        async with aiohttp.ClientSession() as session:
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
