"""The way of a request, stage by stage: cheap before dear, the first refusal wins, any fault is a refusal."""

import asyncio
import math
import time
from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from bartizan.guard import allowance, body, front, identity, log, refusal, trace_context
from bartizan.guard.answers import Asked, Reader
from bartizan.guard.audit import Audit, SinkError, Value
from bartizan.guard.budgets import Budgets
from bartizan.guard.document_watch import DocumentWatch
from bartizan.guard.enforcement import DEFAULT_PROFILE, Enforcement, Measures
from bartizan.guard.inspection import Inspector
from bartizan.guard.metrics import Metrics
from bartizan.guard.model_metrics import Operation, error_type
from bartizan.guard.profiles.contract import Route
from bartizan.guard.rates import Rates
from bartizan.guard.refusal import Refusal
from bartizan.guard.relay import Relay
from bartizan.guard.reply import JSON, Reply
from bartizan.guard.request import Budget, Request
from bartizan.guard.shared import Claim, SharedLimits
from bartizan.guard.slots import Slots
from bartizan.guard.tokenizer import Tokenizer
from bartizan.guard.turn import Turn
from bartizan.guard.underway import Cut, Underway
from bartizan.guard.upstream import Upstream
from bartizan.guard.visit import Visit
from bartizan.policy.reasons import Reason

_OF_LIMITS = frozenset(
    {
        Reason.RATE_LIMITED,
        Reason.TIER_RATE_LIMITED,
        Reason.ENDPOINT_RATE_LIMITED,
        Reason.TOKENS_LIMITED,
        Reason.TIER_TOKENS_LIMITED,
        Reason.ENDPOINT_TOKENS_LIMITED,
        Reason.CONCURRENCY_LIMITED,
    }
)
"""Refusals that say what is left."""


@dataclass(frozen=True, slots=True)
class Gate:
    """All that the stages stand on."""

    documents: DocumentWatch
    upstream: Upstream
    audit: Audit
    metrics: Metrics
    rates: Rates
    slots: Slots
    budgets: Budgets
    shared: SharedLimits
    inspector: Callable[[], Inspector]
    """Makes the seam's inspector for one request."""
    underway: Underway
    turn: Turn
    max_body_bytes: int
    answers: Budget
    """Bytes of whole answers that wait for their end, or for callers to read them."""
    clock: Callable[[], float]
    wall_clock: Callable[[], float]
    """Unix time, which tokens' dates are held against."""
    is_draining: Callable[[], bool]
    tokenizer: Tokenizer | None = None
    """Counts what bytes alone do not judge, where the owner has named one."""


