"""Judges a body: strict JSON, the profile's schema, the declared model; and gives the form that goes to the model."""

import re
from dataclasses import dataclass

from bartizan.guard import strict_json
from bartizan.guard.profiles.contract import Route
from bartizan.guard.refusal import Refusal
from bartizan.policy.reasons import Reason

MAX_SHOWN_PARAM = 128


@dataclass(frozen=True, slots=True)
class Body:
    """`canonical` is what was judged and what is sent, byte for byte."""

    canonical: bytes
    wants_stream: bool


def judge(raw: bytes, route: Route, model: str) -> Body:
    """The body in canonical form; raises Refusal."""
    try:
        return _judge(raw, route, model)
    except strict_json.JsonError as error:
        raise Refusal(Reason.JSON_INVALID, f"The body is not acceptable JSON: {error}.") from error
    except Refusal as refusal:
        _make_showable(refusal)
        raise


def _judge(raw: bytes, route: Route, model: str) -> Body:
    value = strict_json.parse(raw)
    assert route.schema is not None  # noqa: S101 -- only routes with a schema have a body
    route.schema.judge(value, "")
    if value["model"] != model:
        raise Refusal(
            Reason.MODEL_NOT_SERVED, "This endpoint serves another model; GET /v1/models says which.", "model"
        )
    return Body(strict_json.serialise(value), wants_stream=value.get("stream") is True)


_PLAIN = re.compile(r"[^ -~]")


def _make_showable(refusal: Refusal) -> None:
    """Names that the caller chose go back to it in plain characters and bounded length."""
    refusal.message = _PLAIN.sub("?", refusal.message)[: 4 * MAX_SHOWN_PARAM]
    if refusal.param is not None:
        refusal.param = _PLAIN.sub("?", refusal.param)[:MAX_SHOWN_PARAM]
