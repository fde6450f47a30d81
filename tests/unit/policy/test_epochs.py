"""Epochs: whatever happens to the list of clients, no epoch of a client's is ever current again once it was not."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from bartizan.policy import epochs
from bartizan.policy.epochs import MAX_RETIRED, Ledger
from bartizan.policy.model import Client

NAMES = ("a", "b", "c")
CLIENTS = st.dictionaries(st.sampled_from(NAMES), st.integers(1, 5), max_size=3)


def _clients(wanted: dict[str, int]) -> list[Client]:
    return [Client(name, epoch) for name, epoch in wanted.items()]


@given(st.lists(CLIENTS, max_size=12))
def test_an_epoch_that_has_gone_never_comes_back(history: list[dict[str, int]]) -> None:
    ledger, gone, before = Ledger(), set[tuple[str, int]](), set[tuple[str, int]]()
    for wanted in history:
        ledger = epochs.advance(ledger, _clients(wanted))
        now = set(ledger.current().items())
        assert set(ledger.current()) == set(wanted)
        assert not now & gone
        gone |= before - now
        before = now


@given(st.lists(CLIENTS, max_size=12))
def test_what_the_status_holds_is_the_ledger(history: list[dict[str, int]]) -> None:
    ledger = Ledger()
    for wanted in history:
        ledger = epochs.advance(ledger, _clients(wanted))
    assert epochs.read(epochs.write(ledger)) == ledger


@given(CLIENTS)
def test_the_same_clients_again_change_nothing(wanted: dict[str, int]) -> None:
    once = epochs.advance(Ledger(), _clients(wanted))
    assert epochs.advance(once, _clients(wanted)) == once


@given(st.lists(CLIENTS, max_size=6), st.sampled_from(NAMES))
def test_raising_the_figure_always_tells(history: list[dict[str, int]], name: str) -> None:
    ledger = epochs.advance(Ledger(), [])
    for wanted in [*history, {name: 1}]:
        ledger = epochs.advance(ledger, _clients(wanted))
    before = ledger.current()[name]
    assert epochs.advance(ledger, [Client(name, 2)]).current()[name] == before + 1


def test_forgotten_names_start_above_all_that_were_forgotten() -> None:
    ledger = epochs.advance(Ledger(), [Client("first", 9)])
    for number in range(MAX_RETIRED + 5):
        ledger = epochs.advance(ledger, [Client(f"c{number}", 1)])
    assert len(ledger.entries) <= MAX_RETIRED + 1
    assert "first" not in {entry.name for entry in ledger.entries}
    assert epochs.advance(ledger, [Client("first", 1)]).current()["first"] == 10


def test_a_wiped_ledger_begins_above_every_epoch_that_ever_was() -> None:
    assert epochs.read({}) is None
    assert epochs.read({"clients": []}) is None
    now = datetime(2026, 1, 1, tzinfo=UTC)
    again = epochs.advance(epochs.begin(now, is_first=False), [Client("a", 1)])
    assert again.current()["a"] > 1_000_000, "the highest figure that a spec may name"
    assert epochs.advance(epochs.begin(now, is_first=True), [Client("a", 1)]).current() == {"a": 1}
