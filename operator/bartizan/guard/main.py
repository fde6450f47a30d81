"""Starts the guard and ends it: puts the parts together, serves until SIGTERM, drains, exits 0."""

import asyncio
import os
import resource
import signal
import sys
import time
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

import uvloop

from bartizan.guard import listener as listeners
from bartizan.guard import log, settings, status
from bartizan.guard.audit import Audit, SinkError
from bartizan.guard.audit_sink import DescriptorSink
from bartizan.guard.budgets import Budgets
from bartizan.guard.connection import Surroundings
from bartizan.guard.deadlines import Deadlines
from bartizan.guard.document_memory import DocumentMemory
from bartizan.guard.document_watch import DocumentWatch, Trust
from bartizan.guard.enforcement import Enforcement
from bartizan.guard.farewell import LAST_SECONDS, Farewell
from bartizan.guard.inspection import LetPass
from bartizan.guard.limits_file import Owner
from bartizan.guard.limits_memory import LimitsMemory, boot_id
from bartizan.guard.listener import Listener, Wrap
from bartizan.guard.metrics import Metrics
from bartizan.guard.page_server import Pages, PageServer
from bartizan.guard.pipeline import Gate, Pipeline
from bartizan.guard.profiles.contract import MAX_WHOLE_BYTES
from bartizan.guard.rates import Rates
from bartizan.guard.request import Budget
from bartizan.guard.settings import Bounds, Settings
from bartizan.guard.shared import Own, SharedLimits
from bartizan.guard.slots import Slots
from bartizan.guard.status import Status
from bartizan.guard.tls import TlsWatch
from bartizan.guard.tls_connection import HalfOpen, TlsConnection
from bartizan.guard.tokenizer import Tokenizer
from bartizan.guard.turn import Turn
from bartizan.guard.underway import Underway
from bartizan.guard.upstream import Upstream
from bartizan.guard.usage import UsageOfWindows
from bartizan.policy.reasons import Reason

MOST_FILES = 65536
"""Sockets that the guard asks the kernel for, where its limit allows: some systems start processes with 1,024."""

NEW_SECONDS = 3600
"""An endpoint's age up to which a pod that starts begins with full windows: those before it can have given little."""


def main(arguments: list[str]) -> int:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, MOST_FILES), hard))
    return uvloop.run(_serve(settings.parse(arguments)))


@dataclass(frozen=True, slots=True)
class Parts:
    gate: Gate
    listener: Listener
    deadlines: Deadlines
    status: Status
    sink: DescriptorSink
    farewell: Farewell
    tls: TlsWatch | None


def build(chosen: Settings) -> Parts:
    metrics, deadlines = Metrics(), Deadlines()
    listener, tls = _listener(chosen.bounds, metrics), TlsWatch(chosen.tls) if chosen.tls else None
    upstream = Upstream(chosen.upstream, deadlines, answer_seconds=chosen.bounds.answer_seconds)
    underway, shared = Underway(), SharedLimits(_own_limits(chosen))
    documents = _watch_document(chosen, metrics, underway, shared=shared)
    farewell = Farewell(farewell_seconds=chosen.farewell_seconds, drain_seconds=chosen.drain_seconds)
    slots, sink = Slots(), DescriptorSink(sys.stdout.fileno())
    gate = Gate(
        documents=documents,
        upstream=upstream,
        audit=Audit(sink, chain=os.urandom(16).hex(), endpoint=_name(chosen), now=time.time),
        metrics=metrics,
        rates=shared.own.rates,
        slots=slots,
        budgets=shared.own.budgets,
        shared=shared,
        inspector=LetPass,
        underway=underway,
        turn=Turn(chosen.bounds.turn_seconds, metrics.turns.of().observe, clock=time.monotonic),
        max_body_bytes=chosen.bounds.body_bytes,
        answers=Budget(chosen.bounds.answer_bytes, each=MAX_WHOLE_BYTES),
        clock=time.monotonic,
        wall_clock=time.time,
        is_draining=lambda: farewell.refuses,
        tokenizer=Tokenizer(chosen.tokenizer) if chosen.tokenizer else None,
    )
    state = _status(chosen, gate, listener, farewell, tls)
    return Parts(gate, listener, deadlines, state, sink, farewell, tls)


def _status(chosen: Settings, gate: Gate, listener: Listener, farewell: Farewell, tls: TlsWatch | None) -> Status:
    return Status(
        documents=gate.documents,
        upstream=gate.upstream,
        shared=gate.shared,
        usage=UsageOfWindows(gate.shared.own, chosen.document_key, chosen.endpoint),
        endpoint=_name(chosen),
        tls=tls,
        tokenizer=gate.tokenizer,
        is_draining=lambda: farewell.has_begun,
        is_drained=lambda: farewell.is_over(listener, gate.slots),
        now=time.time,
    )


def _name(chosen: Settings) -> str:
    return f"{chosen.endpoint.namespace}/{chosen.endpoint.name}"


def _listener(bounds: Bounds, metrics: Metrics) -> Listener:
    return Listener(most=bounds.connections, most_each=bounds.connections_per_address, counted=metrics.connections.set)


