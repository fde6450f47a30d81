"""spec.limits: how much the endpoint gives, with defaults that hold when the section is missing or misspelt."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from bartizan.policy import durations
from bartizan.policy.model import Limits, RequestLimit
from bartizan.policy.nodes import Node
from bartizan.policy.shapes import Many, Record, Whole

DEFAULT_REQUESTS = ({"limit": 60, "window": 60},)
DEFAULT_CONCURRENT = 8
DEFAULT_CONCURRENT_PER_CLIENT = 4
MOST_REQUESTS = 1_000_000
MOST_CONCURRENT = 10_000
MOST_WINDOWS = 4

_REQUEST_LIMIT = Record({"limit": Whole(1, MOST_REQUESTS), "window": durations.judge}, required=("limit", "window"))


def _requests(node: Node) -> list[dict[str, Any]]:
    few = "without a request limit there would be none; remove the field for the default of 60 a minute"
    limits: list[dict[str, Any]] = Many(_REQUEST_LIMIT, MOST_WINDOWS, 1, few)(node)
    counts = Counter(limit["window"] for limit in limits if "window" in limit)
    if any(count > 1 for count in counts.values()):
        node.refuse("names one window twice; keep one limit for each window")
    return limits


_SHAPE = Record(
    {
        "requests": _requests,
        "concurrent": Whole(1, MOST_CONCURRENT),
        "concurrentPerClient": Whole(1, MOST_CONCURRENT),
    }
)


def judge(node: Node) -> dict[str, Any]:
    section: dict[str, Any] = _SHAPE(node)
    concurrent = section.get("concurrent", DEFAULT_CONCURRENT)
    each = section.get("concurrentPerClient", 0)
    if each > concurrent:
        node.key("concurrentPerClient", each).refuse(
            f"{each} is above spec.limits.concurrent, which is {concurrent}; lower the one or raise the other"
        )
    return section


def build(section: Mapping[str, Any]) -> Limits:
    concurrent = section.get("concurrent", DEFAULT_CONCURRENT)
    requests = section.get("requests", DEFAULT_REQUESTS)
    return Limits(
        requests=tuple(RequestLimit(request["limit"], request["window"]) for request in requests),
        concurrent=concurrent,
        concurrent_per_client=section.get("concurrentPerClient", min(DEFAULT_CONCURRENT_PER_CLIENT, concurrent)),
    )
