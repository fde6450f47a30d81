"""What a refused caller is told: each reason's HTTP status and the one exception that carries it."""

from dataclasses import dataclass
from http import HTTPStatus

from bartizan.policy.reasons import Reason


@dataclass(eq=False, slots=True)
class Refusal(Exception):  # noqa: N818 -- a refusal is a judgement, not an error
    """Ends a request. `message` and `param` reach the caller: they say what to do and nothing of the inside.

    `key_id` is for the audit alone.
    """

    reason: Reason
    message: str
    param: str | None = None
    retry_after_seconds: int | None = None
    allow: bytes | None = None
    key_id: str | None = None

    def __str__(self) -> str:
        return f"{self.reason}: {self.message}"


STATUS: dict[Reason, HTTPStatus] = {
    Reason.PATH_NOT_ALLOWED: HTTPStatus.NOT_FOUND,
    Reason.METHOD_NOT_ALLOWED: HTTPStatus.METHOD_NOT_ALLOWED,
    Reason.REQUEST_MALFORMED: HTTPStatus.BAD_REQUEST,
    Reason.REQUEST_TIMEOUT: HTTPStatus.REQUEST_TIMEOUT,
    Reason.HEADERS_TOO_LARGE: HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    Reason.BODY_TOO_LARGE: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    Reason.CONTENT_TYPE_UNSUPPORTED: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    Reason.CONTENT_ENCODING_UNSUPPORTED: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    Reason.CREDENTIAL_MISSING: HTTPStatus.UNAUTHORIZED,
    Reason.CREDENTIAL_WITHDRAWN: HTTPStatus.UNAUTHORIZED,
    **dict.fromkeys(
        (
            Reason.CREDENTIALS_SEVERAL,
            Reason.CREDENTIAL_MALFORMED,
            Reason.KEY_UNKNOWN,
            Reason.KEY_SECRET_WRONG,
            Reason.TOKEN_MALFORMED,
            Reason.TOKEN_ISSUER_UNKNOWN,
            Reason.TOKEN_KEY_UNKNOWN,
            Reason.TOKEN_SIGNATURE_INVALID,
            Reason.TOKEN_AUDIENCE_WRONG,
            Reason.TOKEN_EXPIRED,
            Reason.TOKEN_NOT_YET_VALID,
            Reason.TOKEN_LIFETIME_EXCESSIVE,
            Reason.TOKEN_SUBJECT_UNKNOWN,
            Reason.TOKEN_ACCOUNT_REPLACED,
            Reason.TOKEN_CLIENT_AMBIGUOUS,
        ),
        HTTPStatus.UNAUTHORIZED,
    ),
    Reason.JSON_INVALID: HTTPStatus.BAD_REQUEST,
    Reason.FIELD_UNKNOWN: HTTPStatus.BAD_REQUEST,
    Reason.FIELD_INVALID: HTTPStatus.BAD_REQUEST,
    Reason.MODEL_NOT_SERVED: HTTPStatus.NOT_FOUND,
    Reason.CAPABILITY_NOT_ALLOWED: HTTPStatus.FORBIDDEN,
    Reason.RATE_LIMITED: HTTPStatus.TOO_MANY_REQUESTS,
    Reason.TIER_RATE_LIMITED: HTTPStatus.TOO_MANY_REQUESTS,
    Reason.ENDPOINT_RATE_LIMITED: HTTPStatus.TOO_MANY_REQUESTS,
    Reason.TOKENS_LIMITED: HTTPStatus.TOO_MANY_REQUESTS,
    Reason.TIER_TOKENS_LIMITED: HTTPStatus.TOO_MANY_REQUESTS,
    Reason.ENDPOINT_TOKENS_LIMITED: HTTPStatus.TOO_MANY_REQUESTS,
    Reason.TOKENS_NEVER_FIT: HTTPStatus.BAD_REQUEST,
    Reason.INPUT_TOO_LONG: HTTPStatus.BAD_REQUEST,
    Reason.OUTPUT_TOO_LONG: HTTPStatus.BAD_REQUEST,
    Reason.ANSWER_TOO_LONG: HTTPStatus.BAD_GATEWAY,
    Reason.STREAM_TOO_LONG: HTTPStatus.GATEWAY_TIMEOUT,
    Reason.CONCURRENCY_LIMITED: HTTPStatus.TOO_MANY_REQUESTS,
    Reason.STORE_AWAY: HTTPStatus.SERVICE_UNAVAILABLE,
    Reason.OVERLOADED: HTTPStatus.SERVICE_UNAVAILABLE,
    Reason.DRAINING: HTTPStatus.SERVICE_UNAVAILABLE,
    Reason.DOCUMENT_ABSENT: HTTPStatus.SERVICE_UNAVAILABLE,
    Reason.UPSTREAM_UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
    Reason.UPSTREAM_BROKEN: HTTPStatus.BAD_GATEWAY,
    Reason.UPSTREAM_TIMEOUT: HTTPStatus.GATEWAY_TIMEOUT,
    Reason.TOKENIZER_UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
    Reason.AUDIT_UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
    Reason.INTERNAL_FAULT: HTTPStatus.INTERNAL_SERVER_ERROR,
}

CHALLENGED = frozenset(reason for reason, status in STATUS.items() if status is HTTPStatus.UNAUTHORIZED)

_CHALLENGE = b"WWW-Authenticate: Bearer\r\n"
UNAVAILABLE_RETRY_SECONDS = 2
"""An outage's Retry-After: long enough to spare a server that starts, short enough that callers come back soon."""


def fault() -> Refusal:
    """What a caller hears of any fault inside."""
    return Refusal(Reason.INTERNAL_FAULT, "The request could not be handled. Try again, or tell the endpoint's owner.")


def bad_credential(reason: Reason, key_id: str | None = None) -> Refusal:
    """The same words for every way in which a key or a token can be bad."""
    message = (
        "The API key or token is not valid here. Take it anew: a key from the client's Secret, a token from its issuer."
    )
    return Refusal(reason, message, key_id=key_id)


def unavailable(reason: Reason, message: str = "The endpoint is not available now; try again shortly.") -> Refusal:
    return Refusal(reason, message, retry_after_seconds=UNAVAILABLE_RETRY_SECONDS)


def overloaded(retry_after_seconds: int = 1) -> Refusal:
    """What a caller hears for whom there is no room, or no time, now."""
    return Refusal(Reason.OVERLOADED, "The endpoint is busy; try again shortly.", None, retry_after_seconds)


def store_away() -> Refusal:
    """What a caller hears whose tier is given nothing while nobody counts for all replicas."""
    return unavailable(Reason.STORE_AWAY)


def cut(reason: Reason) -> Refusal:
    """What a caller hears whose answer the guard had to end: its key is withdrawn, or the pod's time is up."""
    return unavailable(reason) if reason is Reason.DRAINING else bad_credential(reason)


def headers(refusal: Refusal) -> bytes:
    """What goes with a refusal beside the headers of every answer, each line with its end."""
    lines = _CHALLENGE if refusal.reason in CHALLENGED else b""
    if refusal.allow is not None:
        lines += b"Allow: %b\r\n" % refusal.allow
    if refusal.retry_after_seconds is not None:
        lines += b"Retry-After: %d\r\n" % refusal.retry_after_seconds
    return lines
