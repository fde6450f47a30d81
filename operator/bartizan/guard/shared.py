"""Limits that all guards of an endpoint count together, in a store; while that is away, each holds its own share.

By the store's last word and by its own charges since a guard knows what is left of its share while the store is away.
What it gives meanwhile it owes: that is told to the store with the client's next request, so that none of it is given
twice.
"""

import asyncio
import secrets
from collections import Counter, deque
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bartizan.guard import allowance, log
from bartizan.guard.budgets import Budgets
from bartizan.guard.enforcement import Enforcement, Measures
from bartizan.guard.limits_file import Name, Owner
from bartizan.guard.limits_memory import LimitsMemory
from bartizan.guard.rates import Rates
from bartizan.guard.refusal import store_away
from bartizan.guard.shared_windows import Window, refusal
from bartizan.guard.store_script import HOLD, RELEASE, SETTLE, StoreError
from bartizan.policy.limits import NANOSECONDS
from bartizan.policy.tokens import Amount, Kind

if TYPE_CHECKING:
    from bartizan.guard.store import Store
    from bartizan.policy.document import SharedStore

NS_A_US = 1000
PAUSE_NS = NANOSECONDS
"""After a failure, how long nobody asks the store; then one request does."""
MOST_UNSETTLED = 1024
GRACE_SECONDS = 60
"""How long after the longest request its lease is given up: its guard is gone by then."""
NOTHING = Amount()


@dataclass(frozen=True, slots=True)
class Claim:
    """What one request may cost whom, by which document, and what it has cost so far."""

    enforcement: Enforcement
    client: str
    most: Amount
    spent: Callable[[], Amount]

    @property
    def measures(self) -> Measures:
        return self.enforcement.of(self.client)

    @property
    def told(self) -> list[str | int]:
        """All windows, as the script takes them, with nothing known of them nor owed."""
        return [part for window, _ in self.measures.whole.windows for part in (*window.told, 0, 0)]

    @property
    def windows(self) -> Iterator[Window]:
        """Those that hold for the client."""
        return (window for window, holds in self.measures.whole.windows if holds)


@dataclass(frozen=True, slots=True)
class Lease:
    """A claim as the store has it, asked for at `asked_ns`."""

    member: str
    claim: Claim
    asked_ns: int


@dataclass(frozen=True, slots=True)
class Own:
    """What this guard keeps itself; `folder` holds the store's credential.

    No answer but a stream takes longer than `longest_seconds`.
    """

    memory: LimitsMemory
    rates: Rates
    budgets: Budgets
    folder: Path
    longest_seconds: float
    now_ns: Callable[[], int]


