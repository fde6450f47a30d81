"""Any order of requests, endings, lost answers and outages at three guards, against a real Valkey's script."""

import asyncio
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.guard import running, valkeys
from tests.unit.guard.stand import FORGETFUL, Stand
from tests.unit.guard.valkeys import PASSWORD, Valkey

from bartizan.guard import enforcement, store
from bartizan.guard.budgets import Budgets
from bartizan.guard.enforcement import Enforcement
from bartizan.guard.rates import Rates
from bartizan.guard.refusal import Refusal
from bartizan.guard.shared import PAUSE_NS, Claim, Own, SharedLimits
from bartizan.guard.store import PASSWORD_FILE, USER_FILE
from bartizan.guard.store_script import TOLERANCE_US, StoreError
from bartizan.policy import document as documents
from bartizan.policy.document import RequestWindow, SharedStore, TokenWindow
from bartizan.policy.limits import NANOSECONDS, Scope
from bartizan.policy.tokens import Amount

DAY = 86400
GUARDS = 3
REQUESTS, EACH, ALL = 12, 900, 1300
"""Requests and tokens of a client, tokens of all."""
LEAKED = 1 + TOLERANCE_US * ALL // (DAY * 1_000_000)
WINDOWS = {
    "requests": (RequestWindow(REQUESTS, DAY),),
    "tokens": (TokenWindow("Total", EACH, DAY), TokenWindow("Total", ALL, DAY, Scope.ENDPOINT)),
}


@pytest.fixture(scope="module", autouse=True)
def patient() -> Iterator[None]:
    """What is late is for the tests over sockets; here only cut wires fail, however busy the machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "DEADLINE_SECONDS", 20)
        yield


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    folder = tmp_path_factory.mktemp("valkey")
    with valkeys.running(folder) as started:
        (folder / PASSWORD_FILE).write_text(PASSWORD)
        (folder / USER_FILE).write_text("")
        yield started


def enforced(port: int) -> Enforcement:
    made = running.document(replicas=GUARDS, store=SharedStore("127.0.0.1", port), **WINDOWS)
    return enforcement.prepare(made, documents.encode(made, running.SIGNING_KEY).encode())


class Flaky:
    """The real store behind a wire that may be cut before a request or before its answer."""

    def __init__(self, real: store.Store) -> None:
        self._real = real
        self.next = "answers"
        self.asked = 0

    async def run(self, *arguments: str | int) -> list[int]:
        how, self.next = self.next, "answers" if self.next != "away" else "away"
        self.asked += 1
        if how == "away":
            raise StoreError("cut")
        answer = await self._real.run(*arguments)
        if how == "loses":
            raise StoreError("lost")
        return answer

    async def close(self) -> None:
        await self._real.close()


@dataclass
class Under:
    """One request under way."""

    guard: int
    client: str
    most: Amount
    holding: AbstractContextManager[None]
    spent: list[Amount]


@dataclass
class Race:
    server: Valkey
    enforced: Enforcement
    now_ns: int = DAY * NANOSECONDS
    guards: list[SharedLimits] = field(default_factory=list)
    wires: list[Flaky] = field(default_factory=list)
    under_way: list[Under] = field(default_factory=list)
    charged: list[tuple[str, int]] = field(default_factory=list)
    given: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.server.client().flushall()
        for _ in range(GUARDS):
            rates, budgets = Rates(FORGETFUL), Budgets(FORGETFUL, lambda: self.now_ns)
            own = Own(FORGETFUL, rates, budgets, self.server.folder, 600, lambda: self.now_ns)
            guard = SharedLimits(own)
            guard.use(self.enforced)
            wire = Flaky(guard._store)  # type: ignore[arg-type]
            guard._store = wire  # type: ignore[assignment]
            self.guards.append(guard)
            self.wires.append(wire)

    async def ask(self, number: int, client: str, most: Amount) -> None:
        guard, spent = self.guards[number], [most]
        try:
            is_charged = guard.take(self.enforced, client)
            claim = Claim(self.enforced, client, most, lambda: spent[0])
            holding, _ = await guard.hold(claim, is_charged=is_charged)
            holding.__enter__()
        except Refusal:
            return
        self.given.append(client)
        self.under_way.append(Under(number, client, most, holding, spent))

    async def end(self, which: int, share: float) -> None:
        under = self.under_way.pop(which % len(self.under_way))
        under.spent[0] = Amount(int(under.most.input * share), int(under.most.output * share))
        under.holding.__exit__(None, None, None)
        self.charged.append((under.client, under.spent[0].input + under.spent[0].output))
        await self.settled()

    async def settled(self) -> None:
        for guard in self.guards:
            while guard._at_work:
                await asyncio.wait(guard._at_work)

    async def end_all(self) -> None:
        while self.under_way:
            await self.end(0, 1.0)

    async def reunite(self) -> None:
        """Every guard reaches the store again, for every client; what they ask for costs nothing."""
        for wire in self.wires:
            wire.next = "answers"
        self.now_ns += 2 * PAUSE_NS
        for _ in range(2):
            for number in range(GUARDS):
                for client in "ab":
                    guard = self.guards[number]
                    claim = Claim(self.enforced, client, Amount(), Amount)
                    try:
                        holding, is_counted = await guard.hold(claim, is_charged=True)
                    except Refusal:
                        continue
                    assert is_counted
                    with holding:
                        pass
                    await self.settled()

    def used(self, client: str) -> int:
        return sum(cost for name, cost in self.charged if name == client)

    def counted(self, field_name: str, limit: int) -> float:
        """What the store counts as used in a window of a day."""
        seconds, _ = self.server.client().time()  # type: ignore[misc]
        until_us = self.server.figures().get(field_name, 0)
        return float(max(0, until_us - seconds * 1_000_000)) * limit / (DAY * 1_000_000)

    async def close(self) -> None:
        for guard in self.guards:
            await guard.close(1)


STEP = st.tuples(
    st.sampled_from(["ask", "ask", "ask", "end", "end"]),
    st.integers(0, GUARDS - 1),
    st.sampled_from("ab"),
    st.integers(0, 400),
)
BREAKS = st.tuples(
    st.sampled_from(["loses", "away", "answers", "pause"]), st.integers(0, GUARDS - 1), st.just("a"), st.just(0)
)


async def _run(race: Race, steps: list[tuple[str, int, str, int]]) -> None:
    for what, number, client, figure in steps:
        if what == "ask":
            await race.ask(number, client, Amount(figure // 2, figure - figure // 2))
        elif what == "pause":
            race.now_ns += 2 * PAUSE_NS
        elif what != "end":
            race.wires[number].next = what
        elif race.under_way:
            await race.end(figure, (figure % 11) / 10)
    await race.end_all()


@settings(max_examples=300)
@given(steps=st.lists(STEP, max_size=60))
def test_three_guards_of_one_store_never_pass_a_limit(server: Valkey, steps: list[Any]) -> None:
    async def run() -> None:
        race = Race(server, enforced(server.port))
        await _run(race, steps)
        await race.close()
        for client in "ab":
            assert race.given.count(client) <= REQUESTS
            assert race.used(client) <= EACH + LEAKED
        assert race.used("a") + race.used("b") <= ALL + LEAKED
        figures = server.figures()
        assert not any(value for name, value in figures.items() if name.startswith("h"))
        assert server.leases() == 0

    asyncio.run(run())


@settings(max_examples=300)
@given(steps=st.lists(st.one_of(STEP, STEP, BREAKS), max_size=60))
def test_nothing_is_given_twice_once_all_guards_reach_the_store_again(server: Valkey, steps: list[Any]) -> None:
    async def run() -> None:
        race = Race(server, enforced(server.port))
        await _run(race, steps)
        await race.reunite()
        await race.close()
        for client in "ab":
            assert race.counted(f"t:{DAY}:{client}", EACH) >= race.used(client) - LEAKED
            assert race.counted(f"r:{DAY}:{client}", REQUESTS) >= race.given.count(client) - LEAKED
            assert race.used(client) <= 2 * EACH, (
                "all of the store's, and each guard's share of what it knew to be left"
            )
        assert race.counted(f"t:{DAY}:", ALL) >= race.used("a") + race.used("b") - LEAKED
        assert server.leases() == 0, "what is not known to be granted is let go"

    asyncio.run(run())


@pytest.mark.parametrize("then", ["answers", "away"])
def test_whoever_leaves_while_the_store_is_asked_leaves_nothing_held(server: Valkey, then: str) -> None:
    """And no request has to come for it to be let go of: what is held keeps room from every guard's callers."""

    async def run() -> None:
        race = Race(server, enforced(server.port))
        wire, granted, heard = race.wires[0], asyncio.Event(), asyncio.Event()
        real = wire.run

        async def slow(*arguments: str | int) -> list[int]:
            answer = await real(*arguments)
            granted.set()
            await heard.wait()
            return answer

        wire.run = slow  # type: ignore[method-assign]
        asking = asyncio.create_task(race.ask(0, "a", Amount(10, 10)))
        await granted.wait()
        assert server.leases() == 1
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        wire.run, wire.next = real, then  # type: ignore[method-assign]
        heard.set()
        await race.settled()
        assert server.leases() == (1 if then == "away" else 0)
        wire.next = "answers"
        async with asyncio.timeout(running.DEADLINE_SECONDS):
            while server.leases():  # noqa: ASYNC110 -- the guard's own timer has to ring
                await asyncio.sleep(0.05)
        assert server.figures()["hi:a"] == 0
        await race.close()

    asyncio.run(run())


