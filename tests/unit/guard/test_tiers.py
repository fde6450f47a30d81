"""Limits by tier in one guard: each client's own in place of everybody's, and what a tier's clients share."""

from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.guard import running
from tests.unit.guard.running import Model, chat, credential, document

from bartizan.guard import enforcement
from bartizan.guard.limits_file import Owner
from bartizan.guard.limits_memory import LimitsMemory
from bartizan.guard.rates import Rates
from bartizan.guard.refusal import Refusal
from bartizan.policy import document as documents
from bartizan.policy.document import GuardDocument, RequestWindow, TokenWindow
from bartizan.policy.limits import NANOSECONDS, Scope

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
