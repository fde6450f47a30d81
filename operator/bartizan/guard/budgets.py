"""Keeps token budgets, each client's and the endpoint's; what a request holds is held in a `with`: none leaks."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager

from bartizan.guard import exhausted
from bartizan.guard.limits_file import Name
from bartizan.guard.limits_memory import LONG_SECONDS, LimitsMemory
from bartizan.guard.rates import REMAINING
from bartizan.guard.refusal import Refusal
from bartizan.policy import tokens
from bartizan.policy.limits import NANOSECONDS, Allowance, Scoped
from bartizan.policy.tokens import Amount, Budget, Kind, Level, Levels, Verdict

_UNKNOWN: Levels = {}


class Budgets:
    def __init__(self, memory: LimitsMemory, now_ns: Callable[[], int]) -> None:
        self._memory = memory
        self._now_ns = now_ns
        self._levels: dict[str, Levels] = {}

    def hold(
        self, client: str, budgets: Scoped[Budget], most: Amount, spent: Callable[[], Amount]
    ) -> AbstractContextManager[None]:
        """Hold the most that the request may cost; at the end, whatever it is, charge what it has `spent`.

        Entering raises Refusal where a budget has no room; then nothing is held nor charged.
        """
        return _Hold(self, client, budgets, most, spent)

    def take(self, client: str, budgets: Scoped[Budget], most: Amount) -> None:
        """Hold so much until it is settled; raises Refusal."""
        now_ns = self._now_ns()
        own = tokens.hold(self.levels(client, budgets.client), budgets.client, most, now_ns)
        if not budgets.shared and own.short is None:
            self._keep(client, own.levels, budgets.client)
            return
        verdicts = {client: own}
        for whose, of in budgets.shared:
            verdicts[whose] = tokens.hold(self.levels(whose, of), of, most, now_ns)
        if any(verdict.short is not None for verdict in verdicts.values()):
            raise _refusal(client, verdicts)
        for whose, of in ((client, budgets.client), *budgets.shared):
            self._keep(whose, verdicts[whose].levels, of)

    def settle(self, client: str, budgets: Scoped[Budget], most: Amount, spent: Amount) -> None:
        """Charge what was spent of what was held."""
        self._settle(client, budgets.client, most, spent)
        for whose, of in budgets.shared:
            self._settle(whose, of, most, spent)

    def set(self, name: Name, until_ns: int) -> None:
        """Take over from the store when a window's charges will have leaked out."""
        whose, kind, window_seconds = name
        levels = self._levels.get(whose, {})
        held = levels.get((Kind(kind), window_seconds), Level()).held
        self._levels[whose] = {**levels, (Kind(kind), window_seconds): Level(until_ns, held)}
        if window_seconds > LONG_SECONDS:
            self._memory.keep(name, until_ns, held)

    def add_held(self, client: str, budgets: Scoped[Budget], more: Amount) -> None:
        """Know what the store holds for a request of this guard's; what is negative is let go."""
        for whose, of in ((client, budgets.client), *budgets.shared):
            levels = self.levels(whose, of)
            changed = {
                budget.name: Level(level.charged_until_ns, max(0, level.held + more.of(budget.kind)))
                for budget in of
                for level in (levels.get(budget.name, Level()),)
            }
            self._keep(whose, {**levels, **changed}, of)

    def charge(self, client: str, budgets: Scoped[Budget], cost: Amount) -> None:
        """What the store held and could not be told."""
        for whose, of in ((client, budgets.client), *budgets.shared):
            now_ns, levels = self._now_ns(), self.levels(whose, of)
            self._keep(whose, tokens.settle(levels, of, held=Amount(), spent=cost, now_ns=now_ns), of)

    def left(self, client: str, budgets: Scoped[Budget]) -> Allowance:
        """What the client may hold now, in the one of its own budgets that has least left."""
        levels, now_ns = self.levels(client, budgets.client), self._now_ns()
        return min([tokens.left(levels, budget, now_ns) for budget in budgets.client], key=REMAINING)

    def levels(self, whose: str, budgets: tuple[Budget, ...]) -> Levels:
        """What is charged and held; one that was never charged may be absent."""
        levels = self._levels.get(whose, _UNKNOWN)
        for budget in budgets:
            if budget.window_seconds > LONG_SECONDS and budget.name not in levels:
                levels = {**levels, budget.name: self._recall(whose, budget)}
        return levels

    def _settle(self, whose: str, budgets: tuple[Budget, ...], held: Amount, spent: Amount) -> None:
        if budgets:
            levels = tokens.settle(self._levels[whose], budgets, held=held, spent=spent, now_ns=self._now_ns())
            self._keep(whose, levels, budgets)

    def _recall(self, whose: str, budget: Budget) -> Level:
        """What a request held that was under way when the guard died counts as spent: nobody knows what it cost."""
        kept = self._memory.recall((whose, *budget.name))
        base_ns = max(kept.until_ns, self._now_ns()) if kept.held else kept.until_ns
        return Level(base_ns + kept.held * budget.interval_ns)

    def _keep(self, whose: str, levels: Levels, budgets: tuple[Budget, ...]) -> None:
        if not budgets:
            return
        self._levels[whose] = levels
        for budget in budgets:
            if budget.window_seconds > LONG_SECONDS:
                level = levels[budget.name]
                self._memory.keep((whose, *budget.name), level.charged_until_ns, level.held)


class _Hold:
    """What is held of one client's budgets for one request."""

    __slots__ = ("_budgets", "_client", "_kept", "_most", "_spent")

    def __init__(
        self, kept: Budgets, client: str, budgets: Scoped[Budget], most: Amount, spent: Callable[[], Amount]
    ) -> None:
        self._kept = kept
        self._client = client
        self._budgets = budgets
        self._most = most
        self._spent = spent

    def __enter__(self) -> None:
        self._kept.take(self._client, self._budgets, self._most)

    def __exit__(self, *_: object) -> None:
        self._kept.settle(self._client, self._budgets, self._most, self._spent())


def _refusal(client: str, verdicts: Mapping[str, Verdict]) -> Refusal:
    """Names the one that is furthest from having room: coming back for another would be in vain."""
    verdict = tokens.worst(verdict for verdict in verdicts.values() if verdict.short is not None)
    scope = exhausted.scope_of(next(whose for whose, found in verdicts.items() if found is verdict), client)
    if verdict.wait_ns is None and not verdict.awaits_others:
        return exhausted.never(scope)
    seconds = exhausted.OTHERS_RETRY_SECONDS if verdict.wait_ns is None else -(-verdict.wait_ns // NANOSECONDS)
    return exhausted.tokens(scope, seconds)
