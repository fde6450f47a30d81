"""Remembers over restarts of the container what long windows were charged, so that no restart refills one.

One file on a volume that no other container mounts. A charge is in its record before the request goes on, by one call
into the page cache, which nothing waits for: a guard that is killed has lost none; a node that loses its power loses
what its kernel had not written yet.

Times are those of the boot's own clock, so that no wall clock that is set refills anything. After another boot, what
was left at a window's last charge is left now: the time between counts for nothing.
"""

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from bartizan.guard import limits_file as form
from bartizan.guard import log
from bartizan.guard.limits_file import Header, Kept, LimitsFileError, Name, Owner
from bartizan.policy.limits import NANOSECONDS
from bartizan.policy.reasons import Reason

FILE_NAME = "limits"
LONG_SECONDS = 600
"""Windows up to this long begin anew with the process: they refill about as fast as it starts."""
LONGEST_NS = 86400 * NANOSECONDS
RETRY_NS = NANOSECONDS


class LimitsMemory:
    """`reason` is LimitsKept, or why a restart may not find the windows as it left them.

    Without a directory it keeps nothing; before `begin` it knows nothing.
    """

    def __init__(self, directory: Path | None, owner: Owner, now_ns: Callable[[], int]) -> None:
        self.reason = Reason.LIMITS_UNKEPT
        self._file = directory / FILE_NAME if directory else None
        self._owner = owner
        self._now_ns = now_ns
        self._has_begun = False
        self._header = Header()
        self._found: dict[bytes, Kept] = {}
        """What the process before this one left."""
        self._image = bytearray()
        """The file as it should be."""
        self._digests: dict[bytes, int] = {}
        self._places: dict[Name, tuple[bytes, int]] = {}
        self._descriptor = -1
        self._retry_ns = 0

    def begin(self, *, is_new_endpoint: bool) -> None:
        """Read what an earlier process kept; once: later calls do nothing."""
        if self._has_begun or self._file is None:
            return
        self._has_begun = True
        now_ns = self._now_ns()
        try:
            self._read(self._file, now_ns)
        except FileNotFoundError:
            # The pod's first start, and what the pods before it gave is not known yet. Until the operator tells it, a
            # window has what it refills in the time for which no restart counts; in an endpoint so new that nothing
            # was used, all of it.
            floor_ns = form.NEVER_NS if is_new_endpoint else now_ns - LONG_SECONDS * NANOSECONDS
            self._header = Header(floor_ns, is_provisional=True)
        except (OSError, LimitsFileError) as error:
            log.warning("limits memory cannot be read, long windows count as used up", error=type(error).__name__)
            self._header = Header(now_ns, is_forgotten=True)
        self._lay_out(now_ns)
        self._write_anew(now_ns)

    @property
    def is_provisional(self) -> bool:
        """Whether what this pod's windows began with is a guess."""
        return self._header.is_provisional

    def guess_ns(self, name: Name) -> int:
        """When all that a window began with will have leaked out, as far as it was a guess."""
        return self._header.floor_ns + name[2] * NANOSECONDS

    def settle(self, known: Mapping[bytes, Kept] | None) -> None:
        """In place of the guess, what is known by the windows' digests; with None the guess stands."""
        now_ns = self._now_ns()
        if known is None or len(known) > form.MOST_RECORDS:
            self._header = replace(self._header, is_provisional=False)
            self._put(0, form.pack_header(self._owner, self._header), now_ns)
            return
        self._header = Header(is_forgotten=self._header.is_forgotten)
        self._found = dict(known)
        self._digests.clear()
        self._places.clear()
        self._lay_out(now_ns)
        self._write_anew(now_ns)

    def recall(self, name: Name) -> Kept:
        """What is known of a window that this process has not charged yet."""
        found = self._found.get(form.digest(name))
        return found or Kept(self._header.floor_ns + name[2] * NANOSECONDS)

    def keep(self, name: Name, until_ns: int, held: int = 0) -> None:
        """Replaces the window's record."""
        if not self._has_begun:
            return
        now_ns = self._now_ns()
        of, place = self._places.get(name) or self._place(name)
        if place:
            self._put(place, form.pack_record(of, until_ns, held, now_ns), now_ns)
            return
        # No room for one more record: a later process takes whatever it does not find for used up.
        self._header = replace(self._header, floor_ns=now_ns)
        self._put(0, form.pack_header(self._owner, self._header), now_ns)

    def _read(self, file: Path, now_ns: int) -> None:
        """Raises OSError and LimitsFileError, after it has taken what is whole."""
        with file.open("rb") as opened:
            data = opened.read(form.MOST_BYTES + 1)
        header, is_this_boot = form.read_header(data, self._owner)
        if header.floor_ns + LONGEST_NS > now_ns or not is_this_boot:
            has_floor = header.floor_ns != form.NEVER_NS
            self._header = header if is_this_boot or not has_floor else replace(header, floor_ns=now_ns)
        else:
            self._header = Header(is_provisional=header.is_provisional)
        for of, kept in form.read_records(data):
            until_ns = kept.until_ns if is_this_boot else now_ns + max(0, kept.until_ns - kept.at_ns)
            if until_ns > now_ns or kept.held:
                self._found[of] = Kept(until_ns, kept.held, now_ns)

    def _lay_out(self, now_ns: int) -> None:
        """Only what is still charged: the file grows with one process's clients, not with all that ever were."""
        self._image = bytearray(form.pack_header(self._owner, self._header))
        for of, kept in self._found.items():
            self._digests[of] = len(self._image)
            self._image += form.pack_record(of, kept.until_ns, kept.held, now_ns)

    def _place(self, name: Name) -> tuple[bytes, int]:
        """Where the window's record is from now on; 0 where there is no room for it."""
        of = form.digest(name)
        place = self._digests.get(of, 0)
        if not place:
            if len(self._image) >= form.MOST_BYTES:
                return of, 0
            place = self._digests[of] = len(self._image)
            self._image += bytes(form.RECORD_BYTES)
        self._places[name] = of, place
        return of, place

    def _put(self, place: int, record: bytes, now_ns: int) -> None:
        self._image[place : place + form.RECORD_BYTES] = record
        if self.reason is Reason.LIMITS_UNKEPT:  # what could not be written may have left a gap anywhere
            if now_ns >= self._retry_ns:
                self._write_anew(now_ns)
            return
        try:
            _write(self._descriptor, record, place)
        except OSError as error:
            self._fail(error, now_ns)

    def _write_anew(self, now_ns: int) -> None:
        if self._file is None:
            return
        fresh = self._file.with_suffix(".fresh")
        try:
            descriptor = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            self._close()
            self._descriptor = descriptor
            _write(descriptor, self._image, 0)
            fresh.replace(self._file)
        except OSError as error:
            self._fail(error, now_ns)
            return
        self.reason = Reason.LIMITS_FORGOTTEN if self._header.is_forgotten else Reason.LIMITS_KEPT

    def _fail(self, error: OSError, now_ns: int) -> None:
        """What is charged meanwhile a restart would not find; in this process every limit holds as before."""
        if self._retry_ns == 0 or self.reason is not Reason.LIMITS_UNKEPT:
            log.warning("limits memory cannot be written", error=type(error).__name__)
        self.reason = Reason.LIMITS_UNKEPT
        self._retry_ns = now_ns + RETRY_NS

    def _close(self) -> None:
        if self._descriptor >= 0:
            with suppress(OSError):
                os.close(self._descriptor)
            self._descriptor = -1


def boot_id() -> str:
    """Of the machine; where it cannot be read a random one: then no two processes share a boot."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return os.urandom(16).hex()


def _write(descriptor: int, data: bytes | bytearray, place: int) -> None:
    """Raises OSError, also where not all could be written."""
    if os.pwrite(descriptor, data, place) != len(data):
        raise OSError("the volume is full")
