"""Anthropic's protocol as the guard speaks it: messages and the counting of their tokens, its key, its errors."""

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import orjson

from bartizan.guard.costs import Account
from bartizan.guard.model_error import ModelError
from bartizan.guard.profiles import answer_json, media
from bartizan.guard.profiles import anthropic_answers as answers
from bartizan.guard.profiles import anthropic_schema as schema
from bartizan.guard.profiles.contract import Profile, Reading, Route, Terms
from bartizan.guard.refusal import STATUS, Refusal
from bartizan.guard.request import Head
from bartizan.policy.reasons import Reason

VERSIONS = (b"2023-06-01", b"2026-10-21")
"""Of the protocol: the newer one took fields of the request away, which the schema takes for the older one's sake."""
_SPOKEN = b"2023-06-01"
"""The one that model servers know."""

_BETA = b"?beta=true"
"""What Anthropic's SDKs append for their beta interface, whose messages are the same but for fields that they add."""

_TYPES: Mapping[int, str] = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    502: "api_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}
"""Anthropic's types of errors, by status; of all others it is invalid_request_error."""
_SERVER = 500


def judge_head(head: Head) -> None:
    """Raises Refusal where the request does not say which version of the protocol it speaks."""
    if len(given := head.values(b"anthropic-version")) != 1 or given[0] not in VERSIONS:
        known = " or ".join(version.decode() for version in VERSIONS)
        raise Refusal(Reason.FIELD_INVALID, f"Send one header anthropic-version: {known}.", "anthropic-version")


def model_list(model: str) -> bytes:
    """The answer to GET /v1/models: what is declared, and nothing that the server would say of itself."""
    entry = {"type": "model", "id": model, "display_name": model, "created_at": "1970-01-01T00:00:00Z"}
    return json.dumps({"data": [entry], "has_more": False, "first_id": model, "last_id": model}).encode()


def refusal_body(refusal: Refusal, request_id: str) -> bytes:
    """Anthropic's error object."""
    return _ERRORS[refusal.reason] % (orjson.dumps(refusal.message), orjson.dumps(request_id))


def model_error(error: ModelError, request_id: str) -> bytes:
    """As a refusal's."""
    kind = _TYPES.get(error.status, "api_error" if error.status >= _SERVER else "invalid_request_error")
    said = {"type": "error", "error": {"type": kind, "message": error.message}, "request_id": request_id}
    return answer_json.encode(said)


def _error(reason: Reason) -> bytes:
    kind = _TYPES.get(STATUS[reason], "invalid_request_error")
    return f'{{"type": "error", "error": {{"type": "{kind}", "message": %b}}, "request_id": %b}}'.encode()


_ERRORS = {reason: _error(reason) for reason in STATUS}
"""An error object of each reason, for its message and the request's id."""


_READING = Reading(answers.EventReader, answers.read_whole, answers.nothing_said, answers.error_event, model_error)
_COUNTING = replace(_READING, whole=answers.read_count, most_bytes=4 << 10)
_MESSAGES = Route(
    "messages",
    b"POST",
    b"/v1/messages",
    schema.MESSAGE,
    Account("messages", ("max_tokens",)),
    _READING,
    answers_text=True,
    operation="chat",
    asking=schema.ASKING,
)
_COUNT = Route(
    "count_tokens",
    b"POST",
    b"/v1/messages/count_tokens",
    schema.COUNT,
    Account("messages"),
    _COUNTING,
    is_read_whole=True,
    operation="count_tokens",
    asking=schema.ASKING,
)
_MODELS = Route("models", b"GET", b"/v1/models", answer=model_list)

PROFILE = Profile(
    name="Anthropic",
    provider="anthropic",
    routes={
        **{route.path: route for route in (_MESSAGES, _COUNT, _MODELS)},
        **{route.path + _BETA: route for route in (_MESSAGES, _COUNT)},
    },
    refusal_body=refusal_body,
    key_header=b"x-api-key",
    id_header=b"request-id",
    judge_head=judge_head,
    upstream_header=b"anthropic-version: " + _SPOKEN + b"\r\n",
)


def build(terms: Terms) -> Profile:
    if terms.media is None:
        return terms.opened(PROFILE)
    message, count = schema.with_images(partial(media.source, terms.media))
    schemas = {_MESSAGES.path: message, _COUNT.path: count}
    routes = {
        path: replace(route, schema=schemas[route.path], images=media.of_message) if route.has_body else route
        for path, route in PROFILE.routes.items()
    }
    return terms.opened(replace(PROFILE, routes=routes))
