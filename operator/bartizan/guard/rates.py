"""Keeps request rates, each client's and the endpoint's: the state that policy.limits judges, kept across documents."""

from collections.abc import Mapping
from operator import attrgetter

from bartizan.guard.limits_file import Name
from bartizan.guard.limits_memory import LONG_SECONDS, LimitsMemory
from bartizan.guard.refusal import Refusal
from bartizan.policy import limits
from bartizan.policy.limits import Pace, Scoped
from bartizan.policy.reasons import Reason

State = Mapping[int, int]
ENDPOINT = ""
"""Stands where a client's name does; none is empty."""
_REQUESTS = "Requests"
REMAINING = attrgetter("remaining")


class Rates:
    def __init__(self, memory: LimitsMemory) -> None:
        self._memory = memory
        self._states: dict[str, State] = {}

    def judge(self, client: str, paces: Scoped[Pace], now_ns: int) -> tuple[State, State]:
        """The client's state and the endpoint's after one more request, not charged yet; raises Refusal."""
        own = limits.judge(self._state(client, paces.client), paces.client, now_ns)
        if not paces.endpoint and not own.wait_ns:
            return own.state, {}
        shared = limits.judge(self._state(ENDPOINT, paces.endpoint), paces.endpoint, now_ns)
        if own.wait_ns or shared.wait_ns:
            raise _refusal(own.wait_ns, shared.wait_ns)
        return own.state, shared.state

    def take(self, client: str, paces: Scoped[Pace], now_ns: int) -> None:
        """Charge one request to the client and the endpoint; raises Refusal, which charges nothing."""
        own, shared = self.judge(client, paces, now_ns)
        self._keep(client, own, paces.client)
        if paces.endpoint:
            self._keep(ENDPOINT, shared, paces.endpoint)

    def set(self, name: Name, until_ns: int) -> None:
        """Take over from the store when a window's charges will have leaked out."""
        whose, _, window_seconds = name
        self._states[whose] = {**self._states.get(whose, {}), window_seconds: until_ns}
        if window_seconds > LONG_SECONDS:
            self._memory.keep(name, until_ns)

    def left(self, client: str, paces: Scoped[Pace], now_ns: int) -> limits.Allowance:
        """What the client may ask now, in the one of its own windows that has least left."""
        state = self._state(client, paces.client)
        return min([limits.left(state, pace, now_ns) for pace in paces.client], key=REMAINING)

    def _state(self, whose: str, paces: tuple[Pace, ...]) -> State:
        state = self._states.get(whose)
        if state is None:
            windows = [pace.window_seconds for pace in paces if pace.window_seconds > LONG_SECONDS]
            state = {window: self._memory.recall((whose, _REQUESTS, window)).until_ns for window in windows}
        return state

    def _keep(self, whose: str, state: State, paces: tuple[Pace, ...]) -> None:
        self._states[whose] = state
        for pace in paces:
            if pace.window_seconds > LONG_SECONDS:
                self._memory.keep((whose, _REQUESTS, pace.window_seconds), state[pace.window_seconds])


def _refusal(own_ns: int, shared_ns: int) -> Refusal:
    """Names the one that takes longer: coming back for the other would be in vain."""
    seconds = -(-max(own_ns, shared_ns) // limits.NANOSECONDS)
    if own_ns >= shared_ns:
        message = "Too many requests: this client's rate is used up. Retry-After says when to come back."
        return Refusal(Reason.RATE_LIMITED, message, retry_after_seconds=seconds)
    message = "Too many requests from all clients together: Retry-After says when the endpoint takes more."
    return Refusal(Reason.ENDPOINT_RATE_LIMITED, message, retry_after_seconds=seconds)
