"""Draws the figures that can be compared as bars on one logarithmic scale, relative to Envoy as a plain proxy."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from bench.guard.results import Ref, Results, Spread
from bench.guard.runner import PEERS

_PANELS = (
    ("P1", "cpu_us", "CPU, 1 KB chat request"),
    ("P2", "cpu_us", "CPU, 32 KB prompt"),
    ("P4", "cpu_us", "CPU, one chunk of a stream"),
    ("P5", "added_p50_us", "Added latency, p50"),
    ("P5", "added_p99_us", "Added latency, p99"),
)
_NAMES = ("guard", "floor", "envoy", "envoy-keyed", "envoy-ruled", "portkey", "litellm")
_COLOURS = {"guard": "#c2410c", "envoy": "#475569"}
_OTHER = "#94a3b8"
_LEFT, _RIGHT, _BAR, _HEAD = 250, 820, 18, 34
_LEAST, _MOST = 0.1, 1000.0


@dataclass(frozen=True)
class Bar:
    name: str
    ratio: Spread | None


def draw(results: Results) -> str:
    lines: list[str] = []
    top = 10
    for measure, figure, title in _PANELS:
        bars = [_bar(results, measure, name, figure) for name in _NAMES]
        lines += [f'<text x="10" y="{top + 20}" class="title">{title} ÷ Envoy plain</text>']
        lines += _axis(top + _HEAD, len(bars))
        for index, bar in enumerate(bars):
            lines += _drawn(bar, top + _HEAD + index * _BAR)
        top += _HEAD + len(bars) * _BAR + 26
    style = "text{font:12px sans-serif;fill:#334155}.title{font-weight:bold}.scale{font-size:10px;fill:#64748b}"
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="900" height="{top}" viewBox="0 0 900 {top}">'
    return (
        "\n".join([head, f"<style>{style}</style>", '<rect width="100%" height="100%" fill="#fff"/>', *lines, "</svg>"])
        + "\n"
    )


def _bar(results: Results, measure: str, name: str, figure: str) -> Bar:
    return Bar(name, results.ratio(Ref(measure, name, figure), Ref(measure, "envoy", figure)))


def _x(ratio: float) -> float:
    part = math.log(min(max(ratio, _LEAST), _MOST) / _LEAST) / math.log(_MOST / _LEAST)
    return _LEFT + part * (_RIGHT - _LEFT)


def _axis(top: int, bars: int) -> Iterator[str]:
    bottom = top + bars * _BAR
    for power in range(-1, 4):
        x = _x(10.0**power)
        colour = "#475569" if power == 0 else "#e2e8f0"
        yield f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{bottom}" stroke="{colour}"/>'
        yield f'<text x="{x:.1f}" y="{bottom + 12}" text-anchor="middle" class="scale">{10.0**power:g} ×</text>'


def _drawn(bar: Bar, y: int) -> Iterator[str]:
    middle = y + _BAR - 5
    yield f'<text x="{_LEFT - 8}" y="{middle}" text-anchor="end">{PEERS[bar.name].title}</text>'
    if bar.ratio is None:
        yield f'<text x="{_LEFT + 4}" y="{middle}" class="scale">not measured</text>'
        return
    one, x = _x(1.0), _x(bar.ratio.median)
    colour = _COLOURS.get(bar.name, _OTHER)
    left, width = min(one, x), max(abs(x - one), 2)
    yield f'<rect x="{left:.1f}" y="{y + 3}" width="{width:.1f}" height="{_BAR - 6}" fill="{colour}"/>'
    least, most = _x(bar.ratio.least), _x(bar.ratio.most)
    yield f'<line x1="{least:.1f}" x2="{most:.1f}" y1="{y + 9}" y2="{y + 9}" stroke="#0f172a"/>'
    yield f'<text x="{max(x, one) + 6:.1f}" y="{middle}" class="scale">{bar.ratio.median:.3g}</text>'
