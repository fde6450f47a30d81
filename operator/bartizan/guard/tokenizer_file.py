"""Reads the model's tokenizer from its file: whole, bounded, from within its mount, and made to count all of a text."""

import errno
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

MOST_BYTES = 64 << 20
"""The largest that are published, of 262,000 tokens, have some 33 MB."""

Fingerprint: TypeAlias = tuple[int, int, int, int]


class TokenizerError(Exception):
    """A tokenizer that cannot be used, or that cannot count this text; the message holds nothing of either."""


@dataclass(frozen=True, slots=True)
class Place:
    """A file by its path within a directory, out of which no link may lead."""

    directory: Path
    path: str


class Reader:
    """Counts tokens; one text after the other, in whatever thread calls it."""

    def __init__(self, text: bytes) -> None:
        """Raises TokenizerError. Keeps the interpreter busy for a second for each 100,000 tokens or so."""
        os.environ["TOKENIZERS_PARALLELISM"] = "false"  # or it would start a thread for each core of the node
        from tokenizers import Tokenizer  # noqa: PLC0415 -- 7 MiB, for those alone who have one

        try:
            self._tokenizer = Tokenizer.from_buffer(text)
            # What a file declares of these would make a long text look short, or a short one long.
            self._tokenizer.no_truncation()
            self._tokenizer.no_padding()
        except BaseException as error:
            _raise_unless_told_to_end(error)
            raise TokenizerError(f"the file is no tokenizer: {type(error).__name__}") from error
        self.count(["a b"])  # some files are read, and fail at whatever is counted

    def count(self, texts: Sequence[str]) -> int:
        """Raises TokenizerError."""
        try:
            found = self._tokenizer.encode_batch_fast(texts, add_special_tokens=False)
            return sum(map(len, found))
        except BaseException as error:
            _raise_unless_told_to_end(error)
            raise TokenizerError(f"a text cannot be counted: {type(error).__name__}") from error


def _raise_unless_told_to_end(error: BaseException) -> None:
    """A panic in Rust arrives as a BaseException, which no `except Exception` would hold."""
    if isinstance(error, KeyboardInterrupt | SystemExit | GeneratorExit):
        raise error


def read(place: Place) -> tuple[bytes, Fingerprint]:
    """The file's bytes and what it is known by; raises OSError, and TokenizerError where it may not be used."""
    descriptor = os.open(place.directory / place.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        found = os.fstat(descriptor)
        if not _is_within(descriptor, place.directory):
            raise TokenizerError("the path leads out of the volume")
        if not stat.S_ISREG(found.st_mode):
            raise TokenizerError("the path is no file's")
        with os.fdopen(descriptor, "rb", closefd=False) as opened:
            if found.st_size > MOST_BYTES or len(text := opened.read(MOST_BYTES + 1)) > MOST_BYTES:
                raise TokenizerError(f"the file has more than {MOST_BYTES >> 20} MiB")
        return text, _fingerprint(found)
    finally:
        os.close(descriptor)


def look(place: Place) -> Fingerprint | None:
    """What the file is known by now; None where there is none."""
    try:
        return _fingerprint(os.stat(place.directory / place.path))  # noqa: PTH116 -- as for the document
    except OSError:
        return None


def explain(error: OSError) -> str:
    return f"the file cannot be read: {errno.errorcode.get(error.errno or 0, 'unknown')}"


def _is_within(descriptor: int, directory: Path) -> bool:
    """Where the opened file lies, and not where its path led when somebody looked: links may change in between."""
    real = os.path.realpath(f"/proc/self/fd/{descriptor}")
    return Path(real).is_relative_to(directory.resolve())


def _fingerprint(found: os.stat_result) -> Fingerprint:
    return (found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size)
