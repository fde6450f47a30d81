"""spec.limits: how much the endpoint gives, with defaults that hold when the section is missing or misspelt."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from bartizan.policy import durations, grace
from bartizan.policy.limits import Scope
from bartizan.policy.model import Limits, RequestCaps, RequestLimit, TokenLimit
from bartizan.policy.nodes import Node
from bartizan.policy.sections import tokenizer
from bartizan.policy.shapes import OWN_NAME, Choice, Many, Record, Ruled, Whole
from bartizan.policy.tokens import ExcessOutput, Kind

DEFAULT_REQUESTS = ({"limit": 60, "window": 60},)
DEFAULT_TOKENS = ({"type": "Total", "limit": 1_000_000, "window": 3600},)
DEFAULT_MAX_INPUT_TOKENS = 32_000
DEFAULT_MAX_OUTPUT_TOKENS = 4_000
DEFAULT_PROMPT_OVERHEAD_TOKENS = 0
DEFAULT_MAX_STREAM_SECONDS = 600
DEFAULT_CONCURRENT = 8
DEFAULT_CONCURRENT_PER_CLIENT = 4
MOST_REQUESTS = 1_000_000
MOST_CONCURRENT = 10_000
MOST_QUEUED = 1000
LONGEST_QUEUE_SECONDS = 60
MOST_WINDOWS = 8
MOST_TOKENS = 1_000_000_000
MOST_TOKEN_WINDOWS = 12
MOST_TOKENS_A_REQUEST = 10_000_000
MOST_REFUSED = 8
_SCOPE = Choice(tuple(Scope))
_REQUEST_LIMIT = Record(
    {"limit": Whole(1, MOST_REQUESTS), "window": durations.judge, "scope": _SCOPE, "tier": OWN_NAME},
    required=("limit", "window"),
)


def _requests(node: Node) -> list[dict[str, Any]]:
    few = "without a request limit there would be none; remove the field for the default of 60 a minute"
    limits: list[dict[str, Any]] = Many(_REQUEST_LIMIT, MOST_WINDOWS, 1, few)(node)
    counts = Counter((_whose(limit), limit["window"]) for limit in limits if "window" in limit)
    if any(count > 1 for count in counts.values()):
        node.refuse("names one window twice; keep one limit for each window, scope and tier")
    _judge_scopes(node, limits)
    return limits


def _judge_scopes(node: Node, limits: list[dict[str, Any]]) -> None:
    """What clients share is no limit of each: one of them could take the whole."""
    for position, limit in enumerate(limits):
        scope = _scope(limit)
        if (scope is Scope.TIER and "tier" not in limit) or (scope is Scope.ENDPOINT and "tier" in limit):
            remedy = "name it" if scope is Scope.TIER else "remove it, or set scope to Tier"
            spot = node.index(position, limit).key("tier", limit.get("tier"))
            spot.refuse(f"goes with scope Tier, always, and never with scope Endpoint; {remedy}")
    if limits and all(_scope(limit) is not Scope.CLIENT or "tier" in limit for limit in limits):
        node.refuse("has no limit of each client; add one with scope Client and without a tier")


def _whose(limit: Mapping[str, Any]) -> tuple[Scope, str]:
    return _scope(limit), limit.get("tier", "")


def _scope(limit: Mapping[str, Any]) -> Scope:
    return Scope(limit.get("scope", Scope.CLIENT))


_TOKEN_LIMIT = Record(
    {
        "type": Choice(tuple(Kind)),
        "limit": Whole(1, MOST_TOKENS),
        "window": durations.judge,
        "scope": _SCOPE,
        "tier": OWN_NAME,
    },
    required=("type", "limit", "window"),
)


def _tokens(node: Node) -> list[dict[str, Any]]:
    few = "without a token limit there would be none; remove the field for the default of 1000000 an hour"
    limits: list[dict[str, Any]] = Many(_TOKEN_LIMIT, MOST_TOKEN_WINDOWS, 1, few)(node)
    known = [limit for limit in limits if {"type", "window"} <= limit.keys()]
    counts = Counter((_whose(limit), limit["type"], limit["window"]) for limit in known)
    if any(count > 1 for count in counts.values()):
        node.refuse("names one window twice for one type; keep one limit for each type, window, scope and tier")
    _judge_scopes(node, limits)
    return limits


def _judge_refused(node: Node, tiers: list[str]) -> None:
    if len(set(tiers)) < len(tiers):
        node.refuse("names one tier twice; remove it once")


_SHAPE = Record(
    {
        "requests": _requests,
        "tokens": _tokens,
        "maxInputTokens": Whole(1, MOST_TOKENS_A_REQUEST),
        "maxOutputTokens": Whole(1, MOST_TOKENS_A_REQUEST),
        "excessOutput": Choice(tuple(ExcessOutput)),
        "promptOverheadTokens": Whole(0, MOST_TOKENS_A_REQUEST),
        "maxStreamSeconds": Whole(1, grace.LONGEST_STREAM_SECONDS),
        "concurrent": Whole(1, MOST_CONCURRENT),
        "concurrentPerClient": Whole(1, MOST_CONCURRENT),
        "queue": Record(
            {"size": Whole(1, MOST_QUEUED), "seconds": Whole(1, LONGEST_QUEUE_SECONDS)}, required=("size", "seconds")
        ),
        "store": OWN_NAME,
        "refusedWithoutStore": Ruled(Many(OWN_NAME, MOST_REFUSED, 1), _judge_refused),
        "tokenizer": tokenizer.SHAPE,
    }
)


def judge(node: Node) -> dict[str, Any]:
    section: dict[str, Any] = _SHAPE(node)
    if "refusedWithoutStore" in section and "store" not in section:
        node.key("refusedWithoutStore", None).refuse("goes with spec.limits.store; name one, or remove it")
    concurrent = section.get("concurrent", DEFAULT_CONCURRENT)
    each = section.get("concurrentPerClient", 0)
    if each > concurrent:
        node.key("concurrentPerClient", each).refuse(
            f"{each} is above spec.limits.concurrent, which is {concurrent}; lower the one or raise the other"
        )
    return section


def max_stream_seconds(section: Mapping[str, Any]) -> int:
    seconds: int = section.get("maxStreamSeconds", DEFAULT_MAX_STREAM_SECONDS)
    return seconds


def build(section: Mapping[str, Any]) -> Limits:
    concurrent = section.get("concurrent", DEFAULT_CONCURRENT)
    requests, tokens = section.get("requests", DEFAULT_REQUESTS), section.get("tokens", DEFAULT_TOKENS)
    return Limits(
        requests=tuple(RequestLimit(item["limit"], item["window"], *_whose(item)) for item in requests),
        tokens=tuple(TokenLimit(Kind(item["type"]), item["limit"], item["window"], *_whose(item)) for item in tokens),
        caps=RequestCaps(
            max_input_tokens=section.get("maxInputTokens", DEFAULT_MAX_INPUT_TOKENS),
            max_output_tokens=section.get("maxOutputTokens", DEFAULT_MAX_OUTPUT_TOKENS),
            excess_output=ExcessOutput(section.get("excessOutput", ExcessOutput.CLAMP)),
            prompt_overhead_tokens=section.get("promptOverheadTokens", DEFAULT_PROMPT_OVERHEAD_TOKENS),
            max_stream_seconds=max_stream_seconds(section),
        ),
        concurrent=concurrent,
        concurrent_per_client=section.get("concurrentPerClient", min(DEFAULT_CONCURRENT_PER_CLIENT, concurrent)),
        queue_size=section.get("queue", {}).get("size", 0),
        queue_seconds=section.get("queue", {}).get("seconds", 0),
        store=section.get("store"),
        refused_without_store=tuple(sorted(section.get("refusedWithoutStore", ()))),
        tokenizer=tokenizer.build(section.get("tokenizer", {})),
    )
