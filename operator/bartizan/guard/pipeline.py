"""The way of a request, stage by stage: cheap before dear, the first refusal wins, any fault is a refusal."""

import asyncio
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from bartizan.guard import body, front, identity, log, refusal
from bartizan.guard.audit import Audit, SinkError, Value
from bartizan.guard.document_watch import DocumentWatch
from bartizan.guard.enforcement import DEFAULT_PROFILE, Enforcement
from bartizan.guard.metrics import Metrics
from bartizan.guard.profiles.contract import Route
from bartizan.guard.rates import Rates
from bartizan.guard.refusal import Refusal
from bartizan.guard.relay import Relay
from bartizan.guard.reply import Reply
from bartizan.guard.request import Request
from bartizan.guard.slots import Slots
from bartizan.guard.underway import Underway
from bartizan.guard.upstream import Upstream
from bartizan.guard.visit import Visit
from bartizan.policy.reasons import Reason


@dataclass(frozen=True, slots=True)
class Gate:
    """All that the stages stand on."""

    documents: DocumentWatch
    upstream: Upstream
    audit: Audit
    metrics: Metrics
    rates: Rates
    slots: Slots
    underway: Underway
    max_body_bytes: int
    clock: Callable[[], float]
    is_draining: Callable[[], bool]


class Pipeline:
    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    async def answer(self, request: Request, reply: Reply) -> None:
        """Answer one request, whatever happens; never raises but on cancellation because the caller is gone."""
        visit = Visit(request.id, request.head, self._gate.clock())
        reason = Reason.COMPLETED
        try:
            await self._pass(visit, request, reply)
        except Refusal as refused:
            reason = refused.reason
            self._refuse(visit, reply, refused)
        except asyncio.CancelledError:
            if not visit.is_withdrawn:
                reason = reply.lost_because
                raise
            reason = Reason.CREDENTIAL_WITHDRAWN
            self._refuse(visit, reply, refusal.bad_credential(reason))
        except Exception as error:  # noqa: BLE001 -- the one place that fails closed
            reason = Reason.INTERNAL_FAULT
            log.fault("fault while handling a request", error, request=request.id)
            self._refuse(visit, reply, refusal.fault())
        finally:
            self._close(visit, reply, reason)

    async def _pass(self, visit: Visit, request: Request, reply: Reply) -> None:
        """Every stage in its order; whoever comes to the end was let through everything."""
        route = self._judge_front(visit, request)
        enforcement = self._identify(visit)
        if not request.is_complete:  # a client over its rate hears so before its body is read
            self._gate.rates.judge(visit.client, enforcement.paces, time.monotonic_ns())
        request.belongs_to(visit.client)
        raw = await request.body()
        if self._gate.documents.current is not enforcement:
            enforcement = self._identify(visit)  # withdrawn keys are dead for bodies on their way, too
        # The rate is charged before the body is parsed: parsing is the dearest stage that a caller can ask for.
        self._gate.rates.take(visit.client, enforcement.paces, time.monotonic_ns())
        if route.has_body:
            self._judge_body(visit, raw, route, enforcement)
        del raw
        # Standing (tier, suspension, capabilities) is judged here once there are tiers.
        with self._gate.slots.lease(visit.client, of_client=enforcement.slots_per_client, in_all=enforcement.slots):
            # Inspection of every string leaf of the request stands here, of the answer's spans in the Relay.
            self._decide(visit)
            with self._gate.underway.hold(visit.key_id or "", _cutter(visit, reply)):
                await self._forward(visit, route, request, reply)

    def _judge_front(self, visit: Visit, request: Request) -> Route:
        current = self._gate.documents.current
        profile = current.profile if current else DEFAULT_PROFILE
        visit.route = profile.route_name(request.head.path)
        route = front.judge(request.head, profile, max_body_bytes=self._gate.max_body_bytes)
        if self._gate.is_draining():
            raise refusal.unavailable(Reason.DRAINING)
        return route

    def _identify(self, visit: Visit) -> Enforcement:
        current = self._gate.documents.current
        if current is None:
            raise refusal.unavailable(Reason.DOCUMENT_ABSENT)
        visit.enforcement = current
        visit.client, visit.key_id = "", None
        key = identity.judge(visit.head, current.keys)
        visit.client, visit.key_id = key.client, key.id
        return current

    def _judge_body(self, visit: Visit, raw: bytes, route: Route, enforcement: Enforcement) -> None:
        judged = body.judge(raw, route, enforcement.document.model)
        visit.keep_body(judged.canonical, wants_stream=judged.wants_stream)

    def _decide(self, visit: Visit) -> None:
        visit.is_let_through = True
        try:
            self._gate.audit.decision(reason=Reason.ALLOWED, status=None, **visit.described())
        except SinkError as error:
            visit.is_let_through = False
            raise refusal.unavailable(Reason.AUDIT_UNAVAILABLE) from error

    async def _forward(self, visit: Visit, route: Route, request: Request, reply: Reply) -> None:
        if visit.enforcement and not route.has_body:
            listed = visit.enforcement.profile.model_list(visit.enforcement.document.model)
            reply.whole(200, [(b"Content-Type", b"application/json")], listed)
            return

        def first_byte() -> None:
            visit.first_byte = self._gate.clock()

        relay = Relay(reply, wants_stream=visit.wants_stream, sent=request.release, first_byte=first_byte)
        await self._gate.upstream.forward(route.path, visit.hand_over_body(), relay)

    def _refuse(self, visit: Visit, reply: Reply, refused: Refusal) -> None:
        """Say no in the profile's words, or, where the answer has begun, end it visibly unfinished."""
        if reply.has_started:
            reply.cut()
            return
        profile = visit.enforcement.profile if visit.enforcement else DEFAULT_PROFILE
        headers = [(b"Content-Type", b"application/json"), *refusal.headers(refused)]
        reply.whole(refusal.STATUS[refused.reason], headers, profile.refusal_body(refused))

    def _close(self, visit: Visit, reply: Reply, reason: Reason) -> None:
        """Audit and count the end; nothing here may change what the caller got."""
        try:
            if visit.is_let_through:
                self._gate.audit.outcome(**self._outcome(visit, reply, reason))
            else:
                self._gate.audit.decision(reason=reason, status=reply.status or None, **visit.described())
        except SinkError:
            self._gate.metrics.audit_lost.inc()
        metrics = self._gate.metrics
        metrics.requests.labels(visit.route, reason).inc()
        if visit.is_let_through:
            metrics.request_seconds.labels(visit.route).observe(self._gate.clock() - visit.began)
            metrics.answer_bytes.inc(reply.body_bytes)
        if visit.first_byte is not None:
            metrics.first_byte_seconds.labels(visit.route).observe(visit.first_byte - visit.began)

    def _outcome(self, visit: Visit, reply: Reply, reason: Reason) -> dict[str, Value]:
        return {
            "request": visit.request_id,
            "client": visit.client or None,
            "reason": reason,
            "status": reply.status or None,
            "answerBytes": reply.body_bytes,
            "seconds": _rounded(self._gate.clock() - visit.began),
            "firstByteSeconds": None if visit.first_byte is None else _rounded(visit.first_byte - visit.began),
        }


def _cutter(visit: Visit, reply: Reply) -> Callable[[], None]:
    """Ends the current task, unless its answer is out already, as withdrawn."""
    task = asyncio.current_task()

    def cut() -> None:
        if task is not None and not reply.is_over:
            visit.is_withdrawn = True
            task.cancel()

    return cut


def _rounded(seconds: float) -> float:
    return math.ceil(seconds * 1e6) / 1e6
