"""Measures what a resync writes when nothing has changed: by the operator's own count, and by what moved."""

import time
from dataclasses import dataclass

from tests.cluster.operator.bench import Bench, Endpoint, until
from tests.cluster.operator.process import Operator

SETTLE_SECONDS = 120.0


@dataclass(frozen=True)
class SteadyState:
    """`writes` by verb and kind within one resync; `moved` names the objects whose resourceVersion is another."""

    endpoints: int
    reconciles: float
    seconds: float
    writes: dict[str, float]
    moved: list[str]


def measure(bench: Bench, *, endpoints: int, resync_seconds: float) -> SteadyState:
    """Creates the endpoints, and watches the second resync after all is quiet."""
    with bench.operator(resync_seconds=resync_seconds) as operator:
        namespace = bench.namespace()
        made = [bench.endpoint(namespace, f"e{number}") for number in range(endpoints)]
        until(lambda: all(_is_quiet(endpoint) for endpoint in made), "all is made", seconds=SETTLE_SECONDS)
        _wait_for_sweep(operator, resync_seconds)
        before, written, reconciled = _versions(made), operator.writes(), _reconciles(operator)
        started = time.monotonic()
        _wait_for_sweep(operator, resync_seconds)
        after, seconds = _versions(made), time.monotonic() - started
        writes = {name: count - written.get(name, 0) for name, count in operator.writes().items()}
        moved = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
        return SteadyState(
            endpoints=endpoints,
            reconciles=_reconciles(operator) - reconciled,
            seconds=seconds,
            writes={name: count for name, count in writes.items() if count},
            moved=moved,
        )


def _is_quiet(endpoint: Endpoint) -> bool:
    return bool(endpoint.status.get("pods", {}).get("total"))


def _wait_for_sweep(operator: Operator, resync_seconds: float) -> None:
    """Until one more resync has run and the keys that it put into the queue have been worked off."""
    swept = operator.metric("bartizan_operator_resyncs_total")
    enough = _reconciles(operator) + operator.metric("bartizan_operator_endpoints")

    def is_done() -> bool:
        return (
            operator.metric("bartizan_operator_resyncs_total") > swept
            and _reconciles(operator) >= enough
            and operator.is_idle()
        )

    until(is_done, operator.scrape, seconds=SETTLE_SECONDS + 2 * resync_seconds)


def _reconciles(operator: Operator) -> float:
    return operator.metric("bartizan_operator_reconciles_total")


def _versions(endpoints: list[Endpoint]) -> dict[str, str]:
    found: dict[str, str] = {}
    for endpoint in endpoints:
        found |= endpoint.versions()
        found[f"ModelDeployment {endpoint.name}"] = endpoint.live["metadata"]["resourceVersion"]
    return found
