"""Token budgets under any interleaving: what is charged keeps to every window, what is held is given back, exactly."""

import random
from collections import defaultdict
from contextlib import ExitStack
from dataclasses import dataclass, field

from tests.fuzz.mutation import Script
from tests.fuzz.target import Target
from tests.unit.guard.stand import FORGETFUL

from bartizan.guard.budgets import Budgets
from bartizan.guard.refusal import Refusal
from bartizan.policy import tokens
from bartizan.policy.limits import NANOSECONDS, Scoped
from bartizan.policy.tokens import Amount, Budget, Kind

CLIENTS = ("a", "b")
LIMITS = (1, 10, 64, 1000)
WINDOWS = (1, 60, 3600)
SIZES = (0, 1, 3, 10, 64, 600)


@dataclass
class UnderWay:
    client: str
    most: Amount
    spent: Amount = field(default_factory=Amount)
    held: ExitStack = field(default_factory=ExitStack)


@dataclass
class Ledger:
    """What each client was charged, and when."""

    now: int = 0
    charged: dict[str, list[tuple[int, Amount]]] = field(default_factory=lambda: defaultdict(list))


def make(chance: random.Random) -> bytes:
    return chance.randbytes(chance.randrange(4, 160))


def judge(case: bytes) -> None:
    script, ledger = Script(case), Ledger()
    kept = Budgets(FORGETFUL, lambda: ledger.now)
    budgets = Scoped(_budgets(script), _budgets(script))
    running: list[UnderWay] = []
    while not script.is_over:
        match script.number(4):
            case 0:
                ledger.now += (0, 1, budgets.client[0].interval_ns, 60 * NANOSECONDS)[script.number(4)]
            case 1 if running:
                _end(running.pop(script.number(len(running))), script, ledger)
            case _:
                _begin(kept, budgets, script, running)
        _judge_held(kept, budgets, running)
    for one in running:
        _end(one, script, ledger)
    _judge_held(kept, budgets, [])
    for charges in ledger.charged.values():
        for budget in budgets.client:
            _judge_charges(charges, budget)
    for budget in budgets.endpoint:
        _judge_charges(sorted((charge for of in ledger.charged.values() for charge in of), key=_moment), budget)


def _moment(charge: tuple[int, Amount]) -> int:
    return charge[0]


def _budgets(script: Script) -> tuple[Budget, ...]:
    chosen = {
        (tuple(Kind)[script.number(3)], WINDOWS[script.number(len(WINDOWS))]): LIMITS[script.number(len(LIMITS))]
        for _ in range(1 + script.number(3))
    }
    replicas = 1 + script.number(3)
    return tuple(tokens.share(kind, limit, window, replicas=replicas) for (kind, window), limit in chosen.items())


def _begin(kept: Budgets, budgets: Scoped[Budget], script: Script, running: list[UnderWay]) -> None:
    client = CLIENTS[script.number(len(CLIENTS))]
    one = UnderWay(client, Amount(SIZES[script.number(len(SIZES))], SIZES[script.number(len(SIZES))]))
    before = dict(kept._levels)
    try:
        one.held.enter_context(kept.hold(client, budgets, one.most, lambda: one.spent))
    except Refusal:
        assert kept._levels == before, "a refusal held something"
        return
    running.append(one)


def _end(one: UnderWay, script: Script, ledger: Ledger) -> None:
    """It has cost no more than was held for it, as long as the server keeps to max_tokens."""
    one.spent = Amount(script.number(one.most.input + 1, size=2), script.number(one.most.output + 1, size=2))
    one.held.close()
    ledger.charged[one.client].append((ledger.now, one.spent))


def _judge_held(kept: Budgets, budgets: Scoped[Budget], running: list[UnderWay]) -> None:
    for whose, levels in kept._levels.items():
        for budget in budgets.client if whose else budgets.endpoint:
            held = sum(one.most.of(budget.kind) for one in running if whose in ("", one.client))
            found = levels[budget.name].held if budget.name in levels else 0
            assert found == held, f"{found} tokens are held for requests that may cost {held}"
            assert held <= budget.most, "more is held than the window has"


def _judge_charges(charges: list[tuple[int, Amount]], budget: Budget) -> None:
    for first in range(len(charges)):
        total = 0
        for last in range(first, len(charges)):
            total += charges[last][1].of(budget.kind)
            most = budget.most + -(-(charges[last][0] - charges[first][0]) // budget.interval_ns)
            assert total <= most, f"{total} tokens where {most} may be charged"


TARGET = Target("budgets", make, judge)
