"""Takes up the GuardDocument from its file and every newer one; a bad one changes nothing but what is said of it."""

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from bartizan.guard import enforcement, log
from bartizan.guard.enforcement import Enforcement
from bartizan.policy import document as documents
from bartizan.policy.document import DocumentError, EndpointRef
from bartizan.policy.reasons import Reason

POLL_SECONDS = 0.1
"""A kubelet swaps a symbolic link, which a stat through it sees; ten of them a second cost nothing."""

Fingerprint = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Trust:
    """Which documents are believed: signed with this key, for this endpoint, no older than this version."""

    key: Ed25519PublicKey
    endpoint: EndpointRef
    not_before: int


class DocumentWatch:
    """`current` is in force; `reason` is GuardReady, or why the file as it stands is not what is in force."""

    def __init__(self, file: Path, trust: Trust, *, taken_up: Callable[[Enforcement], None]) -> None:
        self.current: Enforcement | None = None
        self.reason = Reason.DOCUMENT_ABSENT
        self._file = file
        self._trust = trust
        self._taken_up = taken_up
        self._seen: Fingerprint | None = None

    @property
    def is_good(self) -> bool:
        return self.reason is Reason.GUARD_READY

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            self.look()
            await asyncio.sleep(POLL_SECONDS)

    def look(self) -> None:
        """Read the file if it is another than the one last seen."""
        try:
            fingerprint = _fingerprint(self._file)
            if fingerprint == self._seen:
                return
            text = self._read_bounded()
        except OSError as error:
            self._refuse(DocumentError(Reason.DOCUMENT_ABSENT, f"the document cannot be opened: {error.strerror}"))
            self._seen = None
            return
        self._seen = fingerprint
        self._read(text)

    def _read_bounded(self) -> bytes:
        with self._file.open("rb") as file:
            return file.read(documents.MAX_BYTES + 1)  # one byte too many is refused as too large

    def _read(self, text: bytes) -> None:
        try:
            candidate = documents.decode(text, self._trust.key, self._trust.endpoint)
            ready = enforcement.prepare(candidate, text)
            self._judge_age(ready)
        except DocumentError as error:
            self._refuse(error)
            return
        self.reason = Reason.GUARD_READY
        if self.current is None or self.current.hash != ready.hash:
            self.current = ready
            self._taken_up(ready)
            log.info("document taken up", version=ready.document.version, hash=ready.hash)

    def _judge_age(self, ready: Enforcement) -> None:
        version = ready.document.version
        if version < self._trust.not_before:
            raise DocumentError(Reason.DOCUMENT_OUTDATED, f"version {version} is below {self._trust.not_before}")
        if self.current is None or self.current.hash == ready.hash:
            return
        if version <= self.current.document.version:
            raise DocumentError(
                Reason.DOCUMENT_OUTDATED, f"version {version} is not above {self.current.document.version}"
            )

    def _refuse(self, error: DocumentError) -> None:
        if error.reason != self.reason or self._seen is not None:
            log.warning("document refused", reason=error.reason, why=str(error))
        self.reason = error.reason


def _fingerprint(file: Path) -> Fingerprint:
    found = os.stat(file)  # noqa: PTH116 -- at this rate the plain call is the cheaper one
    return (found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size)
