"""What may go wrong, each as what is done to a stand under load; `recover` of the stand comes after each."""

import contextlib
import os
import resource
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.faults.callers import LARGE, UNANSWERED, USUAL, Callers, Kind
from tests.faults.stand import Stand
from tests.unit.guard.running import DEADLINE_SECONDS, eventually

HOUR = 3600


@dataclass(frozen=True)
class Fault:
    """`strike` does it and undoes what does not end by itself; `module`, `to_file` and `has_store` are the stand's."""

    name: str
    strike: Callable[[Stand, Callers, int], None]
    kinds: Sequence[Kind] = USUAL
    module: str = "bartizan.guard.main"
    to_file: bool = False
    has_store: bool = False


def kill_the_guard(stand: Stand, callers: Callers, number: int) -> None:
    stand.guard.process.kill()
    stand.guard.process.wait(DEADLINE_SECONDS)
    callers.saw(UNANSWERED)


def stop_the_guard(stand: Stand, callers: Callers, number: int) -> None:
    """Whoever asks meanwhile waits, and gets nothing."""
    stand.guard.process.send_signal(signal.SIGSTOP)
    eventually(lambda: _state(stand.guard.process.pid) == "T", "the guard has stopped")
    answered = len([found for found in callers.answers if found.status])
    callers.tried(1)
    assert len([found for found in callers.answers if found.status]) <= answered + len(USUAL)
    stand.guard.process.send_signal(signal.SIGCONT)


def kill_the_model(stand: Stand, callers: Callers, number: int) -> None:
    stand.end_model()
    callers.saw(503)


def stop_the_model(stand: Stand, callers: Callers, number: int) -> None:
    stand.model.send_signal(signal.SIGSTOP)
    callers.saw(504, UNANSWERED)
    stand.model.send_signal(signal.SIGCONT)


def put_garbage_in_the_document(stand: Stand, callers: Callers, number: int) -> None:
    stand.write(os.urandom(1 + number * 37 % 5000))
    _refused_and_put_back(stand, callers)


def write_half_a_document(stand: Stand, callers: Callers, number: int) -> None:
    """In place, as nobody should."""
    whole = stand.new_document()
    stand.document.write_bytes(whole[: len(whole) * (number % 97) // 97])
    _refused_and_put_back(stand, callers)


def remove_the_document(stand: Stand, callers: Callers, number: int) -> None:
    stand.document.unlink()
    _refused_and_put_back(stand, callers)


def _refused_and_put_back(stand: Stand, callers: Callers) -> None:
    """The last good one stays in force meanwhile."""
    eventually(lambda: stand.guard.status()["documentReason"] != "GuardReady", "the document is refused")
    callers.saw(200)
    stand.write(stand.new_document())
    eventually(lambda: stand.guard.status()["documentVersion"] == stand.version, "the new document in force")


def stall_the_audit(stand: Stand, callers: Callers, number: int) -> None:
    assert stand.pump is not None
    stand.pump.stall()
    callers.saw(503)
    callers.tried(5)
    stand.pump.go_on()


def fill_the_disk(stand: Stand, callers: Callers, number: int) -> None:
    """Writing fails in the middle of a line, as on a disk that is full."""
    size = (stand.guard.folder / "audit").stat().st_size
    with _limited(stand, resource.RLIMIT_FSIZE, size + 100 + number):
        callers.saw(503)
        callers.tried(5)


def jump_the_clock(stand: Stand, callers: Callers, number: int) -> None:
    """An hour forwards, an hour backwards, by turns."""
    (stand.folder / "offset").write_text(str(HOUR if number % 2 else -HOUR))
    callers.tried(20)


def use_up_the_files(stand: Stand, callers: Callers, number: int) -> None:
    open_now = len(list(Path(f"/proc/{stand.guard.process.pid}/fd").iterdir()))
    with _limited(stand, resource.RLIMIT_NOFILE, open_now + number % 4):
        callers.tried(20)


def use_up_the_memory(stand: Stand, callers: Callers, number: int) -> None:
    used = int(Path(f"/proc/{stand.guard.process.pid}/statm").read_text().split()[0]) * resource.getpagesize()
    with _limited(stand, resource.RLIMIT_AS, used + (number % 8) * 65536):
        callers.tried(20)


def kill_the_store(stand: Stand, callers: Callers, number: int) -> None:
    assert stand.store is not None
    stand.store.kill()
    _counted_alone(stand, callers)
    stand.store.restart()
    _counted_in_the_store(stand)


def stop_the_store(stand: Stand, callers: Callers, number: int) -> None:
    assert stand.store is not None
    stand.store.signal(signal.SIGSTOP)
    _counted_alone(stand, callers)
    stand.store.signal(signal.SIGCONT)
    _counted_in_the_store(stand)


def empty_the_store(stand: Stand, callers: Callers, number: int) -> None:
    """As by another hand, or by a restart without its file; the script is gone, too."""
    assert stand.store is not None
    stand.store.client().flushall()
    stand.store.client().script_flush()
    callers.tried(10)


def _counted_alone(stand: Stand, callers: Callers) -> None:
    """The guard's own share holds, and good callers are answered on."""
    eventually(lambda: stand.guard.status()["limitsReason"] == "StoreUnavailable", "the store is missed")
    callers.saw(200)


def _counted_in_the_store(stand: Stand) -> None:
    eventually(lambda: stand.guard.status()["limitsReason"] != "StoreUnavailable", "the store counts again")


@contextlib.contextmanager
def _limited(stand: Stand, limit: int, most: int) -> Iterator[None]:
    """One of the guard's limits lowered for a while; it may not survive that."""
    pid = stand.guard.process.pid
    before = resource.prlimit(pid, limit)
    resource.prlimit(pid, limit, (most, before[1]))
    yield
    if stand.guard.process.poll() is None:
        resource.prlimit(pid, limit, before)


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


ALL = (
    Fault("guard killed", kill_the_guard),
    Fault("guard stopped", stop_the_guard),
    Fault("model killed", kill_the_model),
    Fault("model stopped", stop_the_model),
    Fault("document garbage", put_garbage_in_the_document),
    Fault("document half written", write_half_a_document),
    Fault("document removed", remove_the_document),
    Fault("audit stalls", stall_the_audit),
    Fault("audit's disk full", fill_the_disk, to_file=True),
    Fault("clock jumps an hour", jump_the_clock, module="tests.faults.jumping_guard"),
    Fault("files used up", use_up_the_files),
    Fault("memory used up", use_up_the_memory, kinds=LARGE),
    Fault("store killed", kill_the_store, has_store=True),
    Fault("store stopped", stop_the_store, has_store=True),
    Fault("store emptied", empty_the_store, has_store=True),
)
