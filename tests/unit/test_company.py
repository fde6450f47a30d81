"""The turns of tests on the shared stage: nobody waits for ever, and nobody leaves a lock behind."""

import fcntl
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.e2e import company
from tests.e2e.company import NETWORK, OPERATOR, PARTS


class InterruptedTestError(Exception):
    pass


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(company, "FOLDER", tmp_path)
    return tmp_path


@contextmanager
def _another_has(folder: Path, name: str) -> Iterator[None]:
    """Fails where somebody else has it."""
    with (folder / f".e2e-{name}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield


@contextmanager
def _interrupted_soon() -> Iterator[None]:
    def interrupt(*_: object) -> None:
        raise InterruptedTestError

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    try:
        with pytest.raises(InterruptedTestError):
            yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize(("taken", "other"), [(OPERATOR, NETWORK), (NETWORK, OPERATOR)])
def test_who_takes_a_part_away_enters_no_other(folder: Path, taken: str, other: str) -> None:
    """Two that do would each stand before the door that the other holds."""
    with company.shared(PARTS, takes=taken), _another_has(folder, other), _another_has(folder, f"{other}-door"):
        with pytest.raises(BlockingIOError), _another_has(folder, f"{taken}-door"):
            pass
        with company.alone(taken), _another_has(folder, f"{taken}-door"):
            pass


@pytest.mark.parametrize("before", [f"{OPERATOR}-door", OPERATOR])
def test_who_is_interrupted_on_the_way_in_leaves_nothing_behind(folder: Path, before: str) -> None:
    with _another_has(folder, before), _interrupted_soon(), company.shared(PARTS, takes=OPERATOR):
        pass
    with company.shared(PARTS, takes=OPERATOR), company.alone(OPERATOR):
        pass


def test_who_is_interrupted_while_others_leave_does_not_wait_for_itself(folder: Path) -> None:
    with company.shared(PARTS, takes=OPERATOR), (folder / f".e2e-{OPERATOR}.lock").open("a") as guest:
        fcntl.flock(guest, fcntl.LOCK_SH)
        with _interrupted_soon(), company.alone(OPERATOR):
            pass
    with company.shared(PARTS):
        pass
