"""Every metric of the guard, declared once; labels come from fixed sets only, so their number is bounded."""

from typing import NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)


class _Route(NamedTuple):
    seconds: Histogram
    first_byte_seconds: Histogram
    input_tokens: Counter
    output_tokens: Counter


class Metrics:
    """`registry` is the guard's own: no process or platform collector adds to it."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # they double the series and say what the process start says
        self.registry = CollectorRegistry()
        self._declare_requests()
        self._declare_state()
        self._declare_tls()
        self._keep_children()

    def _declare_requests(self) -> None:
        self.requests = Counter(
            "bartizan_guard_requests",
            "Requests by route and by the reason of their end.",
            ("route", "reason"),
            registry=self.registry,
        )
        self.request_seconds = Histogram(
            "bartizan_guard_request_seconds",
            "Time from a forwarded request's head to the end of its answer.",
            ("route",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.first_byte_seconds = Histogram(
            "bartizan_guard_first_byte_seconds",
            "Time from a forwarded request's head to the first byte of its answer.",
            ("route",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.answer_bytes = Counter(
            "bartizan_guard_answer_bytes", "Bytes of the model's answers that were passed on.", registry=self.registry
        )
        self.tokens = Counter(
            "bartizan_guard_tokens",
            "Tokens that clients were charged, by route and type: as the model's server counted, at least our floor.",
            ("route", "type"),
            registry=self.registry,
        )
        self.tokens_beyond = Counter(
            "bartizan_guard_tokens_beyond_held",
            "Tokens that answers have cost beyond what was held for them: a server that ignores max_tokens.",
            registry=self.registry,
        )
        self.audit_lost = Counter(
            "bartizan_guard_audit_lines_lost", "Audit lines that could not be written.", registry=self.registry
        )

    def _keep_children(self) -> None:
        """Series of each request by their labels: looking one up in the client costs twice what counting does."""
        self._ended: dict[tuple[str, str], Counter] = {}
        self._routes: dict[str, _Route] = {}

    def request_ended(self, route: str, reason: str) -> None:
        series = self._ended.get((route, reason))
        if series is None:
            series = self._ended[route, reason] = self.requests.labels(route, reason)
        series.inc()

    def of_route(self, route: str) -> "_Route":
        """The series of a route's forwarded requests."""
        series = self._routes.get(route)
        if series is None:
            series = self._routes[route] = _Route(
                self.request_seconds.labels(route),
                self.first_byte_seconds.labels(route),
                self.tokens.labels(route, "input"),
                self.tokens.labels(route, "output"),
            )
        return series

    def _declare_state(self) -> None:
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
        self.document_version = Gauge(
            "bartizan_guard_document_version",
            "Version of the document in force (Unix milliseconds); 0 without one.",
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
