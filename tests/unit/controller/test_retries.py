"""Backoff and the bucket that all retries share."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bartizan.controller.retries import LONGEST_SECONDS, Backoff, TokenBucket


@given(st.integers(1, 200), st.floats(0.5, 300), st.integers())
def test_a_wait_is_positive_and_below_its_ceiling(failures: int, ceiling: float, seed: int) -> None:
    backoff: Backoff[str] = Backoff(random.Random(seed))
    for _ in range(failures):
        assert 0 < backoff.next_seconds("key", ceiling) <= min(ceiling, LONGEST_SECONDS)
    assert backoff.failures("key") == failures


def test_keys_that_failed_together_do_not_come_back_together() -> None:
    backoff: Backoff[int] = Backoff(random.Random(1))
    assert len({backoff.next_seconds(key) for key in range(50)}) == 50


def test_a_forgotten_key_starts_anew() -> None:
    backoff: Backoff[str] = Backoff(random.Random(1))
    for _ in range(10):
        backoff.next_seconds("key")
    backoff.forget("key")
    assert backoff.next_seconds("key") <= 0.6


@given(st.lists(st.floats(0, 1), min_size=1, max_size=300))
def test_the_bucket_never_gives_more_than_burst_and_rate(steps: list[float]) -> None:
    bucket = TokenBucket(rate=10, burst=5)
    now = start = 50.0
    uses = []
    for step in steps:
        now += step
        uses.append(now + bucket.reserve_seconds(now))
    for number, at in enumerate(sorted(uses), start=1):
        assert number <= 5 + 10 * (at - start) + 1e-6


def test_the_bucket_fills_up_again_and_no_further() -> None:
    bucket = TokenBucket(rate=10, burst=5)
    assert [bucket.reserve_seconds(100.0) for _ in range(5)] == pytest.approx([0.0] * 5, abs=1e-6)
    assert bucket.reserve_seconds(100.0) > 0.05
    assert [bucket.reserve_seconds(1000.0) for _ in range(5)] == pytest.approx([0.0] * 5, abs=1e-6)
    assert bucket.reserve_seconds(1000.0) > 0.05
