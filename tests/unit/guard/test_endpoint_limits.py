"""Limits that all clients of an endpoint share: one client's use counts against the others', and the refusal says so.

Threats 57 and 58: many callers with a limit each must not add up to more than the endpoint gives.
"""

import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.guard import running
from tests.unit.guard.running import Answer, Model, chat, credential, document
from tests.unit.guard.stand import FORGETFUL

from bartizan.guard.budgets import Budgets
from bartizan.guard.rates import Rates
from bartizan.guard.refusal import Refusal
from bartizan.policy import limits, tokens
from bartizan.policy.document import RequestWindow, TokenWindow
from bartizan.policy.limits import NANOSECONDS, Pace, Scope, Scoped
from bartizan.policy.tokens import Amount, Budget, Kind

BATCH = credential("batch").reveal()


def message(answer: Answer) -> str:
    text: str = answer.json()["error"]["message"]
    return text


def test_one_clients_requests_count_against_the_others(tmp_path: Path, model: Model) -> None:
    windows = (RequestWindow(4, 60), RequestWindow(5, 60, Scope.ENDPOINT))
    with running.guard(tmp_path, model.upstream, given=document(requests=windows)) as guard:
        assert [guard.ask(chat()).status for _ in range(4)] == [200] * 4
        own = guard.ask(chat())
        assert (own.status, "this client's rate" in message(own)) == (429, True)
        assert guard.ask(chat(), key=BATCH).status == 200, "a refused request takes nothing of what all share"
        shared = guard.ask(chat(), key=BATCH)
        assert (shared.status, shared.code, "all clients together" in message(shared)) == (
            429,
            "rate_limit_exceeded",
            True,
        )
        assert 1 <= int(shared.headers["Retry-After"]) <= 12
        assert guard.audited(shared.headers["X-Request-Id"])[-1]["reason"] == "EndpointRateLimited"


def test_what_all_share_is_not_told_in_headers(tmp_path: Path, model: Model) -> None:
    """How busy others are is theirs: a client learns of its own windows only, and that it has to wait."""
    windows = (RequestWindow(9, 60), RequestWindow(2, 60, Scope.ENDPOINT))
    with running.guard(tmp_path, model.upstream, given=document(requests=windows)) as guard:
        first = guard.ask(chat()).headers
        assert (first["x-ratelimit-limit-requests"], first["x-ratelimit-remaining-requests"]) == ("9", "8")
        guard.ask(chat(), key=BATCH)
        assert guard.ask(chat()).headers["x-ratelimit-remaining-requests"] == "8"


def test_one_clients_tokens_count_against_the_others(tmp_path: Path, model: Model) -> None:
    windows = (TokenWindow("Output", 400, 86400), TokenWindow("Output", 250, 86400, Scope.ENDPOINT))
    with running.guard(tmp_path, model.upstream, given=document(tokens=windows, max_output_tokens=100)) as guard:
        assert [guard.ask(chat("/count 100")).status for _ in range(2)] == [200] * 2
        refused = guard.ask(chat(), key=BATCH)
        assert (refused.status, "all clients together" in message(refused)) == (429, True)
        assert guard.ask(chat(max_tokens=50), key=BATCH).status == 200, "what may cost less still fits"
        never = guard.ask(chat(n=3), key=BATCH)
        assert (never.status, "than all clients of this endpoint" in message(never)) == (400, True)
        assert guard.audited(never.headers["X-Request-Id"])[-1]["reason"] == "TokensNeverFit"


def test_callers_of_two_clients_that_race_never_pass_what_they_share(tmp_path: Path, model: Model) -> None:
    windows = (TokenWindow("Total", 100_000, 86400), TokenWindow("Total", 1000, 86400, Scope.ENDPOINT))
    given = document(tokens=windows, concurrent=64, concurrent_per_client=64)
    answers: list[Answer] = []
    with running.guard(tmp_path, model.upstream, given=given) as guard:

        def ask(key: str) -> None:
            answers.extend(guard.ask(chat("/count 20 /slow 1", max_tokens=20), key=key) for _ in range(4))

        threads = [
            threading.Thread(target=ask, args=(key,)) for key in (credential().reveal(), BATCH) for _ in range(15)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    used = sum(answer.json()["usage"]["total_tokens"] for answer in answers if answer.status == 200)
    assert {answer.status for answer in answers} == {200, 429}
    assert 0 < used <= 1000 + 1


def _paces(*figures: tuple[int, int]) -> tuple[Pace, ...]:
    return tuple(limits.share(limit, window, replicas=1) for limit, window in figures)


@settings(max_examples=300)
@given(asks=st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 10 * NANOSECONDS)), max_size=120))
def test_no_order_of_clients_passes_the_endpoints_rate(asks: list[tuple[str, int]]) -> None:
    rates, now_ns, passed = Rates(FORGETFUL), 0, list[tuple[int, str]]()
    paces = Scoped(_paces((5, 30)), _paces((7, 20), (20, 100)))
    for client, gap in asks:
        now_ns += gap
        try:
            rates.take(client, paces, now_ns)
        except Refusal:
            continue
        passed.append((now_ns, client))
    for first, (begin, _) in enumerate(passed):
        for last, (end, _) in enumerate(passed[first:]):
            for limit, window in ((7, 20), (20, 100)):
                assert last + 1 <= limit + (end - begin) * limit // (window * NANOSECONDS)


