"""`python -m tests.fuzz --cases N`: tries every part of the guard that reads what others send, and prints a table."""

import argparse
import os
import secrets
import sys
from collections.abc import Sequence

from tests.fuzz import registry, runner


def main(arguments: Sequence[str]) -> int:
    """1 where something was found: then the case is kept, and `make test` fails until it is mended."""
    given = _parse(arguments)
    chosen = [registry.named(name) for name in given.targets or registry.NAMES]
    print(f"seed {given.seed}, {given.cases} cases of each target, {given.processes} processes")
    print(f"{'target':<14}{'cases':>10}{'seconds':>9}{'cases/s':>9}{'findings':>10}", flush=True)
    findings: list[runner.Finding] = []
    for tally in runner.run_all(chosen, given.seed, given.cases, given.processes):
        rate = tally.cases / max(tally.seconds, 1e-9)
        print(
            f"{tally.target:<14}{tally.cases:>10}{tally.seconds:>9.1f}{rate:>9.0f}{len(tally.findings):>10}", flush=True
        )
        findings += tally.findings
    for finding in findings:
        print(f"{finding.told()}\n  kept as {finding.keep()}")
    return 1 if findings else 0


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="fuzz", description="Tries the guard's readers with bytes that nobody meant.")
    parser.add_argument("targets", nargs="*", help=f"some of {', '.join(registry.NAMES)} (default: all)")
    parser.add_argument("--cases", type=int, default=100_000, help="of each target (default %(default)s)")
    parser.add_argument("--seed", type=int, default=secrets.randbits(32), help="repeats a run (default: another one)")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="default: one a core")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
