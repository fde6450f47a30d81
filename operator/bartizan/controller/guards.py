"""Asks the guards which document they enforce, and makes kubelets bring them a newer one."""

import asyncio
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from http import HTTPStatus
from typing import Any, Protocol

import aiohttp

from bartizan.controller import together
from bartizan.controller.api import Api, ApiError
from bartizan.controller.builders.guard_container import GUARD
from bartizan.controller.kinds import POD
from bartizan.policy import names, usage
from bartizan.policy.reasons import Reason
from bartizan.policy.usage import Usage, UsageError

Live = dict[str, Any]

ASK_TIMEOUT_SECONDS = 1.0
ASK_ALL_SECONDS = 2.0
"""For all guards of an endpoint; pods that hang on purpose must not keep a worker longer."""
ASKED_AT_ONCE = 64
"""Of one endpoint. As many endpoints are asked at once as there are workers, 64 at most, and as soundings may be under
way, 8: no more than 4,608 connections, which `main` sees to that the process may have; 1,024 with the default of
workers."""
TOUCH_AGAIN_SECONDS = 1.0
"""A kubelet takes about a second to bring a touched pod its new document; later than that, it has missed the touch."""

QUICK_TOUCHES = 5
LONGEST_PATIENCE_SECONDS = 60.0
MAX_STATUS_BYTES = 24 * 1024
"""Of which the most windows that a guard speaks of take 22 KB."""
MAX_WORD = 256
"""Characters that are kept of each thing that a guard says: no hash and no reason is longer."""
LATEST = 253_402_300_800
"""Of Unix seconds: the year 10000, which no calendar writes."""


class GuardState(StrEnum):
    """Of one pod, as far as its document goes."""

    IN_SYNC = "InSync"
    OUTDATED = "Outdated"
    STARTING = "Starting"
    UNREACHABLE = "Unreachable"


@dataclass(frozen=True, slots=True)
class GuardReport:
    """What a guard says of itself: `document_hash` is empty where it enforces none.

    `document_reason` is what it says of the document that lies before it, which may not be the one that it enforces.
    """

    document_hash: str
    reason: str
    document_reason: str = Reason.GUARD_READY
    limits_reason: str = Reason.LIMITS_KEPT
    tokenizer_reason: str = Reason.GUARD_READY
    """The same where it has none."""
    tls: "TlsReport | None" = None
    """None where its port speaks plain HTTP."""
    awaits_usage: bool = False
    """Its pod is new, and what its long windows began with is a guess."""
    usage_nonce: str = field(default="", compare=False)
    """What it calls the next notice of others' usage; empty where it takes none."""
    usage: Usage | None = field(default=None, compare=False)
    """What is used of its long windows, which is no news; None where it does not say."""


@dataclass(frozen=True, slots=True)
class TlsReport:
    """What a guard says of its pair: `files` of the one that lies before it, `validity` of the one that it uses.

    `not_after` is in Unix seconds, 0 where it uses none.
    """

    files: str
    validity: str
    not_after: int


class Telling(Protocol):
    """Tells a guard, by its pod's address, what others have used: a signed notice. Whether it has taken it."""

    async def __call__(self, address: str, notice: str) -> bool: ...


class Asking(Protocol):
    """Fetches a guard's status by its pod's address; None where it does not answer."""

    async def __call__(self, address: str) -> GuardReport | None: ...


def open_session() -> aiohttp.ClientSession:
    """For `ask_over_http` and `tell_over_http`: the pods may be anybody's, and must not send the operator elsewhere."""
    # A limit here would let those that hang keep others from being asked; ASKED_AT_ONCE bounds them by endpoint.
    connector = aiohttp.TCPConnector(limit=0, force_close=True)
    jar = aiohttp.DummyCookieJar()  # none may leave anything with the operator, nor unpack into it
    return aiohttp.ClientSession(connector=connector, trust_env=False, auto_decompress=False, cookie_jar=jar)


_TIMEOUT = aiohttp.ClientTimeout(total=ASK_TIMEOUT_SECONDS)