@dataclass
class Race:
    """Requests of several clients under way at once; each may end at any time, at any cost up to what it holds."""

    budgets: Scoped[Budget]
    now_ns: int = 0
    kept: Budgets = field(init=False)
    under_way: list[tuple[ExitStack, list[Amount], Amount]] = field(default_factory=list)
    charged: list[tuple[int, str, Amount]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.kept = Budgets(FORGETFUL, lambda: self.now_ns)

    def ask(self, client: str, most: Amount) -> None:
        stack, spent = ExitStack(), [most]
        try:
            stack.enter_context(self.kept.hold(client, self.budgets, most, lambda: spent[0]))
        except Refusal:
            return
        stack.callback(lambda: self.charged.append((self.now_ns, client, spent[0])))
        self.under_way.append((stack, spent, most))

    def end(self, which: int, share: float) -> None:
        stack, spent, most = self.under_way.pop(which % len(self.under_way))
        spent[0] = Amount(int(most.input * share), int(most.output * share))
        stack.close()

    def judge(self) -> None:
        self._judge(self.budgets.endpoint, lambda _: True)
        for client in "abc":
            self._judge(self.budgets.client, client.__eq__)

    def _judge(self, budgets: tuple[Budget, ...], counts: Callable[[str], Any]) -> None:
        for budget in budgets:
            own = [(at, spent.of(budget.kind)) for at, client, spent in self.charged if counts(client)]
            for first, (begin, _) in enumerate(own):
                total = 0
                for moment, spent in own[first:]:
                    total += spent
                    assert total <= budget.most + (moment - begin) // budget.interval_ns + 1


STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from("abc"), st.integers(0, 300), st.integers(0, 300)),
        st.tuples(st.just("end"), st.integers(0, 50), st.floats(0, 1)),
        st.tuples(st.just("wait"), st.integers(0, 20 * NANOSECONDS), st.just(0)),
    ),
    max_size=60,
)


@settings(max_examples=1000)
@given(steps=STEPS)
def test_no_interleaving_of_clients_passes_a_budget(steps: list[tuple[str, int, float]]) -> None:
    own = (tokens.share(Kind.TOTAL, 600, 60, replicas=1), tokens.share(Kind.OUTPUT, 400, 30, replicas=2))
    shared = (tokens.share(Kind.TOTAL, 800, 60, replicas=1), tokens.share(Kind.INPUT, 500, 20, replicas=1))
    race = Race(Scoped(own, shared))
    for what, first, second in steps:
        if what == "wait":
            race.now_ns += first
        elif what != "end":
            race.ask(what, Amount(first, int(second)))
        elif race.under_way:
            race.end(first, second)
    while race.under_way:
        race.end(0, 1.0)
    race.judge()
    race.now_ns += 10**13
    with race.kept.hold("d", Scoped((), shared), Amount(300, 500), Amount):
        pass  # all of it is there: nothing stays held once all have ended


def test_the_refusal_names_what_is_short_for_longer() -> None:
    rates = Rates(FORGETFUL)
    paces = Scoped(_paces((1, 10)), _paces((1, 60)))
    rates.take("a", paces, 0)
    with pytest.raises(Refusal) as refused:
        rates.take("a", paces, 0)
    assert (refused.value.reason, refused.value.retry_after_seconds) == ("EndpointRateLimited", 60)
    with pytest.raises(Refusal) as refused:
        rates.take("a", Scoped(_paces((1, 600)), _paces((1, 60))), 0)
    assert refused.value.reason == "EndpointRateLimited", "a window that was not there begins fresh"
