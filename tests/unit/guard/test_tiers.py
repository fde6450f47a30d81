"""Limits by tier in one guard: each client's own in place of everybody's, and what a tier's clients share."""

import asyncio
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.guard import running
from tests.unit.guard.running import Model, chat, credential, document
from tests.unit.guard.stand import FORGETFUL

from bartizan.guard import enforcement
from bartizan.guard.budgets import Budgets
from bartizan.guard.limits_file import Owner
from bartizan.guard.limits_memory import LimitsMemory
from bartizan.guard.rates import Rates
from bartizan.guard.refusal import Refusal
from bartizan.guard.shared import Claim, Own, SharedLimits
from bartizan.guard.store_script import RELEASE, StoreError
from bartizan.policy import document as documents
from bartizan.policy.document import ClientKey, DocumentError, GuardDocument, RequestWindow, SharedStore, TokenWindow
from bartizan.policy.limits import NANOSECONDS, Scope
from bartizan.policy.tokens import Amount

BATCH = credential("batch").reveal()
REQUESTS = (
    RequestWindow(9, 60),
    RequestWindow(90, 3600, Scope.ENDPOINT),
    RequestWindow(2, 60, Scope.CLIENT, "basic"),
    RequestWindow(20, 600, Scope.CLIENT, "basic"),
    RequestWindow(30, 60, Scope.TIER, "basic"),
    RequestWindow(40, 60, Scope.TIER, "other"),
)


def _enforced(given: GuardDocument) -> enforcement.Enforcement:
    return enforcement.prepare(given, documents.encode(given, running.SIGNING_KEY).encode())


def test_each_client_has_its_tiers_limits_in_place_of_those_of_none() -> None:
    ready = _enforced(document(requests=REQUESTS, tiers={"chat-ui": "basic", "batch": "other"}, replicas=1))
    basic, other, none = (ready.of(client) for client in ("chat-ui", "batch", "third"))
    assert [(pace.burst, pace.window_seconds) for pace in basic.paces.client] == [(2, 60), (20, 600)]
    assert [(pace.burst, pace.window_seconds) for pace in other.paces.client] == [(9, 60)], "it names none of its own"
    assert [(pace.burst, pace.window_seconds) for pace in none.paces.client] == [(9, 60)]
    assert [whose for whose, _ in basic.paces.shared] == ["/basic", ""]
    assert [whose for whose, _ in other.paces.shared] == ["/other", ""]
    assert [whose for whose, _ in none.paces.shared] == [""]
    assert basic.budgets == none.budgets, "of tokens it names none"
    of_requests = [window.of("chat-ui") for window, holds in basic.whole.windows if holds and window.is_of_requests]
    assert [(whose, seconds) for whose, _, seconds in of_requests] == [
        ("", 3600),
        ("chat-ui", 60),
        ("chat-ui", 600),
        ("/basic", 60),
    ]


def test_a_tier_has_its_own_rate_and_shares_one(tmp_path: Path, model: Model) -> None:
    windows = (
        RequestWindow(100, 60),
        RequestWindow(3, 60, Scope.CLIENT, "basic"),
        RequestWindow(4, 60, Scope.TIER, "basic"),
    )
    given = document(requests=windows, tiers={"chat-ui": "basic", "batch": "basic"})
    with running.guard(tmp_path, model.upstream, given=given) as guard:
        first = guard.ask(chat())
        assert first.headers["x-ratelimit-limit-requests"] == "3"
        assert guard.audited(first.headers["X-Request-Id"])[0]["tier"] == "basic"
        assert [guard.ask(chat()).status for _ in range(3)] == [200, 200, 429]
        assert guard.ask(chat(), key=BATCH).status == 200
        refused = guard.ask(chat(), key=BATCH)
        assert guard.audited(refused.headers["X-Request-Id"])[0]["reason"] == "TierRateLimited"
        assert "its tier" in refused.json()["error"]["message"]


