"""Reads server-sent events as they come in, whatever the pieces, and writes them anew.

The grammar is that of the HTML standard, section 9.2.6: lines end with CR LF, LF or CR; an event ends with an empty
line; several `data` lines make one text. `id` and `retry` are dropped, and so is what a comment says: nobody inspects
it, and it keeps a connection alive without.
"""

import re
from typing import NamedTuple

MAX_EVENT_BYTES = 1 << 20
"""Bytes of one event. A chunk of a model's answer has some hundred; a whole tool call in one has some thousand."""

COMMENT = b":\n\n"
_BOM = b"\xef\xbb\xbf"
_LINE_END = re.compile(rb"\r\n|\n|\r")
_USUAL = re.compile(rb"data: ([^\r\n]*+)\n\n")
"""How nearly all servers send nearly all events, each by itself."""


class EventError(ValueError):
    """The stream is none of server-sent events, or one event is too long."""


class Event(NamedTuple):
    """`data` is None where the server sent a mere comment; `name` is empty where it gave none."""

    data: bytes | None
    name: bytes = b""


class EventStream:
    """Feed it pieces; it gives back the events that they complete, in order."""

    __slots__ = ("_begun", "_begun_bytes", "_data", "_is_first", "_line_bytes", "_name", "_skips_newline")

    def __init__(self) -> None:
        self._begun = bytearray()
        """Of a line; pieces kept one by one would take many times their bytes."""
        self._is_first = True
        self._begun_bytes = 0
        self._skips_newline = False
        self._data: list[bytes] | None = None
        self._name = b""
        self._line_bytes = 0

    @property
    def is_between_events(self) -> bool:
        """Nothing of an event has come that has not ended: a stream may end here and nowhere else."""
        return not self._line_bytes and not self._begun_bytes

    def feed(self, piece: bytes) -> list[Event]:
        """Raises EventError."""
        if not self._line_bytes and not self._begun_bytes and (usual := _USUAL.fullmatch(piece)):
            self._is_first = self._skips_newline = False
            return [Event(usual[1])]
        if b"\n" not in piece and b"\r" not in piece:
            self._begun += piece
            self._begun_bytes += len(piece)
            self._skips_newline = self._skips_newline and not piece
            self._bound()
            return []
        text = b"".join((self._begun, piece))
        if self._is_first:
            self._is_first = False
            text = text.removeprefix(_BOM)
        lines = self._split(text)
        self._begun = bytearray(lines.pop())
        self._begun_bytes = len(self._begun)
        events = self._take(lines)
        self._bound()
        return events

    def _bound(self) -> None:
        if self._line_bytes + self._begun_bytes > MAX_EVENT_BYTES:
            raise EventError(f"an event of the stream has more than {MAX_EVENT_BYTES} bytes")

    def _split(self, text: bytes) -> list[bytes]:
        """The lines, and what stands behind the last: a CR at the very end ends its line, and a LF after it is none."""
        if self._skips_newline:
            text = text.removeprefix(b"\n")
        self._skips_newline = text.endswith(b"\r")
        return _LINE_END.split(text) if b"\r" in text else text.split(b"\n")

    def _take(self, lines: list[bytes]) -> list[Event]:
        events = []
        for line in lines:
            if line:
                self._read(line)
                continue
            if self._data is not None:
                events.append(Event(b"\n".join(self._data), self._name))
            elif self._line_bytes and not self._name:
                events.append(Event(None))
            self._clear()
        return events

    def _read(self, line: bytes) -> None:
        self._line_bytes += len(line) + 1
        if line.startswith(b"data:") or line == b"data":
            text = line[5:].removeprefix(b" ")
            if self._data is None:
                self._data = [text]
            else:
                self._data.append(text)
        elif line.startswith(b"event:") or line == b"event":
            self._name = line[6:].removeprefix(b" ")

    def _clear(self) -> None:
        self._data = None
        self._name = b""
        self._line_bytes = 0


def write(event: Event) -> bytes:
    """The event in the one form that goes to callers."""
    if event.data is None:
        return COMMENT
    name = b"event: %b\n" % event.name if event.name else b""
    if b"\n" in event.data:
        return name + b"".join(b"data: %b\n" % line for line in event.data.split(b"\n")) + b"\n"
    return b"%bdata: %b\n\n" % (name, event.data)
