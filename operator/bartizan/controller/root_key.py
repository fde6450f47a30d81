"""The root from which all keys are derived: made once, in the operator's namespace, and never replaced silently."""

import asyncio
import base64
import binascii
import secrets
from collections.abc import Callable
from typing import Any

from bartizan.controller.api import Api, ApiError
from bartizan.controller.kinds import MODEL_DEPLOYMENT, SECRET
from bartizan.controller.log import logger
from bartizan.controller.settings import Settings
from bartizan.policy import names
from bartizan.policy.keys import ROOT_BYTES, Hidden

LOOK_SECONDS = 5.0
"""How soon a root that was lost, restored or replaced is noticed."""

FIELD = "root"
LOGGER = logger(__name__)

REMEDY = (
    "restore the Secret from a backup; or, to start anew with new keys for every client, "
    "create it with 32 random bytes in the field 'root'"
)


class RootError(Exception):
    """The root Secret is there and is not a root; the text says what to do."""


class RootKeeper:
    """Holds the root, and looks now and then whether it is still where it belongs."""

    def __init__(self, api: Api, settings: Settings, *, clock: Callable[[], float]) -> None:
        self._api = api
        self._settings = settings
        self._clock = clock
        self._root: Hidden | None = None
        self._looked: float | None = None
        self._failure: ApiError | None = None
        self._lock = asyncio.Lock()

    async def watch(self, changed: Callable[[], None]) -> None:
        """For ever: looks whether the root was lost, restored or replaced, and tells."""
        known = self._root
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                root = await self.current()
            except RootError:
                root = None  # every reconcile says what is wrong with it
            except Exception as error:  # noqa: BLE001 - the next look may go better; without looks a lost root is not seen
                LOGGER.warning("root key not read", error=f"{type(error).__name__}: {error}")
                continue
            if root != known:
                known = root
                changed()

    async def current(self) -> Hidden | None:
        """The root; None while it is lost; raises RootError or ApiError where it cannot be told."""
        async with self._lock:
            if self._looked is None or self._clock() - self._looked >= LOOK_SECONDS:
                await self._look()
            if self._failure is not None:
                raise self._failure
            return self._root

    @property
    def last(self) -> Hidden | None:
        """What was found when it could last be read: good enough to withdraw keys with, not to begin anything."""
        return self._root

    async def _look(self) -> None:
        """A failure is kept for as long as a root: or each reconcile would wait in turn for the same timeout."""
        self._failure = None
        try:
            self._root = await load_or_create(self._api, self._settings)
        except ApiError as error:
            self._failure = error
        except RootError:
            self._root = None
            raise
        self._looked = self._clock()


async def load_or_create(api: Api, settings: Settings) -> Hidden | None:
    """The root; None where it is lost while endpoints hold keys that were derived from it; raises RootError."""
    secret = await api.get(SECRET, settings.namespace, settings.root_secret)
    if secret is not None:
        return _read(secret, settings)
    if await _is_in_use(api):
        LOGGER.error("root key lost", secret=f"{settings.namespace}/{settings.root_secret}", remedy=REMEDY)
        return None
    try:
        await api.create(_manifest(settings, secrets.token_bytes(ROOT_BYTES)))
    except ApiError as error:
        if not error.is_conflict:
            raise
    else:
        LOGGER.info("root key made", secret=f"{settings.namespace}/{settings.root_secret}")
    # Read back, so that two operators that start at once go on with the same one.
    created = await api.get(SECRET, settings.namespace, settings.root_secret)
    return _read(created, settings) if created else None


async def _is_in_use(api: Api) -> bool:
    deployments = await api.list(MODEL_DEPLOYMENT)
    return any(item.get("status", {}).get("documentVersion") for item in deployments)


def _read(secret: dict[str, Any], settings: Settings) -> Hidden:
    try:
        root = Hidden(base64.b64decode(secret["data"][FIELD], validate=True))
    except (KeyError, TypeError, binascii.Error):
        root = Hidden()
    if len(root) != ROOT_BYTES:
        raise RootError(
            f"Secret {settings.namespace}/{settings.root_secret}: data.{FIELD} is not {ROOT_BYTES} bytes; {REMEDY}"
        )
    return root


def _manifest(settings: Settings, root: bytes) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "Opaque",
        "metadata": {
            "name": settings.root_secret,
            "namespace": settings.namespace,
            "labels": {names.MANAGED_BY_LABEL: names.MANAGED_BY},
        },
        "immutable": True,
        "data": {FIELD: base64.b64encode(root).decode()},
    }
