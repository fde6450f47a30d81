"""Asks the guards which document they enforce, and makes kubelets bring them a newer one."""

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

import aiohttp

from bartizan.controller.api import Api, ApiError
from bartizan.controller.builders.guard_container import GUARD
from bartizan.controller.kinds import POD
from bartizan.policy import names

Live = dict[str, Any]

ASK_TIMEOUT_SECONDS = 1.0
TOUCH_AGAIN_SECONDS = 1.0
"""A kubelet takes about a second to bring a touched pod its new document; later than that, it has missed the touch."""

MAX_STATUS_BYTES = 16 * 1024


class GuardState(StrEnum):
    """Of one pod, as far as its document goes."""

    IN_SYNC = "InSync"
    OUTDATED = "Outdated"
    STARTING = "Starting"
    UNREACHABLE = "Unreachable"


@dataclass(frozen=True, slots=True)
class GuardReport:
    """What a guard says of itself; `document_hash` is empty where it enforces none."""

    document_hash: str
    reason: str


class Asking(Protocol):
    """Fetches a guard's status by its pod's address; None where it does not answer."""

    async def __call__(self, address: str) -> GuardReport | None: ...


def ask_over_http(session: aiohttp.ClientSession) -> Asking:
    """Reads `/status` from the guard's status port."""

    async def ask(address: str) -> GuardReport | None:
        host = f"[{address}]" if ":" in address else address
        timeout = aiohttp.ClientTimeout(total=ASK_TIMEOUT_SECONDS)
        try:
            # Whoever answers may be no guard of ours, and must not send the operator elsewhere.
            asked = session.get(f"http://{host}:{names.STATUS_PORT}/status", timeout=timeout, allow_redirects=False)
            async with asked as answer:
                body = await answer.content.read(MAX_STATUS_BYTES)
                return _report(json.loads(body))
        except (aiohttp.ClientError, TimeoutError, ValueError, RecursionError):
            return None

    return ask


def _report(body: object) -> GuardReport | None:
    if not isinstance(body, Mapping):
        return None
    return GuardReport(str(body.get("documentHash") or ""), str(body.get("reason") or ""))


class Guards:
    """Remembers when it touched which pod, so that it touches neither too seldom nor too often."""

    def __init__(self, api: Api, ask: Asking, *, clock: Callable[[], float]) -> None:
        self._api = api
        self._ask = ask
        self._clock = clock
        self._touched: dict[str, tuple[int, float]] = {}

    async def states(self, pods: list[Live], document_hash: str) -> dict[str, GuardState]:
        """State by pod name, all asked at once."""
        states = await asyncio.gather(*(self._state(pod, document_hash) for pod in pods))
        return {pod["metadata"]["name"]: state for pod, state in zip(pods, states, strict=True)}

    async def deliver(self, pods: list[Live], version: int, states: Mapping[str, GuardState]) -> None:
        """Touches the pods whose guard is behind; the annotation's change makes the kubelet look at once."""
        alive = {pod["metadata"]["uid"] for pod in pods}
        self._touched = {uid: seen for uid, seen in self._touched.items() if uid in alive or self._is_recent(seen)}
        behind = [pod for pod in pods if _is_behind(pod, version, states.get(pod["metadata"]["name"]))]
        await asyncio.gather(*(self._touch(pod, version) for pod in behind))

    async def _state(self, pod: Live, document_hash: str) -> GuardState:
        address = pod.get("status", {}).get("podIP")
        if not address or not _guard_runs(pod):
            return GuardState.STARTING
        report = await self._ask(address)
        if report is None:
            return GuardState.UNREACHABLE
        return GuardState.IN_SYNC if report.document_hash == document_hash else GuardState.OUTDATED

    async def _touch(self, pod: Live, version: int) -> None:
        metadata = pod["metadata"]
        seen, when = self._touched.get(metadata["uid"], (0, 0.0))
        if seen == version and self._clock() - when < TOUCH_AGAIN_SECONDS:
            return
        annotations = metadata.get("annotations") or {}
        changes = {names.DOCUMENT_VERSION_ANNOTATION: str(version)}
        if annotations.get(names.DOCUMENT_VERSION_ANNOTATION) == str(version):
            changes[names.TOUCH_ANNOTATION] = str(_number(annotations.get(names.TOUCH_ANNOTATION)) + 1)
        self._touched[metadata["uid"]] = (version, self._clock())
        try:
            body = {"metadata": {"annotations": changes}}
            await self._api.patch_merge(POD, metadata["namespace"], metadata["name"], body)
        except ApiError as error:
            if not error.is_not_found:
                raise

    def _is_recent(self, seen: tuple[int, float]) -> bool:
        return self._clock() - seen[1] < 60  # noqa: PLR2004 # long enough for any pod that is listed only now and then


def _is_behind(pod: Live, version: int, state: GuardState | None) -> bool:
    """A guard that cannot be asked gets one touch, one that says that it is behind gets them until it is not."""
    if state is GuardState.UNREACHABLE:
        annotations = pod["metadata"].get("annotations") or {}
        return annotations.get(names.DOCUMENT_VERSION_ANNOTATION) != str(version)
    return state is GuardState.OUTDATED


def _guard_runs(pod: Live) -> bool:
    statuses = pod.get("status", {}).get("initContainerStatuses") or ()
    return any(status["name"] == GUARD and "running" in status.get("state", {}) for status in statuses)


def _number(text: str | None) -> int:
    return int(text) if text and text.isdigit() else 0
