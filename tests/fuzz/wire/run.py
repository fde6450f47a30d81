"""Brings up a guard and a model, tries numbered cases on the wire, and names the one that breaks a promise."""

import argparse
import secrets
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import uvloop
from tests.fuzz.wire.audit_tail import AuditTail
from tests.fuzz.wire.counting_model import CountingModel
from tests.fuzz.wire.fuzzer import FLAGS, Wire, case_of
from tests.unit.guard import running

BATCH = 2000


def fuzz(folder: Path, seed: int, cases: int) -> Counter[int]:
    """How often each status was answered; raises AssertionError with the seed and, where it can be told, the case."""
    with running.guard(folder, f"unix:{folder / 'model.sock'}", *FLAGS) as guard:
        return uvloop.run(_fuzz(folder, guard, seed, cases))


async def _fuzz(folder: Path, guard: running.Guard, seed: int, cases: int) -> Counter[int]:
    model, statuses = CountingModel(), Counter[int]()
    async with await model.open(folder / "model.sock"):
        wire = Wire(guard, model, AuditTail(folder / "audit"))
        for begin in range(0, cases, BATCH):
            numbers = range(begin, min(begin + BATCH, cases))
            try:
                batch = await wire.run([case_of(seed, number) for number in numbers])
            except AssertionError as error:
                raise AssertionError(f"seed {seed}, cases {numbers.start} to {numbers.stop}: {error}") from error
            statuses.update(batch.statuses)
        for writer in list(model.writers):
            writer.close()
    return statuses


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="fuzz-wire", description="Tries a running guard with raw bytes on sockets.")
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=secrets.randbits(32))
    given = parser.parse_args(arguments)
    print(f"seed {given.seed}, {given.cases} cases", flush=True)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        statuses = fuzz(Path(folder), given.seed, given.cases)
    seconds = time.monotonic() - began
    answers = ", ".join(f"{count} × {status}" for status, count in sorted(statuses.items()))
    print(f"wire {given.cases:>20} cases{seconds:>9.1f} s{given.cases / seconds:>9.0f} cases/s, 0 findings; {answers}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
