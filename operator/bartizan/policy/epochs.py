"""Key epochs that never go back: a client that was removed and comes back gets the next one, so no leaked key revives.

The ledger stands in the ModelDeployment's status. An entry's `key_epoch` is the spec's figure when it was last seen;
`epoch` is the one that keys are derived with. Raising the spec's figure raises the epoch by as much; lowering it does
nothing; coming back after a removal raises it by one.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from bartizan.policy.model import Client

MAX_RETIRED = 256
"""Retired names that are remembered one by one; past that the floor rises for all, which forgets names, not epochs."""


@dataclass(frozen=True, slots=True)
class Entry:
    name: str
    key_epoch: int
    epoch: int
    retired: bool = False


@dataclass(frozen=True, slots=True)
class Ledger:
    """`floor` is the least epoch of a client whose name is not in the ledger."""

    entries: tuple[Entry, ...] = ()
    floor: int = 1

    def current(self) -> dict[str, int]:
        """Epoch of each client that may come in."""
        return {entry.name: entry.epoch for entry in self.entries if not entry.retired}


def advance(ledger: Ledger, clients: Iterable[Client]) -> Ledger:
    """The ledger after `clients` are all that the spec names."""
    wanted = {client.name: client for client in clients}
    known = {entry.name: entry for entry in ledger.entries}
    retired = [replace(entry, retired=True) for entry in ledger.entries if entry.name not in wanted]
    active = [_active(known.get(name), client, ledger.floor) for name, client in sorted(wanted.items())]
    forgotten, remembered = retired[:-MAX_RETIRED], retired[-MAX_RETIRED:]
    floor = max([ledger.floor, *(entry.epoch + 1 for entry in forgotten)])
    return Ledger(entries=(*remembered, *active), floor=floor)


def _active(known: Entry | None, client: Client, floor: int) -> Entry:
    if known is None:
        return Entry(client.name, client.key_epoch, max(client.key_epoch, floor))
    if known.retired:
        return Entry(client.name, client.key_epoch, max(client.key_epoch, known.epoch + 1))
    raised = max(0, client.key_epoch - known.key_epoch)
    return Entry(client.name, client.key_epoch, known.epoch + raised)


def begin(now: datetime, *, is_first: bool) -> Ledger:
    """An empty ledger: of a new endpoint, or of one whose ledger somebody has wiped.

    Then nobody knows which keys were retired. So all are: the clock is above every epoch that was ever counted up to.
    """
    return Ledger(floor=1 if is_first else int(now.timestamp()))


def read(status: Mapping[str, object]) -> Ledger | None:
    """The ledger from a status; None where there is none."""
    entries = status.get("clients")
    floor = status.get("epochFloor")
    if entries is None or floor is None:
        return None
    return Ledger(
        entries=tuple(
            _entry(item) for item in (entries if isinstance(entries, list) else ()) if isinstance(item, Mapping)
        ),
        floor=floor if isinstance(floor, int) and floor > 0 else 1,
    )


def write(ledger: Ledger) -> dict[str, object]:
    """The status fields that hold the ledger."""
    return {
        "clients": [
            {"name": entry.name, "keyEpoch": entry.key_epoch, "epoch": entry.epoch, "retired": entry.retired}
            for entry in ledger.entries
        ],
        "epochFloor": ledger.floor,
    }


def _entry(item: Mapping[str, object]) -> Entry:
    epoch, key_epoch = item.get("epoch"), item.get("keyEpoch")
    number = epoch if isinstance(epoch, int) else 1
    seen = key_epoch if isinstance(key_epoch, int) else number
    return Entry(str(item.get("name")), seen, number, retired=item.get("retired") is True)
