"""Series look to a scraper as the client's own counters and histograms do."""

import prometheus_client
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest

from bartizan.guard.metrics import Metrics
from bartizan.guard.series import Counts, Spreads

BUCKETS = (0.005, 0.5, 1, 5)


def test_a_counter_without_labels_is_there_from_the_start() -> None:
    ours = CollectorRegistry()
    Counts("x", "Said.", registry=ours)
    assert b"x_total 0.0" in generate_latest(ours)


@given(st.lists(st.tuples(st.sampled_from("ab"), st.one_of(st.sampled_from(BUCKETS), st.floats(0, 10)))))
def test_what_is_exposed_is_what_the_client_would_expose(seen: list[tuple[str, float]]) -> None:
    Metrics()  # which has the client leave out when a series was made
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    counts = Counts("x", "Counted.", ("label",), registry=ours)
    spreads = Spreads("y", "Measured.", ("label",), buckets=BUCKETS, registry=ours)
    counter = prometheus_client.Counter("x", "Counted.", ("label",), registry=theirs)
    histogram = prometheus_client.Histogram("y", "Measured.", ("label",), buckets=BUCKETS, registry=theirs)
    for label, value in seen:
        counts.of(label).value += int(value)
        counter.labels(label).inc(int(value))
        spreads.of(label).observe(value)
        histogram.labels(label).observe(value)
    assert generate_latest(ours) == generate_latest(theirs)
