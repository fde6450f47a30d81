"""OpenAI's protocol as the guard speaks it: five paths, how models are listed, how a refusal looks to its clients."""

import json
import re
from dataclasses import replace

import orjson

from bartizan.guard.costs import Account
from bartizan.guard.model_error import ModelError
from bartizan.guard.profiles import answer_json, media, responses_answers, responses_schema
from bartizan.guard.profiles import openai_answers as answers
from bartizan.guard.profiles import openai_schema as schema
from bartizan.guard.profiles.contract import Profile, Reading, Route, Terms
from bartizan.guard.refusal import CHALLENGED, STATUS, Refusal
from bartizan.policy.reasons import Reason

_CHAT = Account("messages", ("max_tokens", "max_completion_tokens"), ("n",), asks_for_usage=True)
_COMPLETION = Account("prompt", ("max_tokens",), ("n", "best_of"), each_item_is_answered=True, asks_for_usage=True)
_CODES = {
    **dict.fromkeys(CHALLENGED, "invalid_api_key"),
    Reason.RATE_LIMITED: "rate_limit_exceeded",
    Reason.TIER_RATE_LIMITED: "rate_limit_exceeded",
    Reason.ENDPOINT_RATE_LIMITED: "rate_limit_exceeded",
    Reason.CONCURRENCY_LIMITED: "rate_limit_exceeded",
    Reason.TOKENS_LIMITED: "rate_limit_exceeded",
    Reason.TIER_TOKENS_LIMITED: "rate_limit_exceeded",
    Reason.ENDPOINT_TOKENS_LIMITED: "rate_limit_exceeded",
    Reason.TOKENS_NEVER_FIT: "request_too_large",
    Reason.INPUT_TOO_LONG: "context_length_exceeded",
    Reason.OUTPUT_TOO_LONG: "invalid_value",
    Reason.MODEL_NOT_SERVED: "model_not_found",
    Reason.FIELD_UNKNOWN: "unknown_parameter",
    Reason.FIELD_INVALID: "invalid_value",
    Reason.TOKENIZER_UNAVAILABLE: "service_unavailable",
    Reason.STORE_AWAY: "service_unavailable",
    Reason.AUDIT_UNAVAILABLE: "service_unavailable",
    Reason.DOCUMENT_ABSENT: "service_unavailable",
    Reason.UPSTREAM_UNAVAILABLE: "service_unavailable",
    Reason.INTERNAL_FAULT: "internal_error",
}
"""The codes that OpenAI's clients know; one code where the difference would only help an attacker."""

_TOO_MANY = 429
_SERVER = 500


def model_list(model: str) -> bytes:
    """The answer to GET /v1/models: what is declared, and nothing that the server would say of itself."""
    entry = {"id": model, "object": "model", "created": 0, "owned_by": "bartizan"}
    return json.dumps({"object": "list", "data": [entry]}).encode()


def refusal_body(refusal: Refusal, _request_id: str = "") -> bytes:
    """OpenAI's error object."""
    return _ERRORS[refusal.reason] % (orjson.dumps(refusal.message), orjson.dumps(refusal.param))


def model_error(error: ModelError, _request_id: str) -> bytes:
    """As a refusal's."""
    said = {"message": error.message, "type": _type(error.status), "param": None, "code": error.code}
    return answer_json.encode({"error": said})


def _type(status: int) -> str:
    if status == _TOO_MANY:
        return "requests"
    return "server_error" if status >= _SERVER else "invalid_request_error"


def _snake_case(reason: Reason) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", reason.value).lower()


def _error(reason: Reason) -> bytes:
    code = _CODES.get(reason) or _snake_case(reason)
    return f'{{"error": {{"message": %b, "type": "{_type(STATUS[reason])}", "param": %b, "code": "{code}"}}}}'.encode()


_ERRORS = {reason: _error(reason) for reason in STATUS}
"""An error object of each reason, for its message and its parameter."""

CHOICES = Reading(answers.ChunkReader, answers.read_whole, answers.tail_usage, answers.error_event, model_error)
_RESPONSES = Reading(
    responses_answers.EventReader,
    responses_answers.read_whole,
    responses_answers.nothing_said,
    responses_answers.error_event,
    model_error,
)
_ROUTES = (
    Route(
        "chat_completions",
        b"POST",
        b"/v1/chat/completions",
        schema.CHAT,
        _CHAT,
        CHOICES,
        answers_text=True,
        operation="chat",
        asking=schema.CHAT_ASKING,
    ),
    Route(
        "completions",
        b"POST",
        b"/v1/completions",
        schema.COMPLETION,
        _COMPLETION,
        CHOICES,
        answers_text=True,
        operation="text_completion",
        asking=schema.COMPLETION_ASKING,
    ),
    Route(
        "embeddings",
        b"POST",
        b"/v1/embeddings",
        schema.EMBEDDING,
        Account("input"),
        CHOICES,
        operation="embeddings",
    ),
    Route(
        "responses",
        b"POST",
        b"/v1/responses",
        responses_schema.RESPONSE,
        Account("input", ("max_output_tokens",)),
        _RESPONSES,
        answers_text=True,
        forced=responses_schema.FORCED,
        asking=responses_schema.ASKING,
        operation="chat",
    ),
    Route("models", b"GET", b"/v1/models", answer=model_list),
)
PROFILE = Profile("OpenAI", "openai", {route.path: route for route in _ROUTES}, refusal_body)


def build(terms: Terms) -> Profile:
    if terms.media is None:
        return terms.opened(PROFILE)
    url, routes = media.data_url(terms.media), dict(PROFILE.routes)
    for path, record, images in (
        (b"/v1/chat/completions", schema.chat_with_images(url), media.of_chat),
        (b"/v1/responses", responses_schema.response_with_images(url), media.of_response),
    ):
        routes[path] = replace(routes[path], schema=record, images=images)
    return terms.opened(replace(PROFILE, routes=routes))