def ask_over_http(session: aiohttp.ClientSession) -> Asking:
    """Reads `/status` from the guard's status port."""

    async def ask(address: str) -> GuardReport | None:
        try:
            async with session.get(_page(address, "status"), timeout=_TIMEOUT, allow_redirects=False) as answer:
                return _report(json.loads(await _whole(answer.content)))
        except (aiohttp.ClientError, TimeoutError, ValueError, RecursionError):
            return None

    return ask


async def _whole(content: aiohttp.StreamReader) -> bytes:
    """A long status comes in several pieces; of one that is longer than any only its beginning."""
    body = b""
    while (room := MAX_STATUS_BYTES - len(body)) and (piece := await content.read(room)):
        body += piece
    return body


def tell_over_http(session: aiohttp.ClientSession) -> Telling:
    """Posts to `/usage` on the guard's status port."""

    async def tell(address: str, notice: str) -> bool:
        page = _page(address, "usage")
        try:
            async with session.post(page, data=notice, timeout=_TIMEOUT, allow_redirects=False) as answer:
                return answer.status == HTTPStatus.OK
        except (aiohttp.ClientError, TimeoutError):
            return False

    return tell


def _page(address: str, name: str) -> str:
    host = f"[{address}]" if ":" in address else address
    return f"http://{host}:{names.STATUS_PORT}/{name}"


def _report(body: object) -> GuardReport | None:
    if not isinstance(body, Mapping):
        return None
    return GuardReport(
        document_hash=_text(body.get("documentHash")),
        reason=_text(body.get("reason")),
        document_reason=_text(body.get("documentReason")) or Reason.GUARD_READY,
        limits_reason=_text(body.get("limitsReason")) or Reason.LIMITS_KEPT,
        tokenizer_reason=_text(body.get("tokenizerReason")) or Reason.GUARD_READY,
        tls=_tls_report(body.get("tls")),
        awaits_usage=body.get("usageAwaited") is True,
        usage_nonce=_text(body.get("usageNonce")),
        usage=_usage(body.get("usage")),
    )


def _usage(told: object) -> Usage | None:
    try:
        return usage.read(told)
    except UsageError:
        return None


def _tls_report(told: object) -> TlsReport | None:
    if not isinstance(told, Mapping):
        return None
    given = told.get("notAfter")
    not_after = given if type(given) is int and 0 <= given < LATEST else 0
    return TlsReport(_text(told.get("reason")), _text(told.get("validity")), not_after)


def _text(told: object) -> str:
    """Empty for what is none."""
    return told[:MAX_WORD] if isinstance(told, str) else ""


@dataclass(frozen=True, slots=True)
class _Touch:
    """When a pod was last touched for a document, and how often it has been."""

    version: int
    when: float
    times: int

    @property
    def patience_seconds(self) -> float:
        """A guard that refuses its document will not take it because of one touch more."""
        return min(TOUCH_AGAIN_SECONDS * 2.0 ** max(0, self.times - QUICK_TOUCHES), LONGEST_PATIENCE_SECONDS)


