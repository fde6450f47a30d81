"""Every metric of the guard, declared once; labels come from fixed sets only, so their number is bounded."""

from prometheus_client import CollectorRegistry, Counter, Gauge, disable_created_metrics

from bartizan.guard.model_metrics import ModelMetrics
from bartizan.guard.series import Count, Counts, Spreads

TURN_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
"""The buckets of turns: from what is usual to what is far beyond the bound."""


class Metrics:
    """`registry` is the guard's own: no process or platform collector adds to it."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # they double the series and say what the process start says
        self.registry = CollectorRegistry()
        self._declare_requests()
        self.models = ModelMetrics(self.registry)
        self._declare_state()
        self._declare_document()
        self._declare_tls()
        self._ended: dict[tuple[str, str], Count] = {}
        """Series by their labels."""
        self.all_answer_bytes = self.answer_bytes.of()

    def _declare_requests(self) -> None:
        self.requests = Counts(
            "bartizan_guard_requests",
            "Requests by route and by the reason of their end.",
            ("route", "reason"),
            registry=self.registry,
        )
        self.answer_bytes = Counts(
            "bartizan_guard_answer_bytes", "Bytes of the model's answers that were passed on.", registry=self.registry
        )
        self.tokens_beyond = Counter(
            "bartizan_guard_tokens_beyond_held",
            "Tokens that answers have cost beyond what was held for them: a server that ignores max_tokens.",
            registry=self.registry,
        )
        self.audit_lost = Counter(
            "bartizan_guard_audit_lines_lost", "Audit lines that could not be written.", registry=self.registry
        )

    def request_ended(self, route: str, reason: str) -> None:
        series = self._ended.get((route, reason))
        if series is None:
            series = self._ended[route, reason] = self.requests.of(route, reason)
        series.value += 1

    def _declare_state(self) -> None:
        self.turns = Spreads(
            "bartizan_guard_turn_seconds",
            "Turns of the event loop in which requests were looked at: the last of them had to wait that long.",
            (),
            buckets=TURN_SECONDS,
            registry=self.registry,
        )
        self.connections = Gauge("bartizan_guard_connections", "Clients' open connections.", registry=self.registry)
        self.in_flight = Gauge(
            "bartizan_guard_requests_in_flight", "Requests that hold a slot now.", registry=self.registry
        )
        self.limits_kept = Gauge(
            "bartizan_guard_limits_kept",
            "1 while what long windows are charged outlives the guard, 0 while it does not, or was damaged.",
            registry=self.registry,
        )
        self.store_up = Gauge(
            "bartizan_guard_store_up",
            "1 while the store answers in which the guards count together, 0 while it does not, or there is none.",
            registry=self.registry,
        )
        self.waiting = Gauge(
            "bartizan_guard_requests_waiting", "Requests that wait in line for a slot now.", registry=self.registry
        )
        self.upstream_up = Gauge(
            "bartizan_guard_upstream_up",
            "1 while the model accepted the last connection that readiness tried, 0 if it did not, or none was tried.",
            registry=self.registry,
        )
        self.tokenizer_good = Gauge(
            "bartizan_guard_tokenizer_good",
            "1 while long input can be counted with the model's tokenizer, 0 while it cannot, or there is none.",
            registry=self.registry,
        )

    def _declare_document(self) -> None:
        self.document_version = Gauge(
            "bartizan_guard_document_version",
            "Version of the document in force (Unix milliseconds); 0 without one.",
            registry=self.registry,
        )
        self.document_age = Gauge(
            "bartizan_guard_document_age_seconds",
            "Seconds since the document in force was issued; NaN without one.",
            registry=self.registry,
        )
        self.document_good = Gauge(
            "bartizan_guard_document_good",
            "1 while the document's file is what is in force, 0 while it is absent or refused.",
            registry=self.registry,
        )

    def _declare_tls(self) -> None:
        self.tls_expires = Gauge(
            "bartizan_guard_tls_expires_seconds",
            "Seconds until the certificate in use expires, less than none afterwards; absent without TLS.",
            ("port",),
            registry=self.registry,
        )
        self.tls_good = Gauge(
            "bartizan_guard_tls_good",
            "1 while the pair on disk is what is in use, 0 while it is absent or refused; absent without TLS.",
            ("port",),
            registry=self.registry,
        )
        self.tls_failed = Counter(
            "bartizan_guard_tls_failed",
            "Connections that ended for want of TLS, by reason: PlainText, NoCertificate, Handshake, Records.",
            ("reason",),
            registry=self.registry,
        )
