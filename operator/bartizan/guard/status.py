"""What the guard says of itself: alive, ready and why not, and which document it enforces."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from bartizan.guard.document_watch import DocumentWatch
from bartizan.guard.metrics import Metrics
from bartizan.guard.page_server import Page, Pages
from bartizan.guard.shared import SharedLimits
from bartizan.guard.tls import TlsWatch
from bartizan.guard.tokenizer import Tokenizer
from bartizan.guard.upstream import Upstream
from bartizan.guard.usage import UsageOfWindows
from bartizan.policy import certificates
from bartizan.policy.reasons import Reason
from bartizan.policy.usage import UsageError
from bartizan.policy.version import VERSION


@dataclass(frozen=True, slots=True)
class Status:
    documents: DocumentWatch
    upstream: Upstream
    shared: SharedLimits
    usage: UsageOfWindows
    endpoint: str
    tls: TlsWatch | None
    tokenizer: Tokenizer | None
    is_draining: Callable[[], bool]
    is_drained: Callable[[], bool]
    now: Callable[[], float]
    """Unix seconds."""

    def pages(self) -> Pages:
        return Pages(
            shown={
                b"/livez": self._alive,
                b"/readyz": self._readiness,
                b"/status": self._state,
                b"/draining": _claim(self.is_draining),
                b"/drained": _claim(self.is_drained),
            },
            taken={b"/usage": self._take_usage},
        )

    async def reason(self) -> Reason:
        """GuardReady, or the first thing that is missing."""
        if self.is_draining():
            return Reason.DRAINING
        if self.documents.current is None:
            return self.documents.reason
        if self.tls is not None and self.tls.current is None:
            return self.tls.reason
        return await self.upstream.probe()

    @property
    def limits_reason(self) -> Reason:
        """LimitsKept, or why the limits may give more or less than they say."""
        if self.shared.is_configured:
            return Reason.STORE_UNAVAILABLE if self.shared.is_away else Reason.LIMITS_KEPT
        return self.shared.own.memory.reason

    async def _alive(self) -> Page:
        return Page(200, "text/plain", b"ok\n")

    async def _readiness(self) -> Page:
        reason = await self.reason()
        return Page(200 if reason is Reason.GUARD_READY else 503, "text/plain", f"{reason}\n".encode())

    async def _state(self) -> Page:
        reason = await self.reason()
        current = self.documents.current
        state = {
            "ready": reason is Reason.GUARD_READY,
            "reason": reason,
            "documentHash": current.hash if current else None,
            "documentVersion": current.document.version if current else None,
            "documentReason": self.documents.reason,
            "limitsReason": self.limits_reason,
            "usage": self.usage.said(current) if current else None,
            "usageAwaited": self.usage.is_awaited,
            "usageNonce": self.usage.nonce,
            "tls": _described(self.tls, self.now()),
            "tokenizerReason": self.tokenizer.reason if self.tokenizer else None,
            "endpoint": self.endpoint,
            "version": VERSION,
        }
        return Page(200, "application/json", json.dumps(state, separators=(",", ":")).encode() + b"\n")

    async def _take_usage(self, text: bytes) -> Page:
        current = self.documents.current
        if current is None:
            return Page(503, "text/plain", f"{self.documents.reason}\n".encode())
        try:
            self.usage.take(text, current)
        except UsageError as error:
            return Page(409, "text/plain", f"{error}\n".encode())
        return Page(200, "text/plain", b"taken\n")


def _described(tls: TlsWatch | None, now: float) -> dict[str, object] | None:
    """What clients see of the certificate, and what is wrong with the pair on disk; None for plain HTTP."""
    if tls is None:
        return None
    pair = tls.current
    return {
        "reason": tls.reason,
        "sha256": pair.sha256 if pair else None,
        "notBefore": pair.not_before if pair else None,
        "notAfter": pair.not_after if pair else None,
        "validity": certificates.judge(pair.not_before, pair.not_after, now=now) if pair else None,
    }


def _claim(holds: Callable[[], bool]) -> Callable[[], Awaitable[Page]]:
    """A page for hooks, which read the status and no body."""

    async def build() -> Page:
        return Page(200, "text/plain", b"yes\n") if holds() else Page(503, "text/plain", b"not yet\n")

    return build


def metrics_pages(metrics: Metrics, refresh: Callable[[], None]) -> Pages:
    async def build() -> Page:
        refresh()
        return Page(200, CONTENT_TYPE_LATEST, generate_latest(metrics.registry))

    return Pages({b"/metrics": build})
