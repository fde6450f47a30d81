"""Judges a body: strict JSON, the profile's schema, the declared model; and gives the form that goes to the model."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from bartizan.guard import costs, inspection, strict_json
from bartizan.guard.enforcement import Enforcement
from bartizan.guard.inspection import Leaf
from bartizan.guard.profiles.contract import Route
from bartizan.guard.refusal import Refusal
from bartizan.policy.capabilities import Capability
from bartizan.policy.reasons import Reason
from bartizan.policy.tokens import Amount

MAX_SHOWN_PARAM = 128


class Body(NamedTuple):
    """`canonical` is what was judged and what is sent, byte for byte; `most` is what it may cost.

    `shows_usage`: the caller asked for a stream's usage, and not the guard alone.
    """

    canonical: bytes
    value: Mapping[str, Any]
    most: Amount
    asks: tuple[Capability, ...]
    wants_stream: bool
    shows_usage: bool

    def leaves(self) -> Iterator[Leaf]:
        """Every string of what is sent."""
        return inspection.leaves(self.value)


def judge(raw: bytes, route: Route, enforcement: Enforcement) -> Body:
    """The body in canonical form; raises Refusal."""
    try:
        return _judge(raw, route, enforcement)
    except strict_json.JsonError as error:
        raise Refusal(Reason.JSON_INVALID, f"The body is not acceptable JSON: {error}.") from error
    except Refusal as refusal:
        _make_showable(refusal)
        raise


def _judge(raw: bytes, route: Route, enforcement: Enforcement) -> Body:
    value = strict_json.parse(raw)
    assert route.schema is not None  # noqa: S101 -- only routes with a schema have a body
    assert route.account is not None  # noqa: S101 -- and they say what it may cost
    route.schema.judge(value, "")
    if not route.is_of_model and value["model"] != enforcement.document.model:
        raise Refusal(
            Reason.MODEL_NOT_SERVED, "This endpoint serves another model; GET /v1/models says which.", "model"
        )
    asks = _capabilities(value, route, enforcement.capabilities)
    wants_stream = value.get("stream") is True
    shows_usage = wants_stream and bool((value.get("stream_options") or {}).get("include_usage"))
    if route.forced:
        value.update(route.forced)
    each = costs.bound(value, route.account, enforcement.caps, streams=wants_stream)
    canonical = strict_json.serialise(value)
    size = len(canonical)
    if route.images is not None and (media := enforcement.document.media) is not None:
        size += sum(media.tokens - len(image) for image in route.images(value))  # held as what it costs, not as text
    most = costs.ceiling(value, size, route.account, enforcement.caps, each=each)
    return Body(canonical, value, most, asks, wants_stream, shows_usage)


def _capabilities(value: Mapping[str, Any], route: Route, allowed: frozenset[str]) -> tuple[Capability, ...]:
    """What the body asks for beyond a text; raises Refusal where that is more than `allowed`."""
    named = value.keys() & route.asking.keys()
    if not named:
        return ()
    found = set()
    for name in sorted(named):
        for asking in route.asking[name]:
            if asking.is_quiet(value[name]):
                continue
            if asking.capability not in allowed:
                message = f"This endpoint does not let {asking.capability} through; {asking.instead}."
                raise Refusal(Reason.CAPABILITY_NOT_ALLOWED, message, name)
            found.add(asking.capability)
    return tuple(sorted(found))


_PLAIN = re.compile(r"[^ -~]")


def _make_showable(refusal: Refusal) -> None:
    """Names that the caller chose go back to it in plain characters and bounded length."""
    refusal.message = _PLAIN.sub("?", refusal.message)[: 4 * MAX_SHOWN_PARAM]
    if refusal.param is not None:
        refusal.param = _PLAIN.sub("?", refusal.param)[:MAX_SHOWN_PARAM]
