"""`python -m tests.faults --times N`: strikes a guard under load with each fault N times; prints what became."""

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.faults import faults
from tests.faults.callers import GOOD, WRONG, Callers
from tests.faults.faults import Fault
from tests.faults.stand import MOST_MIB, Stand
from tests.unit.guard.running import eventually


@dataclass(frozen=True)
class Result:
    """`recovery` in seconds, the longest; `statuses` of all answers, 0 for those that never came."""

    fault: str
    times: int
    restarts: int
    recovery: float
    statuses: Counter[int]
    allowed: int
    received: int

    def told(self) -> str:
        answers = " ".join(f"{status or 'none'}:{count}" for status, count in sorted(self.statuses.items()))
        figures = f"{self.times:>6}{self.restarts:>10}{self.recovery:>10.2f}{self.allowed:>9}{self.received:>9}"
        return f"{self.fault:<23}{figures}   {answers}"


HEADING = f"{'fault':<23}{'times':>6}{'restarts':>10}{'recovery':>10}{'allowed':>9}{'reached':>9}   answers by status"


def strike(fault: Fault, times: int, folder: Path) -> Result:
    """Raises AssertionError where the guard breaks a promise."""
    stand = Stand(folder, module=fault.module, to_file=fault.to_file, has_store=fault.has_store)
    callers, longest = stand.callers(fault.kinds), 0.0
    try:
        callers.start()
        callers.saw(200)
        for number in range(times):
            fault.strike(stand, callers, number)
            began = time.monotonic()
            stand.recover()
            longest = max(longest, time.monotonic() - began)
        callers.stop()
        return judge(fault, times, stand, callers, longest)
    finally:
        callers.stop()
        stand.close()


def judge(fault: Fault, times: int, stand: Stand, callers: Callers, longest: float) -> Result:
    """What must hold after all of it: nothing unaudited, nothing open, nothing held."""
    guard = stand.guard
    eventually(lambda: guard.metric("bartizan_guard_connections ") == 0, "no connection is held")
    assert guard.metric("bartizan_guard_requests_in_flight") == 0, "a slot is held"
    eventually(lambda: stand.tokens_left() == stand.tokens_at_first, "no tokens are held")
    if stand.store is not None:
        eventually(lambda: stand.store.leases() == 0, "nothing is held in the store")  # type: ignore[union-attr]
    assert guard.rss_mib() < MOST_MIB, f"{guard.rss_mib():.0f} MiB"
    stand.end_guard()
    audits, received = stand.audits(), stand.received()
    allowed = sum((audit.allowed for audit in audits), Counter())
    assert received <= allowed, "the model saw requests that no decision allows"
    known = set[str]().union(*(audit.requests for audit in audits))
    served = [found for found in callers.answers if found.status == 200]
    assert {found.request for found in served} <= known, "an answer without a decision"
    assert all(found.key == GOOD for found in served), "a wrong key was served"
    assert {found.status for found in callers.answers if found.key == WRONG} <= {0, 401, 503}
    return Result(fault.name, times, stand.restarts, longest, callers.statuses(), allowed.total(), received.total())


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="faults")
    parser.add_argument("--times", type=int, default=10, help="each fault (default %(default)s)")
    parser.add_argument("only", nargs="*", metavar="fault", help="those whose name begins with this; all by default")
    given = parser.parse_args(arguments)
    print(HEADING, flush=True)
    for fault in (each for each in faults.ALL if each.name.startswith(tuple(given.only or [""]))):
        with tempfile.TemporaryDirectory() as folder:
            print(strike(fault, given.times, Path(folder) / "stand").told(), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
