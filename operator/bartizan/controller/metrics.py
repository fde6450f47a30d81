"""Every metric of the operator, declared once with its help text."""

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)

disable_created_metrics()  # type: ignore[no-untyped-call]
REGISTRY = CollectorRegistry(auto_describe=True)
"""Our own registry: the default one would add what other libraries register."""

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

RECONCILES = Counter(
    "bartizan_operator_reconciles_total",
    "Reconciles of one ModelDeployment, by result: success, requeue, error or timeout.",
    ["result"],
    registry=REGISTRY,
)
RECONCILE_SECONDS = Histogram(
    "bartizan_operator_reconcile_seconds",
    "Time that one reconcile took.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1, 2, 5, 10, 30, 60),
    registry=REGISTRY,
)
ACTIVE_WORKERS = Gauge("bartizan_operator_active_workers", "Workers that are reconciling now.", registry=REGISTRY)
QUEUE_DEPTH = Gauge(
    "bartizan_operator_queue_depth",
    "Keys that wait for a worker, by priority: event, or resync (start-up, periodic resync and polls).",
    ["priority"],
    registry=REGISTRY,
)
QUEUE_DELAYED = Gauge(
    "bartizan_operator_queue_delayed", "Keys that wait for their time: requeues, retries, debounces.", registry=REGISTRY
)
QUEUE_OLDEST_SECONDS = Gauge(
    "bartizan_operator_queue_oldest_seconds",
    "How long the oldest key has been waiting for a worker.",
    registry=REGISTRY,
)
QUEUE_ADDS = Counter("bartizan_operator_queue_adds_total", "Keys put into the queue.", registry=REGISTRY)
QUEUE_RETRIES = Counter(
    "bartizan_operator_queue_retries_total", "Keys put back with a backoff after an error.", registry=REGISTRY
)
WRITES = Counter(
    "bartizan_operator_api_writes_total",
    "Write requests sent to the API server, by verb and kind of object.",
    ["verb", "kind"],
    registry=REGISTRY,
)
ISSUER_KEYS = Gauge(
    "bartizan_operator_issuer_keys",
    "Keys of each of the chart's issuers that are believed now; 0 lets none of its clients in.",
    ["issuer"],
    registry=REGISTRY,
)
ISSUER_FAILURES = Gauge(
    "bartizan_operator_issuer_failures",
    "Failures in a row to fetch the keys of each of the chart's issuers; its last keys count for six hours.",
    ["issuer"],
    registry=REGISTRY,
)
API_ERRORS = Counter(
    "bartizan_operator_api_errors_total",
    "Requests that the API server refused (HTTP status) or did not answer (status 0), after retries.",
    ["verb", "kind", "status"],
    registry=REGISTRY,
)
DRIFT_REPAIRED = Counter(
    "bartizan_operator_drift_repaired_total",
    "Owned objects that were found changed or gone and were put back, by kind and by the field manager as it calls "
    "itself: a claim, not an identity. A deletion leaves no name: manager is then empty. After a hundred names the "
    "rest are counted as other.",
    ["kind", "manager"],
    registry=REGISTRY,
)
MOST_MANAGERS = 100
"""Anyone may claim any name, and each would cost memory for ever: those beyond count as `other`."""
_managers: set[str] = set()


def manager_label(claimed: str) -> str:
    """The label under which repairs of what `claimed` wrote are counted."""
    if claimed not in _managers and len(_managers) >= MOST_MANAGERS:
        return "other"
    _managers.add(claimed)
    return claimed


PODS = Gauge(
    "bartizan_operator_pods",
    "Pods of gated endpoints, by gate state: gated (guard runs and enforces the newest document), outdated (an older "
    "document), ungated (no running guard), unknown (its node or guard cannot be asked).",
    ["namespace", "endpoint", "state"],
    registry=REGISTRY,
)
ENDPOINTS = Gauge(
    "bartizan_operator_endpoints",
    "ModelDeployments in the operator's scope, as of the last resync.",
    registry=REGISTRY,
)
RESYNCS = Counter(
    "bartizan_operator_resyncs_total", "Resyncs, by result: success or error.", ["result"], registry=REGISTRY
)
RESYNC_SECONDS = Gauge("bartizan_operator_resync_seconds", "Time that the last resync took.", registry=REGISTRY)
RESYNC_AGE_SECONDS = Gauge(
    "bartizan_operator_resync_age_seconds", "Time since the last resync that succeeded.", registry=REGISTRY
)
LOOP_LAG_SECONDS = Gauge(
    "bartizan_operator_loop_lag_seconds", "How late the event loop woke up at the last look.", registry=REGISTRY
)
WATCH_EVENTS = Counter(
    "bartizan_operator_watch_events_total",
    "Watch events, by kind and by what was done with them: enqueued or ignored.",
    ["kind", "outcome"],
    registry=REGISTRY,
)
DEAF_WATCHES = Counter(
    "bartizan_operator_deaf_watches_total",
    "Watches that were begun anew because lists showed for a minute what they had not told of.",
    registry=REGISTRY,
)
LACKS = Gauge(
    "bartizan_operator_lacks",
    "What the operator lacks now and complains of in its log: rights in a namespace, the CRD, the API server.",
    registry=REGISTRY,
)
READY = Gauge(
    "bartizan_operator_ready",
    "1 while the operator watches all that it has rights to, and has looked at each endpoint there.",
    registry=REGISTRY,
)


def render() -> bytes:
    """The metrics in Prometheus' text format."""
    return generate_latest(REGISTRY)
