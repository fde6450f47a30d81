"""Trace context (W3C, version 00): a caller's trace goes on to the model, under a span of the guard's own.

Nothing else of it goes on: no `tracestate`, and of the flags only whether the trace is sampled.
"""

import os
import re
from typing import NamedTuple

from bartizan.guard.request import Head

_FORM = re.compile(rb"00-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-([0-9a-f]{2})")
_SAMPLED = 1


class Trace(NamedTuple):
    """`header` is the line that goes to the model, with its end."""

    id: str
    span: str
    header: bytes


def of(head: Head) -> Trace | None:
    """The request's trace; None where it has none, or not exactly one that is well formed: it is then left out."""
    given = head.values(b"traceparent")
    if not given:
        return None
    found = _FORM.fullmatch(given[0]) if len(given) == 1 else None
    if found is None:
        return None
    trace, span = found[1].decode("ascii"), os.urandom(8).hex()
    line = f"traceparent: 00-{trace}-{span}-{int(found[2], 16) & _SAMPLED:02x}\r\n"
    return Trace(trace, span, line.encode("ascii"))
