"""Catches what the operator logs, and puts the root logger back."""

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager

from bartizan.controller import log


@contextmanager
def capture(form: str) -> Iterator[io.StringIO]:
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    stream = io.StringIO()
    log.configure(form=form, level="info", stream=stream)
    try:
        yield stream
    finally:
        root.handlers[:], root.level = before, level
