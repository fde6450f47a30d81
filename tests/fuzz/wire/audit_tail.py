"""Follows a running guard's audit: the chain unbroken, and which bodies its decisions have let through."""

import hashlib
import json
from collections import Counter
from pathlib import Path


class AuditTail:
    """`allowed` counts bodies by hash, `decisions` all decisions; `requests` are their ids, `open` those not ended."""

    def __init__(self, file: Path) -> None:
        self.allowed: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()
        self.decisions = 0
        self.open: set[str] = set()
        self.requests: set[str] = set()
        self._file = file
        self._at = 0
        self._previous = "0" * 64

    def follow(self) -> None:
        """Read what has come; raises AssertionError where a line does not follow from the one before."""
        with self._file.open("rb") as file:
            file.seek(self._at)
            text = file.read()
        whole = text[: text.rfind(b"\n") + 1]
        self._at += len(whole)
        for line in whole.splitlines():
            self._read(line)

    def _read(self, line: bytes) -> None:
        entry = json.loads(line)
        if entry["audit"] == "start":
            self._previous = "0" * 64
        assert entry["previous"] == self._previous, "a broken chain"
        self._previous = hashlib.sha256(line).hexdigest()
        if entry["audit"] == "outcome":
            self.open.discard(entry["request"])
        if entry["audit"] != "decision":
            return
        self.decisions += 1
        self.requests.add(entry["request"])
        self.reasons[entry["reason"]] += 1
        if entry["reason"] == "Allowed":
            self.open.add(entry["request"])
            self.allowed[entry["bodySha256"]] += 1