@pytest.mark.parametrize(
    "raised", [RuntimeError("the handle is closed"), AttributeError("write"), OSError(), ValueError()]
)
def test_whatever_a_dying_connection_raises_means_that_the_store_is_away(server: Valkey, raised: Exception) -> None:
    """uvloop's RuntimeError, for one, at a write in the moment of the reset: no request may fail by it."""

    async def run() -> None:
        race = Race(server, enforced(server.port))
        real = store.Store(store.Place(SharedStore("127.0.0.1", server.port), server.folder), "uid-1")

        async def dies(*_: object) -> list[int]:
            raise raised

        real._client.evalsha = dies  # type: ignore[method-assign, assignment]
        race.guards[0]._store = real
        await race.ask(0, "a", Amount(10, 10))
        assert (race.given, race.guards[0].is_away) == (["a"], True)
        await race.end_all()
        await race.close()

    asyncio.run(run())


def test_t55_a_key_that_is_withdrawn_while_the_store_is_asked_lets_nobody_in(tmp_path: Path) -> None:
    stand = Stand(tmp_path)

    def issue(version: int, *clients: str) -> None:
        keys = tuple(running.client_key(client) for client in clients)
        made = running.document(version=version, keys=keys, store=SharedStore("127.0.0.1", 1), **WINDOWS)
        (tmp_path / "document").write_text(documents.encode(made, running.SIGNING_KEY))
        stand.gate.documents.look()

    class Slow:
        async def run(self, *_: str | int) -> list[int]:
            issue(3000, "batch")
            return [1, *(0, 0) * 3]

    issue(2000, "chat-ui", "batch")
    assert stand.gate.documents.current
    stand.gate.shared.use(stand.gate.documents.current)
    stand.gate.shared._store = Slow()  # type: ignore[assignment]
    assert stand.ask()[0] == 401
    assert stand.model.bodies == []