class SharedLimits:
    """`is_away` while the store does not answer, and until it first has."""

    def __init__(self, own: Own) -> None:
        self.is_away = True
        self.front = Rates(LimitsMemory(None, Owner("", ""), own.now_ns))
        """What a client has asked of this guard, by the whole limit: it bounds bodies that are read before the store is
        asked."""
        self.own = own
        self._store: Store | None = None
        self._using: SharedStore | None = None
        self._next_try_ns = 0
        self._known: dict[Name, int] = {}
        """The store's last word: when all that it had counted will have leaked out."""
        self._owed: Counter[Name] = Counter()
        """Requests and tokens that this guard gave by its share."""
        self._unsettled: deque[Lease] = deque(maxlen=MOST_UNSETTLED)
        self._is_releasing = False
        self._retry: asyncio.TimerHandle | None = None
        self._is_closing = False
        self._at_work: set[asyncio.Task[None]] = set()

    @property
    def is_configured(self) -> bool:
        return self._using is not None

    def use(self, taken: Enforcement) -> None:
        """Speak to the document's store from now on, if it names one."""
        wanted = taken.document.store
        if wanted == self._using:
            return
        if self._store is not None:
            self._spawn(self._store.close())
        self._using, self._store = wanted, None
        self.is_away, self._next_try_ns = True, 0
        if wanted is not None:
            # Most endpoints have none, and the client is a fifth of what a guard weighs.
            from bartizan.guard.store import Place, Store  # noqa: PLC0415

            self._store = Store(Place(wanted, self.own.folder), taken.document.endpoint.uid)

    def take(self, enforcement: Enforcement, client: str) -> bool:
        """Charge a request before its body is read, and say whether it was to this guard's share; raises Refusal."""
        measures = enforcement.of(client)
        if self._finds_out(measures):
            return False
        if self.is_away:
            self.own.rates.take(client, measures.paces, self.own.now_ns())
            return True
        self.front.take(client, measures.whole.paces, self.own.now_ns())
        return False

    def judge(self, enforcement: Enforcement, client: str) -> None:
        """As `take`, without the charge."""
        measures = enforcement.of(client)
        if self._finds_out(measures):
            return
        rates, paces = (self.own.rates, measures.paces) if self.is_away else (self.front, measures.whole.paces)
        rates.judge(client, paces, self.own.now_ns())

    def _finds_out(self, measures: Measures) -> bool:
        """Whether the request may do nothing but find out whether the store is back; raises Refusal before its time.

        That charges nothing: who is given nothing uses up no share, its own nor what others have in it.
        """
        if not (measures.needs_store and self.is_away):
            return False
        if self.own.now_ns() < self._next_try_ns:
            raise store_away()
        return True

    async def hold(self, claim: Claim, *, is_charged: bool) -> tuple[AbstractContextManager[None], bool]:
        """Charge one request and hold what it may cost until the returned context ends; raises Refusal.

        `is_charged` to the share already. The second part says whether the store has counted it.
        """
        if self._store is not None and self._may_try():
            member = ":".join(
                (secrets.token_hex(8), str(claim.most.input), str(claim.most.output), claim.measures.tier, claim.client)
            )
            lease = Lease(member, claim, self.own.now_ns())
            asked = asyncio.ensure_future(self._ask(lease, self._store))
            try:
                waits = await asyncio.shield(asked)
            except asyncio.CancelledError:
                self._spawn(self._give_up(asked, lease))
                raise
            except StoreError as error:
                self._lose(error)
                self._release(lease)  # it may have been granted
            else:
                if any(waits):
                    raise refusal(tuple(window for window, _ in claim.measures.whole.windows), waits)
                return self._granted(lease), True
        if claim.measures.needs_store:
            raise store_away()
        if not is_charged:
            self.own.rates.take(claim.client, claim.measures.paces, self.own.now_ns())
        return self._alone(claim), False

    def left(self, enforcement: Enforcement, client: str) -> bytes:
        """What the client may ask of all guards together, as far as this one knows."""
        whole = enforcement.of(client).whole
        requests = self.front.left(client, whole.paces, self.own.now_ns())
        return allowance.headers(requests, self.own.budgets.left(client, whole.budgets))

    async def close(self, seconds: float) -> None:
        """Let what is being settled be settled."""
        self._is_closing = True
        if self._retry is not None:
            self._retry.cancel()
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, seconds)):
                while self._at_work:  # what ends may have more to tell
                    await asyncio.wait(self._at_work)
        if self._store is not None:
            await self._store.close()

    def _may_try(self) -> bool:
        """While the store is away one request at a time finds out whether it is back."""
        if not self.is_away:
            return True
        now_ns = self.own.now_ns()
        if now_ns < self._next_try_ns:
            return False
        self._next_try_ns = now_ns + PAUSE_NS
        return True

    def _lose(self, error: StoreError) -> None:
        if not self.is_away:
            log.warning("store away, the local share holds", error=str(error))
        self.is_away = True
        self._next_try_ns = self.own.now_ns() + PAUSE_NS

    def _regain(self) -> None:
        if self.is_away:
            log.info("store answers")
            self.is_away = False
            self._try_to_release()

    async def _ask(self, lease: Lease, store: "Store") -> list[int]:
        """How long each window makes wait; all nothing where the lease is granted. Raises StoreError."""
        claim = lease.claim
        lifetime = max(self.own.longest_seconds, claim.enforcement.document.max_stream_seconds) + GRACE_SECONDS
        told: list[str | int] = []
        owed = Counter[Name]()
        for window, holds in claim.measures.whole.windows:
            if not holds:
                told += [*window.told, 0, 0]
                continue
            name = window.of(claim.client)
            owed[name] = self._owed.pop(name, 0)
            told += [*window.told, max(0, self._known.get(name, 0) - lease.asked_ns) // NS_A_US, owed[name]]
        figures = (int(lifetime * 1e6), claim.most.input, claim.most.output)
        try:
            answer = await store.run(HOLD, lease.member, claim.client, claim.measures.tier, *figures, "", *told)
            self._learn(claim, answer, lease.asked_ns)
        except BaseException:  # it may have been taken; better told twice than not
            self._owed.update(owed)
            raise
        self._regain()
        return answer[1::2]

    def _learn(self, claim: Claim, answer: list[int], asked_ns: int) -> None:
        """What is charged, counted from when it was asked, which was before the store looked at its clock."""
        windows = claim.measures.whole.windows
        if len(answer) != 1 + 2 * len(windows):
            raise StoreError("the store's answer is none of ours")
        for (window, holds), ahead_us in zip(windows, answer[2::2], strict=True):
            if not holds:
                continue
            name = window.of(claim.client)
            until_ns = self._known[name] = max(self._known.get(name, 0), asked_ns + ahead_us * NS_A_US)
            if window.is_of_requests:
                self.front.set(name, until_ns)
                self.own.rates.set(name, until_ns)
            else:
                self.own.budgets.set(name, until_ns)

    @contextmanager
    def _granted(self, lease: Lease) -> Iterator[None]:
        claim, budgets = lease.claim, lease.claim.measures.whole.budgets
        self.own.budgets.add_held(claim.client, budgets, claim.most)
        try:
            yield
        finally:
            self.own.budgets.add_held(claim.client, budgets, Amount(-claim.most.input, -claim.most.output))
            self._spawn(self._settle(lease, claim.spent()))

    async def _settle(self, lease: Lease, cost: Amount) -> None:
        claim, asked_ns = lease.claim, self.own.now_ns()
        lifetime = max(self.own.longest_seconds, claim.enforcement.document.max_stream_seconds)
        flag = "1" if asked_ns - lease.asked_ns < lifetime * NANOSECONDS else ""  # else it was given up, and so charged
        if self._store is not None and not self.is_away:
            try:
                figures = (0, cost.input, cost.output)
                names = (claim.client, claim.measures.tier)
                answer = await self._store.run(SETTLE, lease.member, *names, *figures, flag, *claim.told)
                self._learn(claim, answer, asked_ns)
            except StoreError as error:
                self._lose(error)
            else:
                return
        self._release(lease)
        self.own.budgets.charge(claim.client, claim.measures.budgets, cost)
        self._owe_tokens(claim, cost)

    async def _give_up(self, asked: "asyncio.Future[list[int]]", lease: Lease) -> None:
        """The caller has left while the store was asked: what it grants is let go of once it has answered."""
        with suppress(StoreError):
            await asked
        self._release(lease)

    def _release(self, lease: Lease) -> None:
        """Let the store forget a lease as soon as it can be told: until then it keeps room from every guard's callers.

        What it has cost is owed, and told with the next request; or it may never have been granted.
        """
        self._unsettled.append(lease)
        self._try_to_release()

    def _try_to_release(self) -> None:
        if self._unsettled and not self._is_releasing:
            self._is_releasing = True
            self._spawn(self._release_unsettled())

    def _try_later(self) -> None:
        if self._is_closing:
            return
        if self._retry is not None:
            self._retry.cancel()
        self._retry = asyncio.get_running_loop().call_later(PAUSE_NS / NANOSECONDS, self._try_to_release)

    async def _release_unsettled(self) -> None:
        """As many as the store takes; the rest after a pause, since no request may come that finds the store back."""
        try:
            while self._unsettled and self._store is not None:
                lease = self._unsettled.popleft()
                try:
                    names = (lease.claim.client, lease.claim.measures.tier)
                    await self._store.run(RELEASE, lease.member, *names, 0, 0, 0, "", *lease.claim.told)
                except StoreError as error:
                    self._unsettled.append(lease)
                    self._lose(error)
                    self._try_later()
                    return
                self._regain()
        finally:
            self._is_releasing = False

    @contextmanager
    def _alone(self, claim: Claim) -> Iterator[None]:
        """By this guard's own share."""
        with self.own.budgets.hold(claim.client, claim.measures.budgets, claim.most, claim.spent):
            for window in claim.windows:
                if window.is_of_requests:
                    self._owed[window.of(claim.client)] += 1
            try:
                yield
            finally:
                self._owe_tokens(claim, claim.spent())

    def _owe_tokens(self, claim: Claim, cost: Amount) -> None:
        for window in claim.windows:
            if not window.is_of_requests:
                self._owed[window.of(claim.client)] += cost.of(Kind(window.what))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._at_work.add(task)
        task.add_done_callback(self._at_work.discard)
