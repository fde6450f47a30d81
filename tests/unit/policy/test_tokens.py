"""Token budgets: whoever races whom, no window gives more than it holds."""

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from bartizan.policy import tokens
from bartizan.policy.limits import NANOSECONDS
from bartizan.policy.tokens import Amount, Budget, Kind, Levels

MINUTE = tokens.share(Kind.TOTAL, 600, 60, replicas=1)
"""Ten tokens a second, 600 at once."""


def spend(levels: Levels, budget: Budget, amount: Amount, now_ns: int) -> Levels:
    verdict = tokens.hold(levels, (budget,), amount, now_ns)
    assert verdict.short is None
    return tokens.settle(verdict.levels, (budget,), held=amount, spent=amount, now_ns=now_ns)


def test_a_window_is_full_at_first_and_refills_evenly() -> None:
    levels = spend({}, MINUTE, Amount(400, 200), 0)
    assert tokens.left(levels, MINUTE, 0).remaining == 0
    refused = tokens.hold(levels, (MINUTE,), Amount(5, 5), 0)
    assert (refused.short, refused.wait_ns) == (MINUTE, NANOSECONDS)
    assert tokens.hold(levels, (MINUTE,), Amount(5, 5), NANOSECONDS).short is None


def test_what_is_held_does_not_leak_away() -> None:
    held = tokens.hold({}, (MINUTE,), Amount(0, 600), 0).levels
    later = 3600 * NANOSECONDS
    assert tokens.left(held, MINUTE, later).remaining == 0
    refused = tokens.hold(held, (MINUTE,), Amount(1), later)
    assert refused.awaits_others
    settled = tokens.settle(held, (MINUTE,), held=Amount(0, 600), spent=Amount(0, 600), now_ns=later)
    assert tokens.left(settled, MINUTE, later).remaining == 0, "it is charged when it is known, not when it was held"


def test_what_was_not_spent_is_free_again() -> None:
    held = tokens.hold({}, (MINUTE,), Amount(100, 500), 0).levels
    settled = tokens.settle(held, (MINUTE,), held=Amount(100, 500), spent=Amount(20, 30), now_ns=0)
    assert tokens.left(settled, MINUTE, 0).remaining == 550


def test_what_a_request_costs_beyond_what_was_held_is_charged() -> None:
    held = tokens.hold({}, (MINUTE,), Amount(10, 10), 0).levels
    settled = tokens.settle(held, (MINUTE,), held=Amount(10, 10), spent=Amount(10, 1190), now_ns=0)
    assert tokens.left(settled, MINUTE, 0).remaining == 0
    assert tokens.hold(settled, (MINUTE,), Amount(1), 0).wait_ns == 60 * NANOSECONDS + MINUTE.interval_ns


def test_who_asks_for_no_token_may_pass_an_overdrawn_budget() -> None:
    overdrawn = {MINUTE.name: tokens.Level(charged_until_ns=10**15)}
    assert tokens.hold(overdrawn, (MINUTE,), Amount(), 0).short is None


def test_what_never_fits_is_told_from_what_fits_later() -> None:
    verdict = tokens.hold({}, (MINUTE,), Amount(601), 0)
    assert (verdict.short, verdict.wait_ns, verdict.awaits_others) == (MINUTE, None, False)


def test_each_kind_counts_its_own_and_all_must_have_room() -> None:
    budgets = tuple(tokens.share(kind, limit, 60, replicas=1) for kind, limit in zip(Kind, (100, 50, 120), strict=True))
    assert tokens.hold({}, budgets, Amount(100, 20), 0).short is None
    assert tokens.hold({}, budgets, Amount(101, 1), 0).short == budgets[0]
    assert tokens.hold({}, budgets, Amount(1, 51), 0).short == budgets[1]
    refused = tokens.hold({}, budgets, Amount(90, 40), 0)
    assert refused.short == budgets[2]
    assert refused.levels == {}, "held in every window, or in none"


@given(limit=st.integers(1, 10**9), window=st.integers(1, 86400 * 30), replicas=st.integers(1, 100))
def test_shares_add_up_to_no_more_than_the_total(limit: int, window: int, replicas: int) -> None:
    budget = tokens.share(Kind.TOTAL, limit, window, replicas=replicas)
    assert budget.most * replicas <= max(limit, replicas)
    assert NANOSECONDS * window * replicas <= budget.interval_ns * limit


@dataclass
class Race:
    """Requests under way at once, each of which may end at any time at any cost up to what was held."""

    budgets: tuple[Budget, ...]
    now_ns: int = 0
    levels: Levels = field(default_factory=dict)
    under_way: list[Amount] = field(default_factory=list)
    charged: list[tuple[int, Amount]] = field(default_factory=list)

    def ask(self, most: Amount) -> None:
        verdict = tokens.hold(self.levels, self.budgets, most, self.now_ns)
        self.levels = verdict.levels
        if verdict.short is None:
            self.under_way.append(most)

    def end(self, which: int, share: float) -> None:
        held = self.under_way.pop(which % len(self.under_way))
        spent = Amount(int(held.input * share), int(held.output * share))
        self.levels = tokens.settle(self.levels, self.budgets, held=held, spent=spent, now_ns=self.now_ns)
        self.charged.append((self.now_ns, spent))

    def judge(self) -> None:
        """Over every span between two charges."""
        for budget in self.budgets:
            for first, (begin, _) in enumerate(self.charged):
                total = 0
                for moment, spent in self.charged[first:]:
                    total += spent.of(budget.kind)
                    assert total <= budget.most + (moment - begin) // budget.interval_ns + 1


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), st.integers(0, 400), st.integers(0, 400)),
        st.tuples(st.just("end"), st.integers(0, 50), st.floats(0, 1)),
        st.tuples(st.just("wait"), st.integers(0, 20 * NANOSECONDS), st.just(0)),
    ),
    max_size=60,
)


@settings(max_examples=500)
@given(steps=STEPS, output=st.integers(100, 900))
def test_no_interleaving_passes_a_budget(steps: list[tuple[str, int, float]], output: int) -> None:
    race = Race(
        (MINUTE, tokens.share(Kind.OUTPUT, output, 30, replicas=2), tokens.share(Kind.INPUT, 700, 10, replicas=1))
    )
    for what, first, second in steps:
        if what == "ask":
            race.ask(Amount(first, int(second)))
        elif what == "wait":
            race.now_ns += first
        elif race.under_way:
            race.end(first, second)
    race.judge()
    while race.under_way:
        race.end(0, 1.0)
    race.judge()
    assert all(level.held == 0 for level in race.levels.values()), "nothing stays held once all have ended"


@given(used=st.integers(1, 600), need=st.integers(1, 600))
def test_the_wait_is_exact(used: int, need: int) -> None:
    levels = spend({}, MINUTE, Amount(used), 0)
    verdict = tokens.hold(levels, (MINUTE,), Amount(need), 0)
    if verdict.wait_ns is None:
        assert used + need <= 600
        return
    assert tokens.hold(levels, (MINUTE,), Amount(need), verdict.wait_ns - 1).short is not None
    assert tokens.hold(levels, (MINUTE,), Amount(need), verdict.wait_ns).short is None
