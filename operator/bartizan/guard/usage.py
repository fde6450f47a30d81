"""Says what of this guard's long windows is used, and takes over what others have used: a new pod's, and later more."""

import secrets
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from bartizan.guard import limits_file, log
from bartizan.guard.enforcement import Enforcement
from bartizan.guard.limits_file import REQUESTS, Kept, Name
from bartizan.guard.limits_memory import LONG_SECONDS
from bartizan.guard.shared import Own
from bartizan.policy import usage
from bartizan.policy.document import EndpointRef
from bartizan.policy.limits import NANOSECONDS, Pace
from bartizan.policy.usage import UsageError

if TYPE_CHECKING:
    from bartizan.policy.tokens import Budget


class _Window(NamedTuple):
    """`until_ns`: when what was charged will have leaked out; `held`: tokens of requests under way."""

    name: Name
    until_ns: int
    held: int
    interval_ns: int
    most: int

    @property
    def used_up_ns(self) -> int:
        """The time in which a share refills of which all is used: the window's, or more where that is less than one."""
        return max(self.name[2] * NANOSECONDS, self.most * self.interval_ns)


class UsageOfWindows:
    """The windows are those of the document in force."""

    def __init__(self, own: Own, key: Ed25519PublicKey, endpoint: EndpointRef) -> None:
        self._own = own
        self._key = key
        self._endpoint = endpoint
        self.nonce = secrets.token_hex(16)
        """Of the one notice that will be taken next."""

    @property
    def is_awaited(self) -> bool:
        """Whether this pod is new, and its windows began with a guess."""
        return self._own.memory.is_provisional

    def said(self, enforcement: Enforcement) -> usage.Usage | None:
        """None where there are more windows than can be said."""
        now_ns = self._own.now_ns()
        said = {}
        for window in self._windows(enforcement):
            ahead_ns = max(0, window.until_ns - now_ns) + window.held * window.interval_ns
            if ahead_ns > 0:
                seconds = -(-ahead_ns // NANOSECONDS)
                said[limits_file.digest(window.name).hex()] = min(seconds, usage.MOST_SECONDS)
        return said if len(said) <= usage.MOST_WINDOWS else None

    def take(self, text: bytes, enforcement: Enforcement) -> None:
        """Charge what the notice says that others have used; raises UsageError."""
        notice = usage.decode(text, self._key, self._endpoint)
        if not secrets.compare_digest(notice.nonce.encode(), self.nonce.encode()):
            raise UsageError("the notice is for another guard, or for another start of it, or was taken already")
        if notice.begins != self.is_awaited:
            raise UsageError("a guard begins once, and with nothing else")
        self.nonce = secrets.token_hex(16)
        if notice.usage is None:
            self._own.memory.settle(None)
        elif notice.begins:
            self._begin_anew(notice.usage, enforcement)
        else:
            self._charge(notice.usage, enforcement)
        windows = None if notice.usage is None else len(notice.usage)
        log.info("usage told", windows=windows, begins=notice.begins)

    def _begin_anew(self, told: usage.Usage, enforcement: Enforcement) -> None:
        memory, now_ns = self._own.memory, self._own.now_ns()
        known = {bytes.fromhex(of): Kept(now_ns + seconds * NANOSECONDS, 0, now_ns) for of, seconds in told.items()}
        changed = {}
        for window in self._windows(enforcement):
            of = limits_file.digest(window.name)
            own_ns = max(0, window.until_ns - max(memory.guess_ns(window.name), now_ns))
            # Whoever spoke in a guard's place said what it liked: it keeps nobody out for longer than a share lasts.
            others_ns = min(told.get(of.hex(), 0) * NANOSECONDS, window.used_up_ns)
            fresh_ns = now_ns + others_ns + own_ns
            known[of] = Kept(fresh_ns, window.held, now_ns)
            if fresh_ns != window.until_ns:
                changed[window.name] = fresh_ns
        memory.settle(known)
        for name, fresh_ns in changed.items():
            self._set(name, fresh_ns)

    def _charge(self, told: usage.Usage, enforcement: Enforcement) -> None:
        now_ns = self._own.now_ns()
        for window in list(self._windows(enforcement)):
            if more := told.get(limits_file.digest(window.name).hex(), 0):
                charged_ns = max(window.until_ns, now_ns)
                fresh_ns = min(charged_ns + more * NANOSECONDS, max(charged_ns, now_ns + window.used_up_ns))
                self._set(window.name, fresh_ns)

    def _set(self, name: Name, until_ns: int) -> None:
        keeper = self._own.rates if name[1] == REQUESTS else self._own.budgets
        keeper.set(name, until_ns)

    def _windows(self, enforcement: Enforcement) -> Iterator[_Window]:
        """Of every client, of every tier and of the endpoint, each once."""
        yield from self._of_requests(enforcement)
        yield from self._of_tokens(enforcement)

    def _of_requests(self, enforcement: Enforcement) -> Iterator[_Window]:
        paces: dict[str, tuple[Pace, ...]] = {}
        for client in enforcement.clients:
            scoped = enforcement.of(client).paces
            paces |= {client: scoped.client, **dict(scoped.shared)}
        for whose, given in paces.items():
            state = self._own.rates.state(whose, given)
            for pace in given:
                if (seconds := pace.window_seconds) > LONG_SECONDS:
                    yield _Window((whose, REQUESTS, seconds), state[seconds], 0, pace.interval_ns, pace.burst)

    def _of_tokens(self, enforcement: Enforcement) -> Iterator[_Window]:
        budgets: dict[str, tuple[Budget, ...]] = {}
        for client in enforcement.clients:
            scoped = enforcement.of(client).budgets
            budgets |= {client: scoped.client, **dict(scoped.shared)}
        for whose, given in budgets.items():
            levels = self._own.budgets.levels(whose, given)
            for budget in given:
                if budget.window_seconds > LONG_SECONDS:
                    level = levels[budget.name]
                    until_ns, held = level
                    yield _Window((whose, *budget.name), until_ns, held, budget.interval_ns, budget.most)
