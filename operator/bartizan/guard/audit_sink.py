"""Writes audit lines to a file descriptor without ever waiting for its reader; what can leave together does."""

import asyncio
import contextlib
import os
from collections import deque

from bartizan.guard.audit import MAX_LINE_BYTES, LineBegunError, SinkError

MAX_KEPT_BYTES = 256 * 1024
"""Outcomes kept while the reader stalls: those of all requests that can be under way, several times over."""
MAX_WRITE_BYTES = MAX_LINE_BYTES
"""Whole lines that leave with one write: a pipe takes them all at once or not at all, and mixes them with nobody's."""


class DescriptorSink:
    """Lines that may wait are kept, in order, for the next that may not, or until the event loop's turn has ended.

    While the descriptor is full they stay; a line that must not wait is refused then.
    """

    def __init__(self, descriptor: int) -> None:
        os.set_blocking(descriptor, False)
        self._descriptor = descriptor
        self._kept: deque[bytes] = deque()
        self._kept_bytes = 0
        self._is_due = False
        self._is_stalled = False
        self._settled = asyncio.Event()
        self._is_settling = False

    def write(self, line: bytes, *, must_not_wait: bool) -> None:
        left = line
        if must_not_wait and not self._kept and not self._is_stalled:
            left = self._left_of(line)
            if not left:
                return
        size = len(left)
        if self._kept_bytes + size > MAX_KEPT_BYTES:
            self._flush()  # nobody tells when a disk has room again
            if self._kept_bytes + size > MAX_KEPT_BYTES:
                raise SinkError("the reader of the audit stalls")
        self._kept.append(left)
        self._kept_bytes += size
        if must_not_wait:
            self._write_out(line)
        elif self._is_stalled:
            return
        elif self._kept_bytes >= MAX_WRITE_BYTES:
            self._write_what_is_kept()
        elif not self._is_due:
            self._is_due = True
            asyncio.get_running_loop().call_soon(self._turn_has_ended)

    async def settle(self, seconds: float) -> int:
        """Wait until no line is kept, at most for `seconds`; the number of lines that nobody took."""
        self._is_settling = True
        with contextlib.suppress(SinkError, TimeoutError):
            self._flush()
            async with asyncio.timeout(max(0.0, seconds)):
                while self._kept:
                    self._settled.clear()
                    await self._settled.wait()
        return len(self._kept)

    def _left_of(self, line: bytes) -> bytes:
        """What of the line does not leave at once: nothing, nearly always. Why it does not, the next try finds out."""
        try:
            return line[os.write(self._descriptor, line) :]
        except OSError:
            return line

    def _write_out(self, line: bytes) -> None:
        """Write all that is kept up to this line, the last; raises SinkError."""
        try:
            self._flush()
        except SinkError as error:
            if not self._withdraw(line):
                raise LineBegunError(str(error)) from error
            raise
        if self._kept and self._withdraw(line):
            raise SinkError("the reader of the audit stalls")

    def _withdraw(self, line: bytes) -> bool:
        """Take back the last line that was kept, unless a part of it has left: then the rest must follow."""
        if not self._kept or self._kept[-1] is not line:
            return False
        self._kept.pop()
        self._kept_bytes -= len(line)
        return True

    def _turn_has_ended(self) -> None:
        self._is_due = False
        self._write_what_is_kept()

    def _write_what_is_kept(self) -> None:
        try:
            self._flush()
        except SinkError:  # it is said to the next line that must not wait
            return

    def _flush(self) -> None:
        """Write what is kept until nothing is, or the descriptor is full; raises SinkError where writing fails."""
        try:
            while self._kept:
                group = b"".join(self._kept) if self._kept_bytes <= MAX_WRITE_BYTES else self._group()
                self._take_off(os.write(self._descriptor, group))
        except BlockingIOError:
            pass
        except OSError as error:
            self._wait_for_room(is_stalled=False)
            raise SinkError(f"the audit cannot be written: {error.strerror}") from error
        is_stalled = bool(self._kept)
        if is_stalled != self._is_stalled:
            self._wait_for_room(is_stalled=is_stalled)
        if self._is_settling and not is_stalled:
            self._settled.set()

    def _group(self) -> bytes:
        """As many whole lines as one write takes, at least one."""
        group: list[bytes] = []
        size = 0
        for line in self._kept:
            size += len(line)
            if group and size > MAX_WRITE_BYTES:
                break
            group.append(line)
        return b"".join(group)

    def _take_off(self, written: int) -> None:
        self._kept_bytes -= written
        if not self._kept_bytes:
            self._kept.clear()
            return
        while written:
            line = self._kept.popleft()
            if written < len(line):
                self._kept.appendleft(line[written:])
                return
            written -= len(line)

    def _wait_for_room(self, *, is_stalled: bool) -> None:
        if is_stalled == self._is_stalled:
            return
        self._is_stalled = is_stalled
        loop = asyncio.get_running_loop()
        if is_stalled:
            loop.add_writer(self._descriptor, self._write_what_is_kept)
        else:
            loop.remove_writer(self._descriptor)
