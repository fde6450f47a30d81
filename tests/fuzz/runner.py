"""Runs targets over numbered cases in several processes, cuts what it finds short, and keeps it for the tests."""

import hashlib
import multiprocessing
import time
import traceback
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz import registry
from tests.fuzz.target import Case, Target, case_of

KEPT = Path(__file__).parents[1] / "golden" / "fuzz"
"""Found cases: a folder for each target, a file for each case, replayed by the unit tests."""
SHARE = 20_000
"""Cases that one process runs before it says what it found."""
MOST_FINDINGS = 5
"""Of one share: a target that fails everywhere need not say so a million times."""
MOST_TRIES = 400
"""To cut one finding short."""


@dataclass(frozen=True)
class Finding:
    """`number` is the case's own; `case` is the shortest that still fails as it did."""

    target: str
    seed: int
    number: int
    case: Case
    what: str

    def keep(self, folder: Path = KEPT) -> Path:
        home = folder / self.target
        home.mkdir(parents=True, exist_ok=True)
        file = home / hashlib.sha256(self.case).hexdigest()[:12]
        file.write_bytes(self.case)
        return file

    def told(self) -> str:
        return f"{self.target}: seed {self.seed}, case {self.number}: {self.what}\n  input: {self.case!r}"


@dataclass(frozen=True)
class Tally:
    target: str
    cases: int
    seconds: float
    findings: tuple[Finding, ...]


def run(target: Target, seed: int, numbers: Iterable[int]) -> Tally:
    """In this process; `seconds` is processor time."""
    began, findings, cases = time.process_time(), [], 0
    for number in numbers:
        cases += 1
        case = case_of(target, seed, number)
        if failure := failure_of(target, case):
            short = shortened(target, case, failure)
            findings.append(Finding(target.name, seed, number, short, failure_of(target, short)))
            if len(findings) >= MOST_FINDINGS:
                break
    return Tally(target.name, cases, time.process_time() - began, tuple(findings))


def run_all(chosen: Sequence[Target], seed: int, cases: int, processes: int) -> Iterator[Tally]:
    """One tally for each target, in order, with the seconds that it took by the clock, and one finding of each kind."""
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        for target in chosen:
            began = time.monotonic()
            shares = [(target.name, seed, begin, min(begin + SHARE, cases)) for begin in range(0, cases, SHARE)]
            tallies = pool.map(_run_share, shares, chunksize=1)
            findings = tuple({_kind(found.what): found for tally in tallies for found in tally.findings}.values())
            yield Tally(target.name, sum(tally.cases for tally in tallies), time.monotonic() - began, findings)


def _run_share(share: tuple[str, int, int, int]) -> Tally:
    name, seed, begin, end = share
    return run(registry.named(name), seed, range(begin, end))


def failure_of(target: Target, case: Case) -> str:
    """What the target says against the case; empty where it keeps its promises."""
    try:
        target.judge(case)
    except Exception as error:  # noqa: BLE001 -- whatever it is, it is a finding
        last = traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__} in {Path(last.filename).name}:{last.lineno} {last.name}: {error}"[:600]
    return ""


def shortened(target: Target, case: Case, failure: str) -> Case:
    """The case without what it does not need to fail in the same place."""
    kind, size, tries = _kind(failure), len(case) // 2, 0
    while size and tries < MOST_TRIES:
        at = 0
        while at < len(case) and tries < MOST_TRIES:
            tries += 1
            shorter = case[:at] + case[at + size :]
            if _kind(failure_of(target, shorter)) == kind:
                case = shorter
            else:
                at += size
        size //= 2
    return case


def _kind(failure: str) -> str:
    return failure.partition(": ")[0]
