"""The arithmetic of limits: never more than declared, never less than promised, whoever tries when."""

from hypothesis import given
from hypothesis import strategies as st

from bartizan.policy import limits
from bartizan.policy.limits import NANOSECONDS, Pace

LIMITS = st.integers(1, 50)
WINDOWS = st.integers(1, 3600)
GAPS = st.lists(st.integers(0, 20 * NANOSECONDS), max_size=200)


def _passed(paces: tuple[Pace, ...], gaps: list[int]) -> list[int]:
    """When requests passed that came after these gaps."""
    now, state, passed = 5 * NANOSECONDS, dict[int, int](), []
    for gap in gaps:
        now += gap
        verdict = limits.judge(state, paces, now)
        state = dict(verdict.state)
        if not verdict.wait_ns:
            passed.append(now)
    return passed


@given(limit=LIMITS, window=WINDOWS, gaps=GAPS)
def test_over_any_span_no_more_pass_than_the_burst_and_the_rate_allow(limit: int, window: int, gaps: list[int]) -> None:
    passed = _passed((limits.share(limit, window, replicas=1),), gaps)
    for first in range(len(passed)):
        for last in range(first, len(passed)):
            span = passed[last] - passed[first]
            assert last - first + 1 <= limit + span * limit // (window * NANOSECONDS)


@given(limit=LIMITS, window=WINDOWS, replicas=st.integers(1, 9), gaps=GAPS)
def test_replicas_together_stay_within_the_total(limit: int, window: int, replicas: int, gaps: list[int]) -> None:
    """The same requests at every replica at once is the worst that a caller can do."""
    passed = _passed((limits.share(limit, window, replicas=replicas),), gaps)
    span = passed[-1] - passed[0] if passed else 0
    assert len(passed) * replicas <= max(limit, replicas) + span * limit // (window * NANOSECONDS) + replicas


@given(limit=LIMITS, window=WINDOWS)
def test_a_whole_burst_passes_and_the_next_waits_one_interval_at_most(limit: int, window: int) -> None:
    pace = limits.share(limit, window, replicas=1)
    assert len(_passed((pace,), [0] * (limit + 3))) == limit
    state = dict[int, int]()
    for _ in range(limit):
        state = dict(limits.judge(state, (pace,), 0).state)
    refused = limits.judge(state, (pace,), 0)
    assert 0 < refused.wait_ns <= pace.interval_ns
    assert limits.judge(state, (pace,), refused.wait_ns).wait_ns == 0
    assert limits.judge(state, (pace,), refused.wait_ns - 1).wait_ns == 1


@given(limit=LIMITS, window=WINDOWS, count=st.integers(1, 100))
def test_who_keeps_the_pace_is_never_refused(limit: int, window: int, count: int) -> None:
    pace = limits.share(limit, window, replicas=1)
    assert len(_passed((pace,), [pace.interval_ns] * count)) == count


@given(first=LIMITS, second=LIMITS, gaps=GAPS)
def test_several_windows_hold_at_once_and_a_refusal_charges_none(first: int, second: int, gaps: list[int]) -> None:
    narrow, wide = limits.share(first, 7, replicas=1), limits.share(second, 300, replicas=1)
    both = _passed((narrow, wide), gaps)
    for pace, limit in ((narrow, first), (wide, second)):
        for start in range(len(both)):
            span = both[-1] - both[start]
            assert len(both) - start <= limit + span * limit // (pace.window_seconds * NANOSECONDS)
    full = limits.judge({7: 10**15, 300: 0}, (narrow, wide), 0)
    assert (full.wait_ns > 0, full.state) == (True, {7: 10**15, 300: 0})


@given(state=st.dictionaries(WINDOWS, st.integers(0, 10**18)), limit=LIMITS, window=WINDOWS)
def test_a_window_that_was_not_there_begins_fresh(state: dict[int, int], limit: int, window: int) -> None:
    state.pop(window, None)
    assert limits.judge(state, (limits.share(limit, window, replicas=1),), 10**17).wait_ns == 0


@given(total=LIMITS, replicas=st.integers(1, 60))
def test_a_part_is_at_least_one_and_parts_do_not_exceed_the_total_where_they_can(total: int, replicas: int) -> None:
    part = limits.part(total, replicas=replicas)
    assert part >= 1
    assert part * replicas <= max(total, replicas)
