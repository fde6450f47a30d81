"""Prints how long it takes from `kubectl apply` to Ready on the node: a gated endpoint, and the same pod without us.

Both in turn, on one cluster, with the image present and probes each second; the pods are gone before the next turn.
"""

import argparse
import statistics
import sys
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[1] / "operator")]

from demo import stage as stages  # noqa: E402 -- the checkout is not installed
from tests.e2e.endpoint import until  # noqa: E402 -- see above
from tests.e2e.ground import BENCH, NAMESPACES, Ground  # noqa: E402 -- see above
from tests.e2e.theatre import window  # noqa: E402 -- see above
from tests.localcluster.api import node  # noqa: E402 -- see above


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=10, help="turns of each (default %(default)s)")
    parser.add_argument("--goal-seconds", type=float, default=1.5, help="at most this much more (default %(default)s)")
    given = parser.parse_args()
    with node(stages.CLUSTER) as cluster, window(stages.set_up(cluster, *NAMESPACES)) as theatre:
        ground = Ground(theatre, BENCH)
        ground.clear()
        pairs = [(gated(ground, f"gated-{turn}"), bare(ground, f"bare-{turn}")) for turn in range(given.runs)]
    with_us, without = ([pair[side] for pair in pairs] for side in (0, 1))
    more = statistics.median(with_us) - statistics.median(without)
    print(f"apply to Ready, {given.runs} runs each, seconds: median (least to most)")
    print(f"  gated endpoint: {shown(with_us)}")
    print(f"  the same pod:   {shown(without)}")
    print(f"  difference:     {more:.2f} (goal: at most {given.goal_seconds:g})")
    return 0 if more <= given.goal_seconds else 1


def gated(ground: Ground, name: str) -> float:
    began = time.monotonic()
    endpoint = ground.endpoint(name)
    until(lambda: endpoint.is_true("Ready"), lambda: endpoint.condition("Ready"))
    took = time.monotonic() - began
    ground.clear()
    return took


def bare(ground: Ground, name: str) -> float:
    def is_available() -> bool:
        return bool(ground.stage.find(ground.namespace, "deploy", name).get("status", {}).get("availableReplicas"))

    began = time.monotonic()
    ground.run_bare(name)
    until(is_available, f"{name} is available")
    took = time.monotonic() - began
    ground.kubectl("delete", "deploy", name, "--cascade=foreground", "--timeout=60s")
    return took


def shown(seconds: list[float]) -> str:
    return f"{statistics.median(seconds):.2f} ({min(seconds):.2f} to {max(seconds):.2f})"


if __name__ == "__main__":
    sys.exit(main())
