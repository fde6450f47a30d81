"""Structured log lines: a constant lower-case message plus fields, as JSON or text, with anything like a key hidden."""

import json
import logging
import re
import sys
from datetime import UTC, datetime
from typing import IO, Any, Final

REDACTED: Final = "[redacted]"

_KEY_LIKE: Final = re.compile(
    r"btzn_[A-Za-z0-9_\-.]+"  # a client's key
    r"|YnR6bl[A-Za-z0-9+/=_\-]+"  # the same as a Secret holds it: base64 of what begins with btzn_
    r"|eyJ[A-Za-z0-9_\-]{10,}\.[A-Za-z0-9_\-]+\.[A-Za-z0-9_\-]*"  # a service account's token
)

_KEPT_BACK: Final = ("kopf.objects", "kopf.activities", "kopf._cogs.clients", "kopf._core")
"""Kopf tells of every retry of every watch; our own lines say once what is wrong, and when it is over."""


class Log:
    """A logger whose lines take fields, those that are None left out: `log.info("reconcile failed", endpoint=key)`."""

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)

    def debug(self, message: str, **fields: object) -> None:
        self._logger.debug(message, extra={"fields": fields})

    def info(self, message: str, **fields: object) -> None:
        self._logger.info(message, extra={"fields": fields})

    def warning(self, message: str, **fields: object) -> None:
        self._logger.warning(message, extra={"fields": fields})

    def error(self, message: str, *, exception: BaseException | None = None, **fields: object) -> None:
        """`exception` adds its traceback."""
        self._logger.error(message, extra={"fields": fields}, exc_info=exception)


def logger(name: str) -> Log:
    """A module's logger; `name` is its `__name__`."""
    return Log(name)


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        line = {"time": _time(record), "level": record.levelname.lower(), "logger": record.name}
        line["message"] = record.getMessage()
        # A field may not pass itself off as one of ours.
        line |= {key: value for key, value in _fields(record).items() if key not in line}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return redact(json.dumps(line, ensure_ascii=False, default=str))


class TextFormatter(logging.Formatter):
    """For people at a terminal; a value never breaks the line."""

    def format(self, record: logging.LogRecord) -> str:
        fields = "".join(f" {key}={_show(value)}" for key, value in _fields(record).items())
        head = f"{_time(record)} {record.levelname:<7} {record.name}: {record.getMessage()}{fields}"
        traceback = "\n" + self.formatException(record.exc_info) if record.exc_info else ""
        return redact(head + traceback)


def redact(text: str) -> str:
    """The text without anything that looks like a client's key, also where it stands encoded, or like a token."""
    return _KEY_LIKE.sub(REDACTED, text)


def configure(*, form: str, level: str, stream: IO[str] | None = None) -> None:
    """Sends every logger of the process, Kopf's too, through one redacting handler."""
    handler = logging.StreamHandler(stream or sys.stdout)
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    root = logging.getLogger()
    for former in list(root.handlers):
        root.removeHandler(former)
    root.addHandler(handler)
    root.setLevel(level.upper())
    if level != "debug":
        for name in _KEPT_BACK:
            logging.getLogger(name).setLevel(logging.CRITICAL)


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    fields = getattr(record, "fields", None)
    return {key: value for key, value in fields.items() if value is not None} if isinstance(fields, dict) else {}


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _show(value: object) -> str:
    text = str(value)
    return text if re.fullmatch(r"[!-~]+", text) and '"' not in text else json.dumps(text, ensure_ascii=False)