class Guards:
    """Remembers when it touched which pod, so that it touches neither too seldom nor too often."""

    def __init__(self, api: Api, ask: Asking, *, clock: Callable[[], float]) -> None:
        self._api = api
        self._ask = ask
        self._clock = clock
        self._touched: dict[str, _Touch] = {}

    async def ask(self, pods: list[Live]) -> dict[str, GuardReport | None]:
        """Report by pod name, of every guard that runs; None of one that does not answer, or not in time."""
        return await self.ask_at(addresses(pods))

    async def ask_at(self, places: Mapping[str, str]) -> dict[str, GuardReport | None]:
        """The same of guards whose pods' addresses are known, by name."""
        reports: dict[str, GuardReport | None] = dict.fromkeys(places)
        slots = asyncio.Semaphore(ASKED_AT_ONCE)

        async def ask(name: str, address: str) -> None:
            async with slots:
                reports[name] = await self._ask(address)

        with suppress(TimeoutError):
            async with asyncio.timeout(ASK_ALL_SECONDS):
                await asyncio.gather(*(ask(name, address) for name, address in places.items()))
        return reports

    async def deliver(self, pods: list[Live], version: int, states: Mapping[str, GuardState]) -> None:
        """Touches the pods whose guard is behind; the annotation's change makes the kubelet look at once."""
        alive = {pod["metadata"]["uid"] for pod in pods}
        self._touched = {uid: seen for uid, seen in self._touched.items() if uid in alive or self._is_recent(seen)}
        behind = [pod for pod in pods if _is_behind(pod, version, states.get(pod["metadata"]["name"]))]
        await together.finish(*(self._touch(pod, version) for pod in behind))

    async def _touch(self, pod: Live, version: int) -> None:
        metadata = pod["metadata"]
        last = self._touched.get(metadata["uid"])
        if last is None or last.version != version:
            last = _Touch(version, self._clock(), 0)
        elif self._clock() - last.when < last.patience_seconds:
            return
        annotations = metadata.get("annotations") or {}
        changes = {names.DOCUMENT_VERSION_ANNOTATION: str(version)}
        if annotations.get(names.DOCUMENT_VERSION_ANNOTATION) == str(version):
            changes[names.TOUCH_ANNOTATION] = str(_number(annotations.get(names.TOUCH_ANNOTATION)) + 1)
        self._touched[metadata["uid"]] = _Touch(version, self._clock(), last.times + 1)
        try:
            body = {"metadata": {"annotations": changes}}
            await self._api.patch_merge(POD, metadata["namespace"], metadata["name"], body)
        except ApiError as error:
            if not error.is_not_found:
                raise

    def _is_recent(self, seen: "_Touch") -> bool:
        return self._clock() - seen.when < 60  # noqa: PLR2004 # long enough for any pod that is listed only now and then


def addresses(pods: list[Live]) -> dict[str, str]:
    """By pod name, of every guard that runs, in the order in which they are asked."""
    running = sorted((pod for pod in pods if _guard_runs(pod)), key=_turn)
    return {pod["metadata"]["name"]: pod["status"]["podIP"] for pod in running}


def judge(pods: list[Live], reports: Mapping[str, GuardReport | None], document_hash: str) -> dict[str, GuardState]:
    """State by pod name; a pod whose guard was not asked has none that runs."""
    return {name: _state(name, reports, document_hash) for pod in pods if (name := pod["metadata"]["name"])}


def _state(name: str, reports: Mapping[str, GuardReport | None], document_hash: str) -> GuardState:
    if name not in reports:
        return GuardState.STARTING
    report = reports[name]
    if report is None:
        return GuardState.UNREACHABLE
    # One that was given a bad document since goes on with the good one, but would not come back from a restart with it.
    has_newest = report.document_hash == document_hash and report.document_reason == Reason.GUARD_READY
    return GuardState.IN_SYNC if has_newest else GuardState.OUTDATED


def _is_behind(pod: Live, version: int, state: GuardState | None) -> bool:
    """A guard that cannot be asked gets one touch, one that says that it is behind gets them until it is not."""
    if state is GuardState.UNREACHABLE:
        annotations = pod["metadata"].get("annotations") or {}
        return annotations.get(names.DOCUMENT_VERSION_ANNOTATION) != str(version)
    return state is GuardState.OUTDATED


def _guard_runs(pod: Live) -> bool:
    status = pod.get("status", {})
    statuses = status.get("initContainerStatuses") or ()
    return bool(status.get("podIP")) and any(
        status["name"] == GUARD and "running" in status.get("state", {}) for status in statuses
    )


def _turn(pod: Live) -> tuple[bool, str]:
    """Those of a ReplicaSet first, whose number is bounded: pods that hang on purpose wait behind them."""
    owners = pod["metadata"].get("ownerReferences") or ()
    is_counted = any(owner.get("kind") == "ReplicaSet" and owner.get("controller") for owner in owners)
    return not is_counted, pod["metadata"].get("creationTimestamp") or ""


def _number(text: str | None) -> int:
    return int(text) if text and text.isdigit() else 0
