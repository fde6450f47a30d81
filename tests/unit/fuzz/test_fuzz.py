"""Every reader of what others send keeps its promises: over found cases, over a fixed seed, over another each time."""

import random
import secrets
from pathlib import Path

import pytest
from tests.fuzz import registry, runner
from tests.fuzz.mutation import pieces, with_cuts
from tests.fuzz.target import Target, case_of

CASES = 1500
"""Of each target and seed: seconds in all. `make fuzz` runs as many as one likes."""
FIXED_SEED = 20260
FOUND = sorted(path for path in runner.KEPT.glob("*/*") if path.is_file())


@pytest.mark.parametrize("name", registry.NAMES)
def test_a_fixed_seed_finds_nothing(name: str) -> None:
    _judge(name, FIXED_SEED)


@pytest.mark.parametrize("name", registry.NAMES)
def test_another_seed_finds_nothing(name: str) -> None:
    seed = secrets.randbits(32)
    print(f"seed {seed}")
    _judge(name, seed)


def _judge(name: str, seed: int) -> None:
    tally = runner.run(registry.named(name), seed, range(CASES))
    assert not tally.findings, "\n".join(finding.told() for finding in tally.findings)


@pytest.mark.parametrize("file", FOUND, ids=[f"{file.parent.name}-{file.name}" for file in FOUND])
def test_what_was_found_once_is_mended(file: Path) -> None:
    assert runner.failure_of(registry.named(file.parent.name), file.read_bytes()) == ""


def test_a_case_hangs_on_its_seed_and_number_alone() -> None:
    target = registry.named("connection")
    assert case_of(target, 1, 7) == case_of(target, 1, 7) != case_of(target, 1, 8)


def test_cuts_lose_nothing() -> None:
    chance = random.Random(1)
    for size in range(300):
        data = chance.randbytes(size)
        assert b"".join(pieces(with_cuts(data, chance))) == data


def _judge_without_percent(case: bytes) -> None:
    if b"%" in case:
        raise ValueError("found")


def test_what_is_found_is_cut_short_and_kept(tmp_path: Path) -> None:
    target = Target("toy", lambda chance: chance.randbytes(300), _judge_without_percent)
    tally = runner.run(target, 1, range(50))
    assert len(tally.findings) == runner.MOST_FINDINGS
    finding = tally.findings[0]
    assert finding.case == b"%"
    assert "ValueError in test_fuzz.py" in finding.what
    assert finding.keep(tmp_path).read_bytes() == b"%"
    assert f"seed 1, case {finding.number}" in finding.told()
