"""The keys that the cluster's ServiceAccount tokens are signed with, as its API server publishes them.

They are read from the API server itself, over the connection that the operator has: `jwks_uri`, which may name any
address, is not followed.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from bartizan.controller.api import Api, ApiError
from bartizan.controller.log import logger
from bartizan.policy import jwks
from bartizan.policy.jwks import JwksError, VerifyKey

DISCOVERY_PATH = "/.well-known/openid-configuration"
KEYS_PATH = "/openid/v1/jwks"
LOOK_SECONDS = 60.0
"""How soon a new key is believed, and one that is gone no more."""
MAX_ISSUER = 512

REMEDY = (
    "let the operator's ServiceAccount read /.well-known/openid-configuration and /openid/v1/jwks, as the chart does, "
    "and the API server publish them (--service-account-issuer)"
)
LOGGER = logger(__name__)


@dataclass(frozen=True, slots=True)
class KeySet:
    """`issuer` is the `iss` of its tokens; `problem` says why there are no keys, where there are none."""

    issuer: str
    keys: tuple[VerifyKey, ...]
    problem: str = ""


class ClusterKeys:
    """Holds what was read last, and looks now and then whether it has changed."""

    def __init__(self, api: Api, *, clock: Callable[[], float]) -> None:
        self._api = api
        self._clock = clock
        self._held: KeySet | None = None
        self._looked: float | None = None
        self._lock = asyncio.Lock()

    async def watch(self, changed: Callable[[], None]) -> None:
        """For ever: looks at the keys, where somebody has asked for them, and tells when they are others."""
        known: KeySet | None = None
        while True:
            known = known or self._held
            await asyncio.sleep(LOOK_SECONDS)
            if known is None:
                continue
            try:
                found = await self.current()
            except Exception as error:  # noqa: BLE001 - the next look may go better; without looks a withdrawn key stays
                LOGGER.warning("cluster keys not read", error=f"{type(error).__name__}: {error}")
                continue
            if found != known:
                LOGGER.info("cluster keys changed", keys=[key.kid for key in found.keys], problem=found.problem or None)
                known = found
                changed()

    async def current(self) -> KeySet:
        """What the API server publishes, or did when it last could be asked; raises ApiError where it never could."""
        async with self._lock:
            if self._held is None or self._looked is None or self._clock() - self._looked >= LOOK_SECONDS:
                await self._look()
            assert self._held is not None  # noqa: S101 # the look has raised else
            return self._held

    async def _look(self) -> None:
        try:
            self._held = await _read(self._api)
        except ApiError as error:
            if error.may_heal:
                if self._held is None:
                    raise
                LOGGER.warning("cluster keys not read", error=error)
            else:
                self._held = KeySet(
                    "", (), f"the API server does not show its issuer's keys ({error.message}); {REMEDY}"
                )
        self._looked = self._clock()


async def _read(api: Api) -> KeySet:
    discovery, found = await asyncio.gather(api.page(DISCOVERY_PATH), api.page(KEYS_PATH))
    issuer = discovery.get("issuer")
    if not isinstance(issuer, str) or not 0 < len(issuer) <= MAX_ISSUER:
        return KeySet("", (), f"the API server names no issuer of its tokens; {REMEDY}")
    try:
        keys = jwks.parse(found)
    except JwksError as error:
        return KeySet(issuer, (), f"{KEYS_PATH} of the API server {error}")
    return KeySet(issuer, keys, "" if keys else f"{KEYS_PATH} of the API server holds no key that can be used")
