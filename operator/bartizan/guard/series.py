"""What every request counts, in plain numbers, which take Prometheus' form when somebody scrapes.

The client's own counters take a lock and five calls for each count: a twentieth of a request's whole work. Here all is
counted and read in the event loop's thread.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString


class Count:
    """One series of a counter: `value` is added to where it is counted."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0


class Counts(Collector):
    """A counter, by its labels; without any it has one series."""

    def __init__(self, name: str, said: str, labels: tuple[str, ...] = (), *, registry: CollectorRegistry) -> None:
        self.name = name
        self.said = said
        self.labels = labels
        self._found: dict[tuple[str, ...], Count] = {} if labels else {(): Count()}
        registry.register(self)

    def of(self, *labels: str) -> Count:
        return self._found.setdefault(labels, Count())

    def describe(self) -> Iterator[Metric]:
        yield CounterMetricFamily(self.name, self.said, labels=self.labels)

    def collect(self) -> Iterator[Metric]:
        family = CounterMetricFamily(self.name, self.said, labels=self.labels)
        for labels, count in self._found.items():
            family.add_metric(labels, count.value)
        yield family


class Spread:
    """One series of a histogram."""

    __slots__ = ("_bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        """In each bucket alone; the last has what is beyond all bounds."""
        self.total = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self._bounds, value)] += 1
        self.total += value


class Spreads(Collector):
    """A histogram, by its labels."""

    def __init__(
        self, name: str, said: str, labels: tuple[str, ...], *, buckets: Iterable[float], registry: CollectorRegistry
    ) -> None:
        self.name = name
        self.said = said
        self.labels = labels
        self._bounds = tuple(buckets)
        self._found: dict[tuple[str, ...], Spread] = {}
        registry.register(self)

    def of(self, *labels: str) -> Spread:
        return self._found.setdefault(labels, Spread(self._bounds))

    def describe(self) -> Iterator[Metric]:
        yield HistogramMetricFamily(self.name, self.said, labels=self.labels)

    def collect(self) -> Iterator[Metric]:
        family = HistogramMetricFamily(self.name, self.said, labels=self.labels)
        for labels, spread in self._found.items():
            family.add_metric(labels, list(self._buckets(spread)), spread.total)
        yield family

    def _buckets(self, spread: Spread) -> Iterator[tuple[str, float]]:
        """Each bound with what is at or below it."""
        below = 0
        for bound, count in zip((*self._bounds, float("inf")), spread.counts, strict=True):
            below += count
            yield floatToGoString(bound), below  # type: ignore[no-untyped-call]
