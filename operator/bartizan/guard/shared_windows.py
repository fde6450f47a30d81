"""The windows of an endpoint as the store counts them: whole, each client's and what several share, in one order.

The store is told of all, whoever asks: what it finds expired may be another tier's.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from bartizan.guard import exhausted
from bartizan.guard.limits_file import REQUESTS
from bartizan.guard.refusal import Refusal
from bartizan.guard.store_script import AWAITS_OTHERS, NEVER
from bartizan.policy.document import GuardDocument, RequestWindow, TokenWindow
from bartizan.policy.limits import ENDPOINT, Scope, name_of_tier
from bartizan.policy.tokens import Kind

_CODES = {REQUESTS: "r", Kind.INPUT: "i", Kind.OUTPUT: "o", Kind.TOTAL: "t"}
_SCOPES = {Scope.CLIENT: "c", Scope.TIER: "t", Scope.ENDPOINT: "e"}
_US_A_SECOND = 1_000_000


@dataclass(frozen=True, slots=True)
class Window:
    scope: Scope
    tier: str
    what: str
    limit: int
    seconds: int

    @property
    def is_of_requests(self) -> bool:
        return self.what == REQUESTS

    @property
    def told(self) -> tuple[str, str, str, int, int]:
        """As the script takes it."""
        return (_SCOPES[self.scope], self.tier, _CODES[self.what], self.limit, self.seconds)

    def of(self, client: str) -> tuple[str, str, int]:
        """Its name in this guard's memory."""
        whose = client
        if self.scope is not Scope.CLIENT:
            whose = ENDPOINT if self.scope is Scope.ENDPOINT else name_of_tier(self.tier)
        return (whose, self.what, self.seconds)


def windows(document: GuardDocument) -> tuple[Window, ...]:
    requests = [Window(Scope(it.scope), it.tier, REQUESTS, it.limit, it.window_seconds) for it in document.requests]
    tokens = [Window(Scope(it.scope), it.tier, Kind(it.type), it.limit, it.window_seconds) for it in document.tokens]
    return (*requests, *tokens)


def holds_for(given: RequestWindow | TokenWindow, tier: str, *, has_own: bool) -> bool:
    """Whether one of a document's windows holds for clients of the tier, who may have windows of their own.

    `has_own`: of this kind some are for each client of the tier; they stand in place of those for clients of none.
    """
    if given.scope == Scope.ENDPOINT:
        return True
    if given.scope == Scope.TIER:
        return given.tier == tier
    return given.tier == (tier if has_own else "")


def has_own(given: Sequence[RequestWindow | TokenWindow], tier: str) -> bool:
    return any(window.scope == Scope.CLIENT and window.tier == tier for window in given)


def refusal(asked: tuple[Window, ...], waits: Sequence[int]) -> Refusal:
    """In the words of the guard's own limits: names the window that has no room for longest."""
    window, wait = max(zip(asked, waits, strict=True), key=lambda pair: _severity(pair[1]))
    if wait == NEVER and not window.is_of_requests:
        return exhausted.never(window.scope)
    seconds = exhausted.OTHERS_RETRY_SECONDS if wait == AWAITS_OTHERS else -(-wait // _US_A_SECOND)
    return (exhausted.requests if window.is_of_requests else exhausted.tokens)(window.scope, seconds)


def _severity(wait: int) -> tuple[bool, bool, int]:
    return (wait == NEVER, wait == AWAITS_OTHERS, wait)
