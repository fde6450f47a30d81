"""Prints what the operator writes in a resync with nothing changed: python bench/steady_state.py."""

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.cluster.operator import steady_state
from tests.cluster.operator.bench import workbench


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--endpoints", type=int, default=200)
    parser.add_argument("--resync-seconds", type=float, default=60)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory, workbench(Path(directory)) as bench:
        found = steady_state.measure(bench, endpoints=chosen.endpoints, resync_seconds=chosen.resync_seconds)
    others = {name: count for name, count in found.writes.items() if name != "apply Secret"}
    print(f"steady state: {found.endpoints} ModelDeployments, {found.reconciles:.0f} reconciles in one resync")
    print(f"  writes but blind Secrets: {sum(others.values()):.0f} {others or ''}")
    print(f"  blind applies of Secrets: {found.writes.get('apply Secret', 0):.0f}")
    print(f"  objects that moved:       {len(found.moved)} {found.moved[:5] or ''}")
    return 1 if others or found.moved else 0


if __name__ == "__main__":
    sys.exit(main())
