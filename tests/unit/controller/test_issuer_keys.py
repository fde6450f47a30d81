"""Issuers' keys over time: fetched, rotated, kept for a while when their issuer is away, and then no more."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from tests.issuer.minting import key_set, signing_key
from tests.issuer.server import DISCOVERY, KEYS, Page, serving
from tests.localcluster import waiting

from bartizan.controller import issuer_keys
from bartizan.controller.fetch import FetchError, published_keys
from bartizan.controller.issuer_keys import REFRESH_SECONDS, STALE_SECONDS, Held, IssuerKeys, Issuers
from bartizan.policy import jwks
from bartizan.policy.issuers import parse

URL = "https://login.example"
(SETTING,) = parse(json.dumps([{"name": "corp", "url": URL}]))
KEY = jwks.parse(key_set(signing_key()))


class Source:
    """An issuer without a wire, and a clock that moves by hand."""

    def __init__(self) -> None:
        self.now = 0.0
        self.answer: Any = key_set(signing_key())
        self.asked = 0

    async def fetch(self, _: Any) -> Any:
        self.asked += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def keys(self) -> IssuerKeys:
        return IssuerKeys(SETTING, self.fetch, clock=lambda: self.now)


def kids(keys: IssuerKeys) -> list[str]:
    return [key.kid for key in asyncio.run(keys.current()).keys]


def refresh(keys: IssuerKeys) -> None:
    asyncio.run(keys.refresh())


def test_what_was_never_fetched_lets_nobody_in() -> None:
    found = Held(URL).current(0.0)
    assert found.keys == ()
    assert "could not be fetched yet" in found.problem


def test_keys_rotate_both_count_and_one_that_is_gone_does_not() -> None:
    source = Source()
    keys = source.keys()
    for published in (["key-1"], ["key-1", "key-2"], ["key-2"]):
        source.answer = key_set(*map(signing_key, published))
        refresh(keys)
        assert kids(keys) == published


def test_only_the_algorithms_of_the_setting_are_believed() -> None:
    source = Source()
    source.answer = key_set(signing_key("r", "RS256"), signing_key("p", "PS256"), signing_key("e", "EdDSA"))
    keys = source.keys()
    refresh(keys)
    assert kids(keys) == ["r"]


@pytest.mark.parametrize("failure", [FetchError("away"), {"keys": "none"}, {"keys": [{}] * 99}, ValueError("a fault")])
def test_the_last_keys_are_kept_while_the_issuer_is_away_and_not_for_ever(failure: Any) -> None:
    source = Source()
    keys = source.keys()
    refresh(keys)
    source.answer = failure
    source.now = STALE_SECONDS
    refresh(keys)
    assert kids(keys) == ["key-1"]
    source.now += 1
    assert kids(keys) == []
    assert "for 6 hours and count no more" in asyncio.run(keys.current()).problem
    source.answer = key_set(signing_key("key-2"))
    refresh(keys)
    assert kids(keys) == ["key-2"]


def test_an_issuer_that_withdraws_all_its_keys_is_believed_at_once() -> None:
    source = Source()
    keys = source.keys()
    refresh(keys)
    source.answer = {"keys": []}
    refresh(keys)
    assert kids(keys) == []
    assert "publishes no key that can be used" in asyncio.run(keys.current()).problem


def test_failures_are_tried_again_soon_and_then_ever_more_rarely() -> None:
    held = Held(URL)
    assert held.wait_seconds() == REFRESH_SECONDS
    waits = []
    for _ in range(40):
        held.fail()
        waits.append(held.wait_seconds())
    assert waits[:3] == [5.0, 10.0, 20.0]
    assert waits[-1] == REFRESH_SECONDS
    held.succeed(KEY, 0.0)
    assert held.wait_seconds() == REFRESH_SECONDS


def _run(issuers: Issuers, then: Callable[[], Coroutine[Any, Any, Any]], changed: Callable[[], None]) -> Any:
    async def both() -> Any:
        running = asyncio.create_task(issuers.run(changed))
        try:
            return await asyncio.wait_for(then(), 10)
        finally:
            running.cancel()

    return asyncio.run(both())


def test_reconciles_wait_for_the_first_answer_and_no_longer() -> None:
    source = Source()
    gate = asyncio.Event()

    async def fetch(setting: Any) -> Any:
        await gate.wait()
        return await source.fetch(setting)

    issuers = Issuers((SETTING,), fetch, clock=lambda: source.now)

    async def ask() -> list[str]:
        found = issuers.get("corp")
        assert found is not None
        waiting = asyncio.create_task(found.current())
        await asyncio.sleep(0)
        assert not waiting.done()
        gate.set()
        return [key.kid for key in (await waiting).keys]

    assert _run(issuers, ask, lambda: None) == ["key-1"]


def test_after_the_start_nobody_waits_for_an_issuer_that_is_away() -> None:
    source = Source()
    source.answer = FetchError("away")
    issuers = Issuers((SETTING,), source.fetch, clock=lambda: source.now)

    async def ask() -> str:
        await asyncio.sleep(0)
        source.now = issuer_keys.PATIENCE_SECONDS
        found = issuers.get("corp")
        assert found is not None
        return (await found.current()).problem

    assert "could not be fetched yet" in _run(issuers, ask, lambda: None)


def test_without_issuers_nothing_ends() -> None:
    issuers = Issuers((), published_keys, clock=lambda: 0.0)
    assert issuers.get("corp") is None
    with pytest.raises(TimeoutError):
        asyncio.run(asyncio.wait_for(issuers.run(lambda: None), 0.05))


def test_a_rotation_at_a_real_issuer_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(issuer_keys, "REFRESH_SECONDS", 0.01)
    monkeypatch.setattr(issuer_keys, "FIRST_WAIT_SECONDS", 0.01)
    with serving(tmp_path) as server:
        server.publish(signing_key())
        text = [{"name": "corp", "url": server.url, "ca": server.authority, "allowPrivate": ["127.0.0.0/8"]}]
        issuers = Issuers(parse(json.dumps(text)), published_keys, clock=lambda: 0.0)
        told: asyncio.Queue[None] = asyncio.Queue()

        async def watch() -> list[list[str]]:
            found = issuers.get("corp")
            assert found is not None
            seen = []
            for published in (None, ("key-1", "key-2"), ("key-2",)):
                if published:
                    server.publish(*map(signing_key, published))
                await told.get()
                seen.append([key.kid for key in (await found.current()).keys])
            server.pages[DISCOVERY] = Page(b"", 503)
            before = len(server.asked)
            await asyncio.to_thread(waiting.until, lambda: len(server.asked) >= before + 3, seconds=10, complaint=str)
            seen.append([key.kid for key in (await found.current()).keys])
            assert told.empty()
            return seen

        assert _run(issuers, watch, lambda: told.put_nowait(None)) == [
            ["key-1"],
            ["key-1", "key-2"],
            ["key-2"],
            ["key-2"],
        ]
        assert KEYS in server.asked
