"""Turns a run's figures into Markdown: the targets with their verdicts, then each measure with its peers."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from bench.guard import machine, targets
from bench.guard.measures import Measure
from bench.guard.results import Ref, Results, Spread
from bench.guard.runner import PEERS, Plan

BASE = "envoy"
_HEADINGS = {
    "cpu_us": "CPU, µs",
    "per_second": "a second",
    "per_read": "chunks a read",
    "added_p50_us": "added p50, µs",
    "added_p99_us": "added p99, µs",
    "idle_mib": "idle, MiB",
    "streams_mib": "with streams, MiB",
    "calm_p99_us": "p99 by themselves, µs",
    "abused_p99_us": "p99 beside the abuser, µs",
}
_UNCOMPARED = ("per_second", "per_read", "calm_p99_us")


def write(plan: Plan, results: Results, about: str) -> str:
    chosen = {measure.id.rstrip("ab") for measure in plan.measures}
    method = (
        f"{plan.rounds} rounds of {plan.seconds:g} s; median, in brackets the least and the most of the rounds. "
        f"At most {results.most_foreign():.0%} of the measured core was taken by others during a CPU figure."
    )
    parts = [
        f"{about}. {machine.versions()}.",
        method,
        "## Targets",
        _table(("", "target", "at most", "measured", "verdict"), _verdicts(results, chosen)),
    ]
    for measure in plan.measures:
        parts += [f"## {measure.id}: {measure.title}", _measure(measure, plan, results)]
    return "\n\n".join(parts)


def _verdicts(results: Results, chosen: set[str]) -> Iterator[tuple[str, ...]]:
    for target in targets.ALL:
        if target.id in chosen:
            found = target.measured(results)
            most = f"{target.most:.3g}"
            yield (
                target.id,
                target.text,
                most,
                _ratio(found) if target.over else _figure(found),
                target.verdict(results),
            )


def _measure(measure: Measure, plan: Plan, results: Results) -> str:
    header = ["peer"]
    for figure in measure.figures:
        header.append(_HEADINGS[figure])
        if figure not in _UNCOMPARED:
            header.append("÷ Envoy plain" if BASE in measure.peers else "÷ by themselves")
    rows = [_row(measure, peer.name, results) for peer in plan.of(measure) if peer.name != "direct"]
    return _table(header, rows)


def _row(measure: Measure, name: str, results: Results) -> list[str]:
    why = results.missing.get((measure.id, name))
    if why is not None:
        return [PEERS[name].title, f"not run: {why}"]
    row = [PEERS[name].title + _pace(measure, name)]
    for figure in measure.figures:
        ref = Ref(measure.id, name, figure)
        row.append(_figure(results.spread(ref)))
        if figure not in _UNCOMPARED:
            row.append(_ratio(results.ratio(ref, _base(measure, ref))))
    return row


def _base(measure: Measure, ref: Ref) -> Ref:
    """Envoy as a plain proxy, or, where it takes no part, the measure's own first figure."""
    if BASE in measure.peers:
        return replace(ref, peer=BASE)
    return replace(ref, figure=measure.figures[0])


def _pace(measure: Measure, name: str) -> str:
    """Said for every peer where the pace is the peer's own."""
    if measure.id == "P5":
        return f" ({PEERS[name].rate:g}/s)"
    return f" (every {PEERS[name].chunk_ms} ms)" if measure.id == "P4" else ""


def _figure(found: Spread | None) -> str:
    if found is None:
        return "–"
    return f"{_round(found.median)} ({_round(found.least)}–{_round(found.most)})"


def _ratio(found: Spread | None) -> str:
    if found is None:
        return "–"
    return f"**{found.median:.3g}** ({found.least:.3g}–{found.most:.3g})"


def _round(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}"


def _table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = list(header)
    lines = [head, ["---"] * len(head)]
    for row in rows:
        cells = list(row)
        lines.append(cells + [""] * (len(head) - len(cells)))
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
