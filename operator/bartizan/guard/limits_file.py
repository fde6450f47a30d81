"""The form of the file in which long windows are kept: a header and records of 64 bytes, each with a checksum.

A record lies within one page and is written by one call, so a process that is killed leaves the old one or the new one.
"""

import hashlib
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

RECORD_BYTES = 64
MOST_RECORDS = 4096
"""A quarter of the volume's 1 MiB, of which a rewrite takes twice as much for a moment."""
MOST_BYTES = (MOST_RECORDS + 1) * RECORD_BYTES
NEVER_NS = -(1 << 62)
REQUESTS = "Requests"
"""What a window counts that counts no tokens."""

Name = tuple[str, str, int]
"""Whose window it is (the client's name, empty for the endpoint), what it counts, its seconds."""

_MAGIC = b"bartizan-limits1"
_HEADER = struct.Struct("<16s16s16sqI")
_RECORD = struct.Struct("<16sqqq20x")
_CHECKSUM = struct.Struct("<I")
_FORGOTTEN, _PROVISIONAL = 1, 2
_BODY_BYTES = RECORD_BYTES - _CHECKSUM.size


class LimitsFileError(ValueError):
    """The bytes are not what a guard of this endpoint has written."""


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose file it is: the endpoint's UID, and the boot whose clock its times are of."""

    endpoint_uid: str
    boot_id: str


@dataclass(frozen=True, slots=True)
class Header:
    """Windows without a record count as used up at `floor_ns`; `is_forgotten` where that is because of damage.

    `is_provisional` until it is told what the pods before this one have used: by then `floor_ns` is a guess.
    """

    floor_ns: int = NEVER_NS
    is_forgotten: bool = False
    is_provisional: bool = False


@dataclass(frozen=True, slots=True)
class Kept:
    """`until_ns`: when all that was charged will have leaked out; `held`: tokens of requests under way.

    `at_ns` is when it was written.
    """

    until_ns: int
    held: int = 0
    at_ns: int = 0


@lru_cache(maxsize=MOST_RECORDS)
def digest(name: Name) -> bytes:
    whose, what, seconds = name
    return hashlib.sha256(repr((whose, str(what), seconds)).encode()).digest()[:16]


def pack_header(owner: Owner, header: Header) -> bytes:
    marks = (_mark(owner.endpoint_uid), _mark(owner.boot_id))
    marked = header.is_forgotten * _FORGOTTEN | header.is_provisional * _PROVISIONAL
    return _checked(_HEADER.pack(_MAGIC, *marks, header.floor_ns, marked))


def pack_record(of: bytes, until_ns: int, held: int, at_ns: int) -> bytes:
    return _checked(_RECORD.pack(of, until_ns, held, at_ns))


def read_header(data: bytes, owner: Owner) -> tuple[Header, bool]:
    """With whether its times are of the owner's boot; raises LimitsFileError."""
    if not RECORD_BYTES <= len(data) <= MOST_BYTES or not _is_whole(data[:RECORD_BYTES]):
        raise LimitsFileError("no header")
    magic, uid, boot, floor_ns, marked = _HEADER.unpack(data[:_BODY_BYTES])
    if (magic, uid) != (_MAGIC, _mark(owner.endpoint_uid)):
        raise LimitsFileError("a file of another endpoint or version")
    header = Header(floor_ns, bool(marked & _FORGOTTEN), bool(marked & _PROVISIONAL))
    return header, boot == _mark(owner.boot_id)


def read_records(data: bytes) -> Iterator[tuple[bytes, Kept]]:
    """Every whole record with its digest; raises LimitsFileError at the end where others were not."""
    damaged = 0
    for place in range(RECORD_BYTES, len(data), RECORD_BYTES):
        record = data[place : place + RECORD_BYTES]
        if _is_whole(record):
            of, until_ns, held, at_ns = _RECORD.unpack(record[:_BODY_BYTES])
            yield of, Kept(until_ns, held, at_ns)
        else:
            damaged += 1
    if damaged:
        raise LimitsFileError(f"{damaged} records are damaged")


def _mark(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()[:16]


def _checked(body: bytes) -> bytes:
    return body + _CHECKSUM.pack(zlib.crc32(body))


def _is_whole(record: bytes) -> bool:
    return len(record) == RECORD_BYTES and _checked(record[:_BODY_BYTES]) == record
