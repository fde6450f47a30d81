"""Keeps each client's token budgets, judged by policy.tokens; what a request holds is held in a `with`: none leaks."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from bartizan.guard.refusal import Refusal
from bartizan.policy import tokens
from bartizan.policy.limits import NANOSECONDS, Allowance
from bartizan.policy.reasons import Reason
from bartizan.policy.tokens import Amount, Budget, Levels, Verdict

OTHERS_RETRY_SECONDS = 1
_FRESH: Levels = {}


class Budgets:
    def __init__(self, now_ns: Callable[[], int]) -> None:
        self._now_ns = now_ns
        self._levels: dict[str, Levels] = {}

    @contextmanager
    def hold(
        self, client: str, budgets: tuple[Budget, ...], most: Amount, spent: Callable[[], Amount]
    ) -> Iterator[None]:
        """Hold the most that the request may cost; at the end, whatever it is, charge what it has `spent`.

        Raises Refusal where a budget has no room; then nothing is held nor charged.
        """
        verdict = tokens.hold(self._levels.get(client, _FRESH), budgets, most, self._now_ns())
        if verdict.short is not None:
            raise _refusal(verdict)
        self._levels[client] = verdict.levels
        try:
            yield
        finally:
            self._levels[client] = tokens.settle(
                self._levels[client], budgets, held=most, spent=spent(), now_ns=self._now_ns()
            )

    def left(self, client: str, budgets: tuple[Budget, ...]) -> Allowance:
        """What the client may hold now of the budget that has least left."""
        levels, now_ns = self._levels.get(client, _FRESH), self._now_ns()
        return min((tokens.left(levels, budget, now_ns) for budget in budgets), key=lambda found: found.remaining)


def _refusal(verdict: Verdict) -> Refusal:
    if verdict.wait_ns is None and not verdict.awaits_others:
        message = "The request may cost more tokens than this client is given; shorten it, or lower max_tokens."
        return Refusal(Reason.TOKENS_NEVER_FIT, message)
    seconds = OTHERS_RETRY_SECONDS if verdict.wait_ns is None else -(-verdict.wait_ns // NANOSECONDS)
    message = "Too many tokens: this client's budget is used up. Retry-After says when to come back."
    return Refusal(Reason.TOKENS_LIMITED, message, retry_after_seconds=seconds)
