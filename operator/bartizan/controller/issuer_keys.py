"""The keys of the issuers that the installation names: fetched, refreshed, and kept for a while when one is away."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from bartizan.controller import metrics
from bartizan.controller.cluster_keys import KeySet
from bartizan.controller.fetch import FetchError
from bartizan.controller.log import logger
from bartizan.policy import jwks
from bartizan.policy.issuers import IssuerSetting
from bartizan.policy.jwks import JwksError, VerifyKey

REFRESH_SECONDS = 300.0
"""How soon a new key is believed, and one that is gone no more; issuers publish a key before they sign with it."""
STALE_SECONDS = 6 * 3600.0
"""How long keys are kept while their issuer is away: one that it has withdrawn meanwhile must not live on."""
FIRST_WAIT_SECONDS = 5.0
PATIENCE_SECONDS = 20.0
"""How long reconciles wait for an issuer's first answer: a document without its keys shuts its clients out."""

LOGGER = logger(__name__)
Fetch = Callable[[IssuerSetting], Awaitable[Any]]


@dataclass(slots=True)
class Held:
    """What is known of one issuer's keys; moments in seconds."""

    issuer: str
    keys: tuple[VerifyKey, ...] = ()
    fetched_at: float | None = None
    failures: int = 0

    def succeed(self, keys: tuple[VerifyKey, ...], now: float) -> None:
        self.keys, self.fetched_at, self.failures = keys, now, 0

    def fail(self) -> None:
        self.failures += 1

    def wait_seconds(self) -> float:
        """Until the next try: the refresh's period, or after failures in a row ever longer up to that."""
        if not self.failures:
            return REFRESH_SECONDS
        return float(min(FIRST_WAIT_SECONDS * 2.0 ** min(self.failures - 1, 16), REFRESH_SECONDS))

    def current(self, now: float) -> KeySet:
        if self.fetched_at is None:
            return KeySet(self.issuer, (), "its keys could not be fetched yet; the operator's log says why")
        if now - self.fetched_at > STALE_SECONDS:
            hours = f"{STALE_SECONDS / 3600:.0f} hours"
            why = f"its keys could not be fetched for {hours} and count no more; the operator's log says why"
            return KeySet(self.issuer, (), why)
        return KeySet(self.issuer, self.keys, "" if self.keys else "it publishes no key that can be used")


class IssuerKeys:
    """One issuer's keys, kept fresh by `run`."""

    def __init__(self, setting: IssuerSetting, fetch: Fetch, *, clock: Callable[[], float]) -> None:
        self.setting = setting
        self._fetch = fetch
        self._clock = clock
        self._held = Held(setting.url)
        self._answered = asyncio.Event()
        self._started_at: float | None = None

    async def run(self, changed: Callable[[], None]) -> None:
        """For ever; `changed` is called when the keys are others than before."""
        self._started_at = self._clock()
        told = self._held.current(self._clock())
        while True:
            await self.refresh()
            found = self._held.current(self._clock())
            if found != told:
                LOGGER.info("issuer keys changed", issuer=self.setting.name, keys=[key.kid for key in found.keys])
                told = found
                changed()
            await asyncio.sleep(self._held.wait_seconds())

    async def refresh(self) -> None:
        """One try; a failure is logged and changes nothing but what is waited for."""
        name = self.setting.name
        try:
            found = await self._fetch(self.setting)
            self._held.succeed(jwks.parse(found, allowed=self.setting.algorithms), self._clock())
            self._answered.set()
        except (FetchError, JwksError) as error:
            self._held.fail()
            LOGGER.warning("issuer keys not fetched", issuer=name, error=error, failures=self._held.failures)
        except Exception as error:  # noqa: BLE001 - without another try a withdrawn key would stay for ever
            self._held.fail()
            LOGGER.error("fault while fetching issuer keys", issuer=name, exception=error)  # noqa: TRY400 - our own
        metrics.ISSUER_FAILURES.labels(issuer=name).set(self._held.failures)
        metrics.ISSUER_KEYS.labels(issuer=name).set(len(self._held.current(self._clock()).keys))

    async def current(self) -> KeySet:
        """What is believed now; shortly after the start it waits for the first answer."""
        left = (
            PATIENCE_SECONDS - (self._clock() - self._started_at) if self._started_at is not None else PATIENCE_SECONDS
        )
        if not self._answered.is_set() and left > 0:
            try:
                async with asyncio.timeout(left):
                    await self._answered.wait()
            except TimeoutError:
                pass
        return self._held.current(self._clock())


class Issuers:
    """All of them, by name."""

    def __init__(self, settings: tuple[IssuerSetting, ...], fetch: Fetch, *, clock: Callable[[], float]) -> None:
        self._by_name = {setting.name: IssuerKeys(setting, fetch, clock=clock) for setting in settings}

    def get(self, name: str) -> IssuerKeys | None:
        return self._by_name.get(name)

    async def run(self, changed: Callable[[], None]) -> None:
        """For ever, also where there are none."""
        async with asyncio.TaskGroup() as group:
            for issuer in self._by_name.values():
                group.create_task(issuer.run(changed), name=f"keys of {issuer.setting.name}")
            await asyncio.Event().wait()