class Pipeline:
    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        gate.metrics.document_age.set_function(lambda: _age_seconds(gate.documents.current, gate.wall_clock()))
        gate.metrics.upstream_up.set_function(lambda: gate.upstream.is_up)

    def answer(self, request: Request, reply: Reply) -> Coroutine[Any, Any, None] | None:
        """Answer one request, whatever happens: refuse it at once, or give the rest of its way, which waits.

        Neither raises, but on cancellation because the caller is gone.
        """
        visit = Visit(request.id, request.head, self._gate.clock(), trace=trace_context.of(request.head))
        try:
            route = self._admit(visit, request, reply)
        except Exception as error:  # noqa: BLE001 -- all that is raised ends in one place
            self._end(visit, reply, error)
            return None
        return self._go_on(visit, route, request, reply)

    async def _go_on(self, visit: Visit, route: Route, request: Request, reply: Reply) -> None:
        try:
            await self._pass(visit, route, request, reply)
        except (Exception, asyncio.CancelledError) as error:
            self._end(visit, reply, error)
            if isinstance(error, asyncio.CancelledError) and visit.cut_because is None:
                raise
        else:
            self._close(visit, reply, Reason.COMPLETED)

    def _end(self, visit: Visit, reply: Reply, error: BaseException) -> None:
        """End what was not let through to its end: this is the one place that fails closed."""
        reason, refused = Reason.INTERNAL_FAULT, None
        if isinstance(error, Refusal):
            reason, refused = error.reason, error
            visit.tried_key = error.key_id
        elif isinstance(error, asyncio.CancelledError):
            reason = visit.cut_because or reply.lost_because
            refused = refusal.cut(reason) if visit.cut_because else None
        else:
            log.fault("fault while handling a request", error, request=visit.request_id)
            refused = refusal.fault()
        try:
            if refused is not None:
                self._refuse(visit, reply, refused)
        finally:
            self._close(visit, reply, reason)

    def _admit(self, visit: Visit, request: Request, reply: Reply) -> Route:
        """The stages that wait for nothing; the rate, too, of a request that is whole."""
        route = self._judge_front(visit, request, reply)
        enforcement, measures = self._identify(visit)
        is_whole = request.is_complete
        if not is_whole:  # a client over its rate hears so before its body is read
            self._judge_rate(visit, enforcement, measures)
        request.belongs_to(visit.client)
        if is_whole:
            request.judge()
            self._charge_rate(visit, enforcement, measures)
        return route

    async def _pass(self, visit: Visit, route: Route, request: Request, reply: Reply) -> None:
        """Every further stage in its order; whoever comes to the end was let through everything."""
        gate = self._gate
        if not request.is_complete:
            await request.arrive()
        raw = request.body()
        self._judge_time()  # the model waits for what it has, and for no body that is on its way
        gate.turn.judge()  # nor do others for what is dear to parse
        enforcement, measures = visit.enforcement, visit.measures
        if enforcement is None or measures is None or gate.documents.current is not enforcement:
            enforcement, measures = self._identify(visit)  # withdrawn keys are dead for bodies on their way, too
        if not visit.is_metered:
            self._charge_rate(visit, enforcement, measures)
        judged = body.judge(raw, route, enforcement) if route.has_body else None
        visit.keep_body(judged)
        del raw
        # Standing (suspension, what the tier may ask for) is judged here once trust is reviewed.
        with (
            await gate.slots.line_up(visit.client, enforcement.slots)
            if enforcement.slots.line
            else gate.slots.lease(visit.client, enforcement.slots),
            await self._hold_shared(visit, enforcement)
            if enforcement.is_shared
            else gate.budgets.hold(visit.client, measures.budgets, visit.most, visit.spent),
        ):
            # Within the slot: nobody counts more than may be under way.
            if gate.tokenizer is not None and judged is not None:
                await gate.tokenizer.judge(judged, route, enforcement)
            if gate.documents.current is not enforcement:
                self._identify(visit)  # a wait must not outlive the key
                visit.enforcement, visit.measures = enforcement, measures  # by which it was judged and is held
            self._judge_time()  # nor begin what the pod's end has no time for
            inspector = gate.inspector()
            if judged is not None:
                inspector.request(judged.leaves())
            del judged  # a long answer must not hold on to what was asked
            self._decide(visit)
            reply.limits = self._left(visit)
            with gate.underway.hold(visit.standing, _cutter(visit, reply)):
                await self._forward(visit, route, inspector, request, reply)

    def _judge_rate(self, visit: Visit, enforcement: Enforcement, measures: Measures) -> None:
        if enforcement.is_shared:
            self._gate.shared.judge(enforcement, visit.client)
        else:
            self._gate.rates.judge(visit.client, _alone(measures).paces, time.monotonic_ns())

    def _charge_rate(self, visit: Visit, enforcement: Enforcement, measures: Measures) -> None:
        """Before the body is parsed: parsing is the dearest stage that a caller can ask for."""
        visit.is_metered = True
        if enforcement.is_shared:
            visit.is_alone = self._gate.shared.take(enforcement, visit.client)
        else:
            self._gate.rates.take(visit.client, _alone(measures).paces, time.monotonic_ns())

    async def _hold_shared(self, visit: Visit, enforcement: Enforcement) -> AbstractContextManager[None]:
        claim = Claim(enforcement, visit.client, visit.most, visit.spent)
        held, is_counted = await self._gate.shared.hold(claim, is_charged=visit.is_alone)
        visit.is_alone = not is_counted
        return held

    def _judge_front(self, visit: Visit, request: Request, reply: Reply) -> Route:
        current = self._gate.documents.current
        profile = current.profile if current else DEFAULT_PROFILE
        if profile.id_header:
            reply.also_name_id(profile.id_header)
        found = profile.routes.get(request.head.path)
        if found is not None:
            visit.route = found.name
        route = front.judge(request.head, found, profile, max_body_bytes=self._gate.max_body_bytes)
        self._judge_time()
        self._gate.turn.judge()
        return route

    def _judge_time(self) -> None:
        if self._gate.is_draining():
            raise refusal.unavailable(Reason.DRAINING)

    def _identify(self, visit: Visit) -> tuple[Enforcement, Measures]:
        current = self._gate.documents.current
        if current is None:
            raise refusal.unavailable(Reason.DOCUMENT_ABSENT)
        visit.enforcement = current
        visit.client, visit.caller, visit.measures = "", None, None
        now, header = self._gate.wall_clock(), current.profile.key_header
        caller = identity.judge(visit.head, current.keys, key_header=header, verifier=current.verifier, now=now)
        visit.client, visit.caller = caller.client, caller
        visit.measures = measures = current.of(caller.client)
        return current, measures

    def _decide(self, visit: Visit) -> None:
        visit.is_let_through = True
        try:
            self._gate.audit.decision(visit.described(Reason.ALLOWED, None))
        except SinkError as error:
            if visit.enforcement is not None and visit.enforcement.document.audit_may_fail:
                self._gate.metrics.audit_lost.inc()
                return
            visit.is_let_through = False
            raise refusal.unavailable(Reason.AUDIT_UNAVAILABLE) from error

    async def _forward(self, visit: Visit, route: Route, inspector: Inspector, request: Request, reply: Reply) -> None:
        enforcement = visit.enforcement
        if enforcement is None or route.reading is None:
            assert route.answer is not None  # noqa: S101 -- a route without a model behind it answers itself
            if route.asks_model and await self._gate.upstream.probe() is not Reason.GUARD_READY:
                raise refusal.unavailable(Reason.UPSTREAM_UNAVAILABLE)
            own = route.answer(enforcement.document.model if enforcement else "")
            reply.whole(200, JSON, own)
            return

        is_read = route.answers_text or route.is_read_whole
        asked = Asked(visit.wants_stream, visit.shows_usage, is_read, visit.most.output)
        visit.reading = route.reading
        visit.operation = Operation(route.operation, enforcement.profile.provider, enforcement.document.model)
        reader = Reader(
            asked, route.reading, inspector, visit.tally, self._gate.answers, visit.client, visit.request_id
        )
        relay = Relay(reply, reader, self._gate.turn, sent=request.release, clock=self._gate.clock)
        header = enforcement.profile.upstream_header + (visit.trace.header if visit.trace else b"")
        began, within = self._gate.clock(), self._gate.upstream.most_seconds(enforcement.document.max_stream_seconds)
        answered = self._gate.upstream.forward(route.path, visit.hand_over_body(), relay, header, within=within)
        try:
            if visit.wants_stream:
                await _within(enforcement.document.max_stream_seconds, answered)
            else:
                await answered
            await relay.finish(began + within)
        finally:
            relay.release()
            if relay.has_begun and not relay.is_error:
                visit.charge()
            visit.first_byte, visit.first_token = relay.first_byte, relay.first_token

    def _refuse(self, visit: Visit, reply: Reply, refused: Refusal) -> None:
        """Say no in the profile's words, or, where the answer has begun, end it visibly unfinished."""
        said = visit.profile.refusal_body(refused, visit.request_id)
        if reply.has_started:
            if reply.is_stream and visit.reading is not None:
                reply.piece(visit.reading.error_event(said))
            reply.cut()
            return
        if refused.reason in _OF_LIMITS:
            reply.limits = self._left(visit)
        reply.whole(refusal.STATUS[refused.reason], JSON + refusal.headers(refused), said)

    def _left(self, visit: Visit) -> bytes:
        """What the client may still ask, in headers."""
        enforcement, measures = visit.enforcement, visit.measures
        if enforcement is None or measures is None:
            return b""
        if enforcement.is_shared and not visit.is_alone:
            return self._gate.shared.left(enforcement, visit.client)
        requests = self._gate.rates.left(visit.client, measures.paces, time.monotonic_ns())
        return allowance.headers(requests, self._gate.budgets.left(visit.client, measures.budgets))

    def _close(self, visit: Visit, reply: Reply, reason: Reason) -> None:
        """Audit and count the end; nothing here may change what the caller got."""
        try:
            if visit.is_let_through:
                self._gate.audit.outcome(self._outcome(visit, reply, reason))
            else:
                self._gate.audit.decision(visit.described(reason, reply.status or None))
        except SinkError:
            self._gate.metrics.audit_lost.inc()
        except Exception as error:  # noqa: BLE001 -- a line that cannot be written must be missed, and the rest counted
            log.fault("fault while writing the audit", error, request=visit.request_id)
            self._gate.metrics.audit_lost.inc()
        self._gate.metrics.request_ended(visit.route, reason)
        if visit.operation is not None:
            self._count_answer(visit, reply, visit.operation, reason)

    def _count_answer(self, visit: Visit, reply: Reply, operation: Operation, reason: Reason) -> None:
        metrics, models = self._gate.metrics, self._gate.metrics.models
        metrics.all_answer_bytes.value += reply.body_bytes
        now = self._gate.clock()
        error = error_type(reply.status) if reason is Reason.COMPLETED else reason
        models.ended(operation, error, now - visit.began)
        spent, most = visit.cost, visit.most
        if visit.is_charged:
            models.charged(operation, spent.input, spent.output)
            if spent.input > most.input or spent.output > most.output:
                metrics.tokens_beyond.inc(max(0, spent.input - most.input) + max(0, spent.output - most.output))
        if visit.first_token is not None and not error:
            models.streamed(operation, visit.first_token - visit.began, now - visit.first_token, spent.output)

    def _outcome(self, visit: Visit, reply: Reply, reason: Reason) -> dict[str, Value]:
        return {
            "request": visit.request_id,
            "client": visit.client or None,
            "reason": reason,
            "status": reply.status or None,
            "answerBytes": reply.body_bytes,
            "inputTokens": visit.cost.input,
            "outputTokens": visit.cost.output,
            "seconds": _rounded(self._gate.clock() - visit.began),
            "firstByteSeconds": None if visit.first_byte is None else _rounded(visit.first_byte - visit.began),
        }


def _alone(measures: Measures) -> Measures:
    """What the client may ask of a guard without a store; raises Refusal where its tier needs one."""
    if measures.needs_store:
        raise refusal.store_away()
    return measures


def _cutter(visit: Visit, reply: Reply) -> Cut:
    """Ends the current task, unless its answer is out already."""
    task = asyncio.current_task()

    def cut(reason: Reason) -> None:
        if task is not None and not reply.is_over:
            visit.cut_because = reason
            task.cancel()

    return cut


async def _within(seconds: float, stream: Coroutine[Any, Any, None]) -> None:
    try:
        async with asyncio.timeout(seconds) as wall_clock:
            await stream
    except TimeoutError as error:
        if not wall_clock.expired():
            raise
        raise Refusal(Reason.STREAM_TOO_LONG, "The stream has taken as long as one may; it was cut.") from error


def _age_seconds(enforcement: Enforcement | None, now: float) -> float:
    """Since the document was issued, which is what its version says."""
    return now - enforcement.document.version / 1000 if enforcement else math.nan


def _rounded(seconds: float) -> float:
    return math.ceil(seconds * 1e6) / 1e6
