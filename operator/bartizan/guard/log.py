"""The guard's own log: one JSON line on standard error, a constant lower-case message plus fields; never content."""

import json
import sys
import traceback


def info(message: str, **fields: object) -> None:
    _write("info", message, fields)


def warning(message: str, **fields: object) -> None:
    _write("warning", message, fields)


def fault(message: str, error: BaseException, **fields: object) -> None:
    """An unexpected error: its type and where it arose, without its message, which might quote a request."""
    frames = traceback.extract_tb(error.__traceback__)
    where = [f"{frame.name}:{frame.lineno}" for frame in frames][-8:]
    _write("error", message, {**fields, "error": type(error).__name__, "where": where})


def _write(level: str, message: str, fields: dict[str, object]) -> None:
    sys.stderr.write(json.dumps({"level": level, "message": message, **fields}, default=str) + "\n")
    sys.stderr.flush()
