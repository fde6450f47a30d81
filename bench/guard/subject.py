"""One measure of one peer: what is spoken to, for how long, and the plainest figures that can be taken of it."""

import asyncio
import statistics
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from bench.guard import processes
from bench.guard.installing import NotRun
from bench.guard.load import OpenLoop
from bench.guard.peers.contract import Peer, Running
from bench.guard.processes import Cores

WARM_SECONDS = 0.5
MICRO = 1e6
TOLERATED = 0.01
"""Part of the answers that may be others than expected before a figure counts as spoilt."""

Figures = dict[str, float]


@dataclass(frozen=True)
class Subject:
    """`seed` differs from round to round and is the same for every peer of a round."""

    peer: Peer
    running: Running
    cores: Cores
    seconds: float
    seed: int

    async def cpu_per(self, count: Callable[[], int]) -> Figures:
        """CPU time for each thing counted while the load runs, and how much of the core others took meanwhile."""
        pid, core = self.running.process.pid, self.cores.measured
        before = processes.cpu_seconds(pid), processes.busy_seconds(core), count()
        await asyncio.sleep(self.seconds)
        cpu = processes.cpu_seconds(pid) - before[0]
        foreign = processes.busy_seconds(core) - before[1] - cpu
        counted = count() - before[2]
        if not counted:
            raise NotRun("nothing came back")
        return {
            "cpu_us": cpu / counted * MICRO,
            "per_second": counted / self.seconds,
            "foreign": max(0.0, foreign / self.seconds),
        }


def expect(statuses: Counter[str], wanted: str) -> None:
    """Raises NotRun where the peer answered otherwise than the measure is about."""
    others = statuses.total() - statuses[wanted]
    if not statuses.total() or others > TOLERATED * statuses.total():
        raise NotRun(f"answered {dict(statuses)} where {wanted} was expected")


def quantiles(load: OpenLoop) -> tuple[float, float]:
    """p50 and p99 in microseconds, requests that never found a connection among them."""
    seen = [*load.latencies, *load.outstanding()]
    if len(seen) < 100:
        raise NotRun(f"only {len(seen)} answers in an open loop")
    cuts = statistics.quantiles(seen, n=100, method="inclusive")
    return cuts[49] * MICRO, cuts[98] * MICRO