def test_a_client_that_is_moved_to_another_tier_begins_no_window_anew(tmp_path: Path, model: Model) -> None:
    """As where a limit is changed: a window that was used up is used up, of whatever size it is now."""
    windows = (TokenWindow("Output", 200, 86400), TokenWindow("Output", 300, 86400, Scope.CLIENT, "more"))
    given = document(tokens=windows, max_output_tokens=100, tiers={"batch": "more"}, version=2_000)
    with running.guard(tmp_path, model.upstream, given=given) as guard:
        assert [guard.ask(chat("/count 100")).status for _ in range(3)] == [200, 200, 429]
        tiers = {"chat-ui": "more", "batch": "more"}
        guard.take_up(document(tokens=windows, max_output_tokens=100, tiers=tiers, version=3_000))
        assert guard.ask(chat("/count 100")).status == 429
        assert [guard.ask(chat("/count 100"), key=BATCH).status for _ in range(4)] == [200, 200, 200, 429]


DAYS = (RequestWindow(3, 86400), RequestWindow(5, 60, Scope.CLIENT, "basic"))


def test_a_client_that_is_moved_there_and_back_begins_no_window_anew(tmp_path: Path, model: Model) -> None:
    there = {"chat-ui": "basic", "batch": "basic"}
    with running.guard(tmp_path, model.upstream, given=document(requests=DAYS, tiers={"batch": "basic"})) as guard:
        assert [guard.ask(chat()).status for _ in range(4)] == [200] * 3 + [429]
        guard.take_up(document(requests=DAYS, tiers=there, version=2_000_000))
        assert guard.ask(chat()).status == 200
        guard.take_up(document(requests=DAYS, tiers={"batch": "basic"}, version=3_000_000))
        assert guard.ask(chat()).status == 429


def test_nor_does_a_restart_in_between_begin_one(tmp_path: Path) -> None:
    tokens = (TokenWindow("Output", 100, 86400), TokenWindow("Output", 50, 60, Scope.CLIENT, "basic"))
    none = _enforced(document(requests=DAYS, tokens=tokens, replicas=1)).of("a")
    basic = _enforced(document(requests=DAYS, tokens=tokens, tiers={"a": "basic"}, replicas=1)).of("a")

    def begun(*, is_new_endpoint: bool) -> tuple[Rates, Budgets]:
        memory = LimitsMemory(tmp_path, Owner("u", "b"), lambda: 10**15)
        memory.begin(is_new_endpoint=is_new_endpoint)
        return Rates(memory), Budgets(memory, lambda: 10**15)

    rates, budgets = begun(is_new_endpoint=True)
    for _ in range(3):
        rates.take("a", none.paces, 10**15)
    with budgets.hold("a", none.budgets, Amount(0, 100), lambda: Amount(0, 100)):
        pass
    rates, budgets = begun(is_new_endpoint=False)
    rates.take("a", basic.paces, 10**15)
    with budgets.hold("a", basic.budgets, Amount(0, 50), lambda: Amount(0, 50)):
        pass
    with pytest.raises(Refusal):
        rates.take("a", none.paces, 10**15)
    with pytest.raises(Refusal):
        budgets.take("a", none.budgets, Amount(0, 1))


def test_where_the_store_is_unknown_a_tier_that_needs_one_is_refused(tmp_path: Path, model: Model) -> None:
    """As the operator says it when the chart has no such store, or no longer."""
    given = document(store=None, tiers={"chat-ui": "basic"}, refused_without_store=("basic",))
    with running.guard(tmp_path, model.upstream, given=given) as guard:
        refused = guard.ask(chat())
        assert guard.audited(refused.headers["X-Request-Id"])[0]["reason"] == "StoreAway"
        assert guard.ask(chat(), key=BATCH).status == 200


class Hanging:
    """A store that answers nothing until it is back; then it grants everything."""

    is_back = False
    asked = 0

    async def run(self, operation: str, *_: str | int) -> list[int]:
        self.asked += 1
        if not self.is_back:
            raise StoreError("no answer")
        return [1] if operation == RELEASE else [1, *([0, 0] * 3)]


