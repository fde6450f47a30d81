"""What the guard has promised, as data, and whether a run's figures keep it."""

from dataclasses import dataclass

from bench.guard.results import Ref, Results, Spread


@dataclass(frozen=True)
class Target:
    """`figure` is at most `most`, or at most `most` times `over`'s."""

    id: str
    text: str
    most: float
    figure: Ref
    over: Ref | None = None

    def measured(self, results: Results) -> Spread | None:
        return results.spread(self.figure) if self.over is None else results.ratio(self.figure, self.over)

    def verdict(self, results: Results) -> str:
        """By the median; a spread that crosses the target says so."""
        found = self.measured(results)
        if found is None:
            return "not measured"
        if found.median <= self.most:
            return "met" if found.most <= self.most else "met, not in every round"
        return "missed" if found.least > self.most else "missed, not in every round"


def _cpu(measure: str, peer: str = "guard") -> Ref:
    return Ref(measure, peer, "cpu_us")


def _added(figure: str, peer: str = "guard") -> Ref:
    return Ref("P5", peer, f"added_{figure}_us")


ALL = (
    Target("P1", "1 KB request ≤ 0.8 × Envoy plain", 0.8, _cpu("P1"), _cpu("P1", "envoy")),
    Target("P1", "1 KB request ≤ 0.7 × Envoy with its own keys and limits", 0.7, _cpu("P1"), _cpu("P1", "envoy-keyed")),
    Target("P1", "1 KB request ≤ 1/25 × Portkey", 1 / 25, _cpu("P1"), _cpu("P1", "portkey")),
    Target("P1", "1 KB request ≤ 1/200 × LiteLLM", 1 / 200, _cpu("P1"), _cpu("P1", "litellm")),
    Target("P2", "32 KB prompt ≤ 1.5 × Envoy plain", 1.5, _cpu("P2"), _cpu("P2", "envoy")),
    Target("P3", "bad key ≤ 0.35 × Envoy plain's forwarded request", 0.35, _cpu("P3a"), _cpu("P3a", "envoy")),
    Target("P3", "bad key ≤ Envoy's own refusal", 1.0, _cpu("P3a"), _cpu("P3a", "envoy-keyed")),
    Target("P3", "over the limit ≤ 0.35 × Envoy plain's forwarded request", 0.35, _cpu("P3b"), _cpu("P3b", "envoy")),
    Target("P3", "over the limit ≤ Envoy's own refusal", 1.0, _cpu("P3b"), _cpu("P3b", "envoy-keyed")),
    Target("P4", "a stream's chunk ≤ 1.2 × Envoy plain", 1.2, _cpu("P4"), _cpu("P4", "envoy")),
    Target("P5", "added p50 at 1,000 requests/s ≤ 2 × Envoy plain's", 2.0, _added("p50"), _added("p50", "envoy")),
    Target("P5", "added p99 at 1,000 requests/s ≤ 3 × Envoy plain's", 3.0, _added("p99"), _added("p99", "envoy")),
    Target(
        "P5", "1 KB request at 1,000 requests/s ≤ 0.8 × Envoy plain", 0.8,
        Ref("P5", "guard", "cpu_us"), Ref("P5", "envoy", "cpu_us"),
    ),
    Target("P6", "memory idle ≤ 45 MiB", 45.0, Ref("P6", "guard-whole", "idle_mib")),
    Target("P6", "memory with 200 streams ≤ 64 MiB", 64.0, Ref("P6", "guard-whole", "streams_mib")),
    Target(
        "P12", "honest p99 beside an abuser ≤ 1.3 × without", 1.3,
        Ref("P12", "guard", "abused_p99_us"), Ref("P12", "guard", "calm_p99_us"),
    ),
)  # fmt: skip