def _watch_document(chosen: Settings, metrics: Metrics, underway: Underway, *, shared: SharedLimits) -> DocumentWatch:
    memory = DocumentMemory(chosen.state_directory)
    trust = Trust(chosen.document_key, chosen.endpoint, max(chosen.document_not_before, memory.recall()))

    def taken_up(taken: Enforcement) -> None:
        memory.keep(taken.document.version)
        shared.own.memory.begin(is_new_endpoint=time.time() - taken.document.created < NEW_SECONDS)
        metrics.document_version.set(taken.document.version)
        underway.withdraw_all_but(taken.standings)
        shared.use(taken)

    return DocumentWatch(chosen.document, trust, taken_up=taken_up)


def _own_limits(chosen: Settings) -> Own:
    memory = LimitsMemory(chosen.state_directory, Owner(chosen.endpoint.uid, boot_id()), time.monotonic_ns)
    return Own(
        memory=memory,
        rates=Rates(memory),
        budgets=Budgets(memory, time.monotonic_ns),
        folder=chosen.document.parent,
        longest_seconds=chosen.bounds.answer_seconds,
        now_ns=time.monotonic_ns,
    )


async def _serve(chosen: Settings) -> int:
    parts = build(chosen)
    try:
        parts.gate.audit.start()
    except SinkError as error:
        log.fault("audit cannot be written", error)
        return 1
    parts.gate.documents.look()
    _heed_signals(parts.farewell)
    work = [parts.gate.documents.run(), parts.deadlines.run()]
    if parts.tls is not None:
        parts.tls.look()
        work.append(parts.tls.run())
    if (tokenizer := parts.gate.tokenizer) is not None:
        tokenizer.look()  # before anybody is served: reading it keeps the interpreter busy
        work.append(tokenizer.run())
    background = [_watch(running, parts.farewell) for running in work]
    ports = {"port": await _open_gate(chosen, parts), **await _open_pages(chosen, parts)}
    log.info("guard started", endpoint=parts.status.endpoint, upstream=str(chosen.upstream), **ports)
    untaken = await _end(parts)
    return 1 if untaken or any(task.done() for task in background) else 0


async def _end(parts: Parts) -> int:
    """Serve until the end: of requests first, then of the audit; the number of its lines that nobody took."""
    cut = await parts.farewell.run(parts.listener, parts.gate.slots, parts.gate.underway)
    parts.gate.upstream.close()
    left = max(parts.farewell.deadline - asyncio.get_running_loop().time(), LAST_SECONDS)
    await parts.gate.shared.close(left)
    untaken = await parts.sink.settle(left)
    if untaken:
        log.warning("audit lines lost at the end", lines=untaken)
    log.info("guard ended", cut=cut)
    return untaken


def _watch(work: Coroutine[Any, Any, None], farewell: Farewell) -> asyncio.Task[None]:
    """Work that never ends by itself; if a fault ends it, the guard ends, too, and is started anew."""

    def finished(task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            log.fault("background work failed", error)
            farewell.end()

    task = asyncio.create_task(work)
    task.add_done_callback(finished)
    return task


def _heed_signals(farewell: Farewell) -> None:
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGUSR1, farewell.leave)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, farewell.end)


async def _open_gate(chosen: Settings, parts: Parts) -> int:
    sock = listeners.bind(chosen.address, chosen.ports.guard)
    surroundings = Surroundings(
        answer=Pipeline(parts.gate).answer,
        deadlines=parts.deadlines,
        bounds=chosen.bounds,
        budget=Budget(chosen.bounds.waiting_bytes, each=chosen.bounds.body_bytes),
        new_id=lambda: f"req_{os.urandom(12).hex()}",
    )
    await parts.listener.open(sock, surroundings, _wrap(parts.tls, parts.gate) if parts.tls else None)
    port: int = sock.getsockname()[1]
    return port


def _wrap(tls: TlsWatch, gate: Gate) -> Wrap:
    """A new connection takes the pair of its time and keeps it."""
    half_open = HalfOpen()

    def failed(reason: str) -> None:
        gate.metrics.tls_failed.labels(reason).inc()

    def wrap(connection: asyncio.Protocol) -> TlsConnection:
        context = tls.current.context if tls.current else None
        return TlsConnection(connection, context, gate.turn, half_open, failed=failed)

    return wrap


async def _open_pages(chosen: Settings, parts: Parts) -> dict[str, int]:
    metrics, gate = parts.gate.metrics, parts.gate

    def refresh() -> None:
        metrics.in_flight.set(gate.slots.taken)
        metrics.waiting.set(gate.slots.waiting)
        metrics.document_good.set(gate.documents.is_good)
        metrics.limits_kept.set(gate.shared.own.memory.reason is Reason.LIMITS_KEPT)
        metrics.store_up.set(gate.shared.is_configured and not gate.shared.is_away)
        metrics.tokenizer_good.set(gate.tokenizer is not None and gate.tokenizer.is_good)
        if parts.tls is not None:
            metrics.tls_good.labels("guard").set(parts.tls.is_good)
            if parts.tls.current is not None:
                metrics.tls_expires.labels("guard").set(parts.tls.current.not_after - time.time())

    return {
        "statusPort": await _open(chosen.address, chosen.ports.status, parts.status.pages()),
        "metricsPort": await _open(chosen.address, chosen.ports.metrics, status.metrics_pages(metrics, refresh)),
    }


async def _open(address: str, port: int, pages: Pages) -> int:
    sock = listeners.bind(address, port)
    await PageServer(pages).open(sock)
    bound: int = sock.getsockname()[1]
    return bound


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
