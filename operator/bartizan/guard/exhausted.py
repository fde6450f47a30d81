"""What a caller hears when a limit has no room: the same words, whoever counted."""

from bartizan.guard.refusal import Refusal
from bartizan.policy.limits import ENDPOINT, Scope
from bartizan.policy.reasons import Reason

OTHERS_RETRY_SECONDS = 1
"""Where others must end first: nobody knows when they will."""
_REQUESTS = {
    Scope.CLIENT: Reason.RATE_LIMITED,
    Scope.TIER: Reason.TIER_RATE_LIMITED,
    Scope.ENDPOINT: Reason.ENDPOINT_RATE_LIMITED,
}
_TOKENS = {
    Scope.CLIENT: Reason.TOKENS_LIMITED,
    Scope.TIER: Reason.TIER_TOKENS_LIMITED,
    Scope.ENDPOINT: Reason.ENDPOINT_TOKENS_LIMITED,
}
_OF = {
    Scope.CLIENT: "this client's {} is used up. Retry-After says when to come back.",
    Scope.TIER: "the {} of all clients of its tier together is used up. Retry-After says when to come back.",
    Scope.ENDPOINT: "the {} of all clients together is used up. Retry-After says when the endpoint takes more.",
}
_TOO_MANY_REQUESTS = {scope: f"Too many requests: {words.format('rate')}" for scope, words in _OF.items()}
_TOO_MANY_TOKENS = {scope: f"Too many tokens: {words.format('budget')}" for scope, words in _OF.items()}
_ARE_GIVEN = {
    Scope.CLIENT: "this client is",
    Scope.TIER: "all clients of its tier together are",
    Scope.ENDPOINT: "all clients of this endpoint together are",
}


def scope_of(whose: str, client: str) -> Scope:
    """Whose limit it is that is kept under the name `whose`."""
    if whose == client:
        return Scope.CLIENT
    return Scope.ENDPOINT if whose == ENDPOINT else Scope.TIER


def requests(scope: Scope, seconds: int) -> Refusal:
    return Refusal(_REQUESTS[scope], _TOO_MANY_REQUESTS[scope], retry_after_seconds=seconds)


def tokens(scope: Scope, seconds: int) -> Refusal:
    return Refusal(_TOKENS[scope], _TOO_MANY_TOKENS[scope], retry_after_seconds=seconds)


def never(scope: Scope) -> Refusal:
    """No window that is empty would have room."""
    message = f"The request may cost more tokens than {_ARE_GIVEN[scope]} given; shorten it, or lower max_tokens."
    return Refusal(Reason.TOKENS_NEVER_FIT, message)
