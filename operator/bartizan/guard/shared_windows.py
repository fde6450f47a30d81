"""The windows of an endpoint as the store counts them: whole, each client's and the endpoint's, in one order."""

from collections.abc import Sequence
from dataclasses import dataclass

from bartizan.guard.budgets import OTHERS_RETRY_SECONDS
from bartizan.guard.refusal import Refusal
from bartizan.guard.store_script import AWAITS_OTHERS, NEVER
from bartizan.policy.document import GuardDocument
from bartizan.policy.limits import Scope
from bartizan.policy.reasons import Reason
from bartizan.policy.tokens import Kind

REQUESTS = "Requests"
_CODES = {REQUESTS: "r", Kind.INPUT: "i", Kind.OUTPUT: "o", Kind.TOTAL: "t"}
_US_A_SECOND = 1_000_000


@dataclass(frozen=True, slots=True)
class Window:
    scope: Scope
    what: str
    limit: int
    seconds: int

    @property
    def is_of_requests(self) -> bool:
        return self.what == REQUESTS

    @property
    def told(self) -> tuple[str, str, int, int]:
        """As the script takes it."""
        return ("e" if self.scope is Scope.ENDPOINT else "c", _CODES[self.what], self.limit, self.seconds)

    def of(self, client: str) -> tuple[str, str, int]:
        """Its name in this guard's memory."""
        return ("" if self.scope is Scope.ENDPOINT else client, self.what, self.seconds)


def windows(document: GuardDocument) -> tuple[Window, ...]:
    requests = [Window(Scope(it.scope), REQUESTS, it.limit, it.window_seconds) for it in document.requests]
    return (*requests, *(Window(Scope(it.scope), Kind(it.type), it.limit, it.window_seconds) for it in document.tokens))


def refusal(asked: tuple[Window, ...], waits: Sequence[int]) -> Refusal:
    """In the words of the guard's own limits: names the window that has no room for longest."""
    window, wait = max(zip(asked, waits, strict=True), key=lambda pair: _severity(pair[1]))
    is_shared = window.scope is Scope.ENDPOINT
    if wait == NEVER and not window.is_of_requests:
        whose = "all clients of this endpoint together are" if is_shared else "this client is"
        message = f"The request may cost more tokens than {whose} given; shorten it, or lower max_tokens."
        return Refusal(Reason.TOKENS_NEVER_FIT, message)
    seconds = OTHERS_RETRY_SECONDS if wait == AWAITS_OTHERS else -(-wait // _US_A_SECOND)
    what = "requests" if window.is_of_requests else "tokens"
    if is_shared:
        reason = Reason.ENDPOINT_RATE_LIMITED if window.is_of_requests else Reason.ENDPOINT_TOKENS_LIMITED
        message = f"Too many {what} of all clients together: Retry-After says when the endpoint takes more."
    else:
        reason = Reason.RATE_LIMITED if window.is_of_requests else Reason.TOKENS_LIMITED
        message = f"Too many {what}: this client's limit is used up. Retry-After says when to come back."
    return Refusal(reason, message, retry_after_seconds=seconds)


def _severity(wait: int) -> tuple[bool, bool, int]:
    return (wait == NEVER, wait == AWAITS_OTHERS, wait)
