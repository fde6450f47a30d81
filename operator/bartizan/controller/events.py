"""Events, on transitions and repairs only: what a user sees with `kubectl describe` and `kubectl get events`."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from bartizan.controller import log
from bartizan.controller.api import Api, ApiError
from bartizan.policy import names
from bartizan.policy.identity import Identity
from bartizan.policy.reasons import Reason

LOGGER = log.logger(__name__)
MAX_MESSAGE = 1024
QUIET_SECONDS = 30.0
"""The same event of the same object is not told again within this time."""

MOST_WRITERS = 8
"""Of one object, within that time: anyone may call himself anything, and must not earn an Event by each name."""

About = tuple[str, str]
"""What a message is about and who had written it, where the message says more than makes it another."""


class Recorder:
    """Posts Events; one that cannot be posted is logged and lost, since no gate depends on it."""

    def __init__(self, api: Api, *, clock: Callable[[], float], now: Callable[[], datetime]) -> None:
        self._api = api
        self._clock = clock
        self._now = now
        self._told: dict[tuple[str, str, str, str], float] = {}

    async def record(
        self, identity: Identity, reason: Reason, message: str, *, warning: bool = False, about: About | None = None
    ) -> None:
        key = (identity.uid, str(reason), *(about or (message, "")))
        now = self._clock()
        self._told = {told: when for told, when in self._told.items() if now - when < QUIET_SECONDS}
        if key in self._told or sum(told[:3] == key[:3] for told in self._told) >= MOST_WRITERS:
            return
        self._told[key] = now
        try:
            await self._api.create(_event(identity, reason, message, warning=warning, now=self._now()))
        except ApiError as error:
            LOGGER.warning("event not posted", endpoint=identity.key, reason=str(reason), error=str(error))


def _event(identity: Identity, reason: Reason, message: str, *, warning: bool, now: datetime) -> dict[str, Any]:
    time = now.astimezone(UTC)
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"generateName": f"{identity.name}.", "namespace": identity.namespace},
        "involvedObject": {
            "apiVersion": names.API_VERSION,
            "kind": names.KIND,
            "name": identity.name,
            "namespace": identity.namespace,
            "uid": identity.uid,
        },
        "type": "Warning" if warning else "Normal",
        "reason": str(reason),
        "message": log.redact(message)[:MAX_MESSAGE],
        "source": {"component": "bartizan"},
        "reportingComponent": names.GROUP,
        "reportingInstance": "bartizan-operator",
        "firstTimestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "lastTimestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "count": 1,
    }
