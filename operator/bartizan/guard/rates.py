"""Keeps each client's request rate: the state that policy.limits judges, kept across documents."""

from collections.abc import Mapping

from bartizan.guard.refusal import Refusal
from bartizan.policy import limits
from bartizan.policy.reasons import Reason

_FRESH: Mapping[int, int] = {}


class Rates:
    def __init__(self) -> None:
        self._state: dict[str, Mapping[int, int]] = {}

    def judge(self, client: str, paces: tuple[limits.Pace, ...], now_ns: int) -> Mapping[int, int]:
        """The client's state after one more request, which is not charged yet; raises Refusal."""
        verdict = limits.judge(self._state.get(client, _FRESH), paces, now_ns)
        if verdict.wait_ns:
            seconds = -(-verdict.wait_ns // limits.NANOSECONDS)
            message = "Too many requests: this client's rate is used up. Retry-After says when to come back."
            raise Refusal(Reason.RATE_LIMITED, message, retry_after_seconds=seconds)
        return verdict.state

    def take(self, client: str, paces: tuple[limits.Pace, ...], now_ns: int) -> None:
        """Charge one request to the client; raises Refusal, which charges nothing."""
        self._state[client] = self.judge(client, paces, now_ns)

    def left(self, client: str, paces: tuple[limits.Pace, ...], now_ns: int) -> limits.Allowance:
        """What the client may ask now in the window that has least left."""
        state = self._state.get(client, _FRESH)
        return min((limits.left(state, pace, now_ns) for pace in paces), key=lambda found: found.remaining)
