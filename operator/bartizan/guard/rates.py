"""Keeps request rates, each client's and the endpoint's: the state that policy.limits judges, kept across documents."""

from collections.abc import Mapping
from operator import attrgetter

from bartizan.guard import exhausted
from bartizan.guard.limits_file import REQUESTS, Name
from bartizan.guard.limits_memory import LONG_SECONDS, LimitsMemory
from bartizan.guard.refusal import Refusal
from bartizan.policy import limits
from bartizan.policy.limits import Pace, Scoped, Verdict

State = Mapping[int, int]
_UNKNOWN: State = {}
REMAINING = attrgetter("remaining")


class Rates:
    def __init__(self, memory: LimitsMemory) -> None:
        self._memory = memory
        self._states: dict[str, State] = {}

    def judge(self, client: str, paces: Scoped[Pace], now_ns: int) -> list[State]:
        """The client's state after one more request, and that of each it shares; nothing is charged; raises Refusal."""
        own = limits.judge(self.state(client, paces.client), paces.client, now_ns)
        if not paces.shared and not own.wait_ns:
            return [own.state]
        verdicts = {client: own}
        for whose, of in paces.shared:
            verdicts[whose] = limits.judge(self.state(whose, of), of, now_ns)
        if any(verdict.wait_ns for verdict in verdicts.values()):
            raise _refusal(client, verdicts)
        return [verdict.state for verdict in verdicts.values()]

    def take(self, client: str, paces: Scoped[Pace], now_ns: int) -> None:
        """Charge one request to the client and whatever it shares; raises Refusal, which charges nothing."""
        own, *shared = self.judge(client, paces, now_ns)
        self._keep(client, own, paces.client)
        for (whose, of), state in zip(paces.shared, shared, strict=True):
            self._keep(whose, state, of)

    def set(self, name: Name, until_ns: int) -> None:
        """Take over from the store when a window's charges will have leaked out."""
        whose, _, window_seconds = name
        self._states[whose] = {**self._states.get(whose, {}), window_seconds: until_ns}
        if window_seconds > LONG_SECONDS:
            self._memory.keep(name, until_ns)

    def left(self, client: str, paces: Scoped[Pace], now_ns: int) -> limits.Allowance:
        """What the client may ask now, in the one of its own windows that has least left."""
        state = self.state(client, paces.client)
        return min([limits.left(state, pace, now_ns) for pace in paces.client], key=REMAINING)

    def state(self, whose: str, paces: tuple[Pace, ...]) -> State:
        """By the window's seconds, when its charges will have leaked out; one that was never charged may be absent."""
        state = self._states.get(whose, _UNKNOWN)
        for pace in paces:
            window = pace.window_seconds
            if window > LONG_SECONDS and window not in state:
                state = {**state, window: self._memory.recall((whose, REQUESTS, window)).until_ns}
        return state

    def _keep(self, whose: str, state: State, paces: tuple[Pace, ...]) -> None:
        """Windows that do not hold now may hold again, as when a client is moved from tier to tier and back."""
        known = self._states.get(whose, _UNKNOWN)
        self._states[whose] = state if known.keys() <= state.keys() else {**known, **state}
        for pace in paces:
            if pace.window_seconds > LONG_SECONDS:
                self._memory.keep((whose, REQUESTS, pace.window_seconds), state[pace.window_seconds])


def _refusal(client: str, verdicts: Mapping[str, Verdict]) -> Refusal:
    """Names the one that takes longest: coming back for another would be in vain."""
    whose = max(verdicts, key=lambda whose: verdicts[whose].wait_ns)  # of two alike the first, which is the client's
    seconds = -(-verdicts[whose].wait_ns // limits.NANOSECONDS)
    return exhausted.requests(exhausted.scope_of(whose, client), seconds)
