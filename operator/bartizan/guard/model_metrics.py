"""What models are asked and how they answer, by OpenTelemetry's conventions for generative AI.

Names, labels, units and buckets are those of https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-metrics/ in
Prometheus' spelling, so that dashboards made for other servers and clients fit.
"""

from http import HTTPStatus
from typing import NamedTuple

from prometheus_client import CollectorRegistry

from bartizan.guard.series import Spread, Spreads

_DURATION = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
_FIRST_TOKEN = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
_EACH_TOKEN = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5)
_TOKENS = tuple(4**power for power in range(14))
_LABELS = ("gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model")
_STATUSES = frozenset(int(status) for status in HTTPStatus)
_LEAST_ERROR = 400
_OTHER = "_OTHER"


class Operation(NamedTuple):
    """`provider` is the protocol's: what flavour of operations these are, whoever made the model."""

    name: str
    provider: str
    model: str


class _Series(NamedTuple):
    first_token: Spread
    each_token: Spread
    input: Spread
    output: Spread


class ModelMetrics:
    """The number of series is bounded: a guard has one model at a time; each other label comes from a fixed set."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.duration = Spreads(
            "gen_ai_server_request_duration_seconds",
            "Time from a forwarded request's head to the end of its answer; error_type is the reason of an end that is "
            "not a good one, or the status of the model's error.",
            (*_LABELS, "error_type"),
            buckets=_DURATION,
            registry=registry,
        )
        self.first_token = Spreads(
            "gen_ai_server_time_to_first_token_seconds",
            "Time from a forwarded request's head to the first text of its stream, where that ended well.",
            _LABELS,
            buckets=_FIRST_TOKEN,
            registry=registry,
        )
        self.each_token = Spreads(
            "gen_ai_server_time_per_output_token_seconds",
            "Time for each token of a stream after its first one, where that ended well.",
            _LABELS,
            buckets=_EACH_TOKEN,
            registry=registry,
        )
        self.tokens = Spreads(
            "gen_ai_client_token_usage",
            "Tokens that a request was charged, by type: as the model's server counted, at least our floor.",
            (*_LABELS, "gen_ai_token_type"),
            buckets=_TOKENS,
            registry=registry,
        )
        self._durations: dict[tuple[Operation, str], Spread] = {}
        self._series: dict[Operation, _Series] = {}

    def ended(self, operation: Operation, error: str, seconds: float) -> None:
        """`error` is empty where the answer came to its good end."""
        found = self._durations.get((operation, error))
        if found is None:
            found = self._durations[operation, error] = self.duration.of(*operation, error)
        found.observe(seconds)

    def charged(self, operation: Operation, input_tokens: int, output_tokens: int) -> None:
        series = self._of(operation)
        series.input.observe(input_tokens)
        series.output.observe(output_tokens)

    def streamed(self, operation: Operation, to_first: float, after_first: float, output_tokens: int) -> None:
        """Of a stream that ended well: seconds to its first text, and from there to its end."""
        series = self._of(operation)
        series.first_token.observe(to_first)
        if output_tokens > 1:
            series.each_token.observe(after_first / (output_tokens - 1))

    def _of(self, operation: Operation) -> _Series:
        series = self._series.get(operation)
        if series is None:
            series = self._series[operation] = _Series(
                self.first_token.of(*operation),
                self.each_token.of(*operation),
                self.tokens.of(*operation, "input"),
                self.tokens.of(*operation, "output"),
            )
        return series


def error_type(status: int) -> str:
    """Of an answer that is the model's own error."""
    if status < _LEAST_ERROR:
        return ""
    return str(status) if status in _STATUSES else _OTHER
