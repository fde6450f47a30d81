"""Measures the guard beside its peers, in turns, and prints the ratios: python -m bench.guard [--write]."""

import argparse
import os
import resource
import signal
import sys
from pathlib import Path

from bench.guard import bytecodes, machine, measures, page, plot, runner, tables
from bench.guard.processes import Cores

ROOT = Path(__file__).parents[2]
PAGE, PLOT = ROOT / "docs" / "performance.md", ROOT / "docs" / "performance.svg"


def main() -> int:
    given = _parser().parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is ended
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
    chosen = tuple(measure for measure in measures.ALL if not given.only or measure.id in given.only)
    plan = runner.Plan(chosen, tuple(given.peers), given.rounds, given.seconds, Cores.choose())
    about = machine.describe(os.getloadavg()[0])
    results = runner.run(plan, lambda text: print(text, file=sys.stderr, flush=True))
    text = tables.write(plan, results, about)
    print(text)
    if given.write:
        PAGE.write_text(page.write(text, bytecodes.table()))
        PLOT.write_text(plot.draw(results))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bench.guard", description=__doc__)
    peers = [name for name in runner.PEERS if name != "direct"]
    parser.add_argument("--seconds", type=float, default=5.0, help="of each figure (default %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="turns of every peer (default %(default)s)")
    parser.add_argument("--only", nargs="+", choices=[measure.id for measure in measures.ALL], help="these measures")
    parser.add_argument("--peers", nargs="+", choices=peers, default=peers, help="these peers")
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.name} and {PLOT.name} in docs/")
    return parser


if __name__ == "__main__":
    sys.exit(main())
