"""Keeps token budgets, each client's and the endpoint's; what a request holds is held in a `with`: none leaks."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from bartizan.guard.refusal import Refusal
from bartizan.policy import tokens
from bartizan.policy.limits import NANOSECONDS, Allowance, Scoped
from bartizan.policy.reasons import Reason
from bartizan.policy.tokens import Amount, Budget, Levels, Verdict

OTHERS_RETRY_SECONDS = 1
_FRESH: Levels = {}


class Budgets:
    def __init__(self, now_ns: Callable[[], int]) -> None:
        self._now_ns = now_ns
        self._clients: dict[str, Levels] = {}
        self._endpoint: Levels = _FRESH

    @contextmanager
    def hold(self, client: str, budgets: Scoped[Budget], most: Amount, spent: Callable[[], Amount]) -> Iterator[None]:
        """Hold the most that the request may cost; at the end, whatever it is, charge what it has `spent`.

        Raises Refusal where a budget has no room; then nothing is held nor charged.
        """
        now_ns = self._now_ns()
        own = tokens.hold(self._clients.get(client, _FRESH), budgets.client, most, now_ns)
        shared = tokens.hold(self._endpoint, budgets.endpoint, most, now_ns)
        if own.short is not None or shared.short is not None:
            raise _refusal(own, shared)
        self._clients[client], self._endpoint = own.levels, shared.levels
        try:
            yield
        finally:
            self._settle(client, budgets, held=most, spent=spent())

    def left(self, client: str, budgets: Scoped[Budget]) -> Allowance:
        """What the client may hold now, in the one of its own budgets that has least left."""
        levels, now_ns = self._clients.get(client, _FRESH), self._now_ns()
        return min((tokens.left(levels, budget, now_ns) for budget in budgets.client), key=lambda it: it.remaining)

    def _settle(self, client: str, budgets: Scoped[Budget], *, held: Amount, spent: Amount) -> None:
        now_ns = self._now_ns()
        levels = self._clients[client]
        self._clients[client] = tokens.settle(levels, budgets.client, held=held, spent=spent, now_ns=now_ns)
        self._endpoint = tokens.settle(self._endpoint, budgets.endpoint, held=held, spent=spent, now_ns=now_ns)


def _refusal(own: Verdict, shared: Verdict) -> Refusal:
    """Names the one that is further from having room: coming back for the other would be in vain."""
    verdict = tokens.worst(verdict for verdict in (own, shared) if verdict.short is not None)
    whose = "this client is" if verdict is own else "all clients of this endpoint together are"
    if verdict.wait_ns is None and not verdict.awaits_others:
        message = f"The request may cost more tokens than {whose} given; shorten it, or lower max_tokens."
        return Refusal(Reason.TOKENS_NEVER_FIT, message)
    seconds = OTHERS_RETRY_SECONDS if verdict.wait_ns is None else -(-verdict.wait_ns // NANOSECONDS)
    if verdict is own:
        message = "Too many tokens: this client's budget is used up. Retry-After says when to come back."
        return Refusal(Reason.TOKENS_LIMITED, message, retry_after_seconds=seconds)
    message = "Too many tokens for all clients together: Retry-After says when the endpoint takes more."
    return Refusal(Reason.ENDPOINT_TOKENS_LIMITED, message, retry_after_seconds=seconds)
