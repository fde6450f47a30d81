"""Wakes the event loop within microseconds of a time: its own timers count whole milliseconds, too coarse here."""

import asyncio
import ctypes
import os
from collections.abc import Callable

_MONOTONIC, _ABSOLUTE = 1, 1


class _Span(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _Setting(ctypes.Structure):
    _fields_ = (("interval", _Span), ("value", _Span))


_LIBC = ctypes.CDLL(None, use_errno=True)


class Alarm:
    """A timerfd (Linux); times are those of `time.monotonic`."""

    def __init__(self, ring: Callable[[], None]) -> None:
        self._ring = ring
        self._descriptor: int = _LIBC.timerfd_create(_MONOTONIC, os.O_NONBLOCK)
        if self._descriptor < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")

    def start(self) -> None:
        asyncio.get_running_loop().add_reader(self._descriptor, self._rung)

    def set(self, due: float) -> None:
        seconds = int(due)
        value = _Span(seconds, max(1, int((due - seconds) * 1e9)))
        _LIBC.timerfd_settime(self._descriptor, _ABSOLUTE, ctypes.byref(_Setting(_Span(0, 0), value)), None)

    def _rung(self) -> None:
        try:
            os.read(self._descriptor, 8)
        except BlockingIOError:
            return
        self._ring()

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._descriptor)
        os.close(self._descriptor)