@pytest.mark.parametrize("own", [True, False], ids=["its own windows", "those of all"])
def test_a_tier_that_is_given_nothing_uses_up_nothing_and_finds_the_store_again(*, own: bool, tmp_path: Path) -> None:
    small = RequestWindow(6, 86400, Scope.CLIENT, "basic") if own else RequestWindow(6, 86400, Scope.ENDPOINT)
    made = document(
        requests=(RequestWindow(90, 86400), small),
        tokens=(TokenWindow("Total", 10_000, 86400),),
        tiers={"chat-ui": "basic"},
        refused_without_store=("basic",),
        store=SharedStore("127.0.0.1", 1),
        replicas=2,
    )
    enforced, now_ns, store = _enforced(made), [10**15], Hanging()

    async def ask(guard: SharedLimits, client: str) -> bool:
        """Whether the store has counted it; raises Refusal."""
        claim = Claim(enforced, client, Amount(1, 1), Amount)
        held, is_counted = await guard.hold(claim, is_charged=guard.take(enforced, client))
        with held:
            return is_counted

    async def run() -> None:
        rates, budgets = Rates(FORGETFUL), Budgets(FORGETFUL, lambda: now_ns[0])
        guard = SharedLimits(Own(FORGETFUL, rates, budgets, tmp_path, 600, lambda: now_ns[0]))
        guard.use(enforced)
        guard._store = store  # type: ignore[assignment]
        for _ in range(20):
            now_ns[0] += 2 * NANOSECONDS
            with pytest.raises(Refusal, match="StoreAway"):
                await ask(guard, "chat-ui")
        assert store.asked >= 20, "each has looked"
        assert [await ask(guard, "batch") for _ in range(3)] == [False] * 3, "this guard's share of the six"
        store.is_back = True
        now_ns[0] += 2 * NANOSECONDS
        assert await ask(guard, "chat-ui"), "counted by the store"
        guard._is_closing = True

    asyncio.run(run())


@pytest.mark.parametrize(
    "changes",
    [
        {"refused_without_store": ("basic",)},
        {"tiers": {"chat-ui": "a:b"}},
        {"tiers": {"chat-ui": ""}},
        {"tiers": {"/basic": "basic"}},
        {"tiers": {"chat-ui": ["basic"]}},
        {"requests": (RequestWindow(1, 60), RequestWindow(2, 60))},
        {"requests": (RequestWindow(1, 60), RequestWindow(2, 60, Scope.TIER))},
        {"requests": (RequestWindow(1, 60), RequestWindow(2, 60, Scope.ENDPOINT, "basic"))},
        {"requests": (RequestWindow(1, 60, Scope.CLIENT, "basic"),)},
        {"keys": (ClientKey("id", "0" * 64, "/basic"),)},
    ],
)
def test_a_document_with_tiers_that_could_be_mistaken_is_refused(changes: dict[str, object]) -> None:
    signed = documents.encode(document(**changes), running.SIGNING_KEY).encode()
    with pytest.raises(DocumentError):
        documents.decode(signed, running.SIGNING_KEY.public_key(), running.ENDPOINT)


@settings(max_examples=300)
@given(asks=st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 10 * NANOSECONDS)), max_size=120))
def test_no_order_of_clients_passes_any_of_three_limits(asks: list[tuple[str, int]]) -> None:
    windows = (
        RequestWindow(9, 30),
        RequestWindow(4, 30, Scope.CLIENT, "x"),
        RequestWindow(5, 30, Scope.TIER, "x"),
        RequestWindow(11, 30, Scope.ENDPOINT),
    )
    ready = _enforced(document(requests=windows, tiers={"a": "x", "b": "x"}, replicas=1))
    rates, now_ns, passed = Rates(LimitsMemory(None, Owner("", ""), lambda: 0)), 0, list[tuple[int, str]]()
    for client, gap in asks:
        now_ns += gap
        try:
            rates.take(client, ready.of(client).paces, now_ns)
        except Refusal:
            continue
        passed.append((now_ns, client))
    for clients, limit in (("a", 4), ("b", 4), ("c", 9), ("ab", 5), ("abcd", 11)):
        own = [at for at, client in passed if client in clients]
        for first, begin in enumerate(own):
            for count, end in enumerate(own[first:], 1):
                assert count <= limit + (end - begin) * limit // (30 * NANOSECONDS)
