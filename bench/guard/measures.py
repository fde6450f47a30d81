"""What is measured: each measure takes one figure of one peer; `ALL` is the list, in the order of the report."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from itertools import cycle, repeat
from typing import Any

from bench.guard import payload, processes
from bench.guard.installing import NotRun
from bench.guard.load import ClosedLoop, OpenLoop, Streaming
from bench.guard.peers.contract import CLIENTS, Limit
from bench.guard.subject import WARM_SECONDS, Figures, Subject, expect, quantiles

CONNECTIONS = 16
OPEN_CONNECTIONS = 64
STREAMS = 32
HELD_STREAMS = 200
HOLD_SECONDS = 3.0
SMALL, LARGE = payload.KIB, 32 * payload.KIB
KEPT_UP = 0.9
"""Part of the rate below which a latency says only how long the queue has grown."""
ABUSE = 20
"""How many times its limit the abuser asks for."""
NEIGHBOUR_LIMIT = Limit(50, 1)
HONEST_RATE = 0.8
"""Part of its limit that each honest client uses."""

SERVERS = ("floor-uvicorn", "floor-granian")
EVERYBODY = ("guard", "floor", "envoy", "envoy-keyed", "envoy-ruled", "portkey", "litellm")


@dataclass(frozen=True)
class Measure:
    """`figures` are those of `take`'s that the report shows; `fresh` starts the peer anew for every round."""

    id: str
    title: str
    figures: tuple[str, ...]
    take: Callable[[Subject], Coroutine[Any, Any, Figures]]
    peers: tuple[str, ...] = EVERYBODY
    limit: Limit = Limit()  # noqa: RUF009 -- frozen
    fresh: bool = False


async def _closed(subject: Subject, request: bytes, wanted: str) -> Figures:
    load = ClosedLoop(subject.running.port, request)
    try:
        await load.open(CONNECTIONS)
        await asyncio.sleep(WARM_SECONDS)
        load.statuses.clear()
        figures = await subject.cpu_per(lambda: load.completed)
        expect(load.statuses, wanted)
        return figures
    finally:
        await load.close()


async def small(subject: Subject) -> Figures:
    return await _closed(subject, subject.running.request(payload.chat(SMALL)), "200")


async def large(subject: Subject) -> Figures:
    return await _closed(subject, subject.running.request(payload.chat(LARGE)), "200")


async def bad_key(subject: Subject) -> Figures:
    """The plain proxy knows no keys: it forwards, and that is what the others' refusals are compared with."""
    request = payload.request(payload.chat(SMALL), *subject.running.refused)
    return await _closed(subject, request, _refused(subject, "401"))


async def over_limit(subject: Subject) -> Figures:
    return await _closed(subject, subject.running.request(payload.chat(SMALL)), _refused(subject, "429"))


def _refused(subject: Subject, status: str) -> str:
    return "200" if subject.peer.name == "envoy" else status


async def chunk(subject: Subject) -> Figures:
    """Streams that are under way all the time, so that nothing but their chunks is counted."""
    every = subject.peer.chunk_ms
    order = f"/chunks {int((subject.seconds + 10) * 1000 / every)} /every {every}"
    load = Streaming(subject.running.port, subject.running.request(payload.chat(SMALL, stream=order)))
    try:
        await load.open(STREAMS)
        await asyncio.sleep(2 * WARM_SECONDS + 2 * every / 1000)
        load.events = load.reads = 0
        figures = await subject.cpu_per(lambda: load.events)
        _expect_open(load)
        return {**figures, "per_read": load.events / load.reads}
    finally:
        await load.close()


def _expect_open(load: Streaming) -> None:
    """Nobody has been answered to the end, and nobody was refused."""
    if load.statuses or not load.events:
        raise NotRun(f"streams ended with {dict(load.statuses)}")


async def latency(subject: Subject) -> Figures:
    """Open loop: a request's time runs from when it should have been sent."""
    requests = repeat(subject.running.request(payload.chat(SMALL)))
    load = OpenLoop(subject.running.port, requests, rate=subject.peer.rate, seed=subject.seed)
    try:
        await load.open(OPEN_CONNECTIONS)
        load.begin()
        await asyncio.sleep(WARM_SECONDS)
        load.latencies.clear()
        figures = await subject.cpu_per(lambda: load.completed)
        expect(load.statuses, "200")
        if figures["per_second"] < KEPT_UP * subject.peer.rate:
            raise NotRun(f"answered {figures['per_second']:.0f} a second where {subject.peer.rate:g} were asked for")
        p50, p99 = quantiles(load)
        return {**figures, "p50_us": p50, "p99_us": p99}
    finally:
        await load.close()


async def memory(subject: Subject) -> Figures:
    idle = processes.rss_mib(subject.running.process.pid)
    request = subject.running.request(payload.chat(SMALL, stream="/chunks 1000 /every 500"))
    load = Streaming(subject.running.port, request, subject.running.tls)
    try:
        await load.open(HELD_STREAMS)
        await asyncio.sleep(HOLD_SECONDS)
        _expect_open(load)
        return {"idle_mib": idle, "streams_mib": processes.rss_mib(subject.running.process.pid)}
    finally:
        await load.close()


async def neighbours(subject: Subject) -> Figures:
    """Nine honest clients, first by themselves, then beside the abuser."""
    calm = await _honest(subject)
    rate = NEIGHBOUR_LIMIT.requests * ABUSE
    abuser = OpenLoop(
        subject.running.port, repeat(subject.running.request(payload.chat(SMALL))), rate=rate, seed=subject.seed + 1
    )
    try:
        await abuser.open(OPEN_CONNECTIONS)
        abuser.begin()
        abused = await _honest(subject)
        return {"calm_p99_us": calm, "abused_p99_us": abused, "refused": abuser.statuses["429"] / abuser.completed}
    finally:
        await abuser.close()


async def _honest(subject: Subject) -> float:
    """The honest clients' p99."""
    body = payload.chat(SMALL)
    requests = cycle([subject.running.request(body, client) for client in CLIENTS[1:]])
    rate = NEIGHBOUR_LIMIT.requests * HONEST_RATE * len(CLIENTS[1:])
    load = OpenLoop(subject.running.port, requests, rate=rate, seed=subject.seed)
    try:
        await load.open(OPEN_CONNECTIONS)
        load.begin()
        await asyncio.sleep(WARM_SECONDS)
        load.latencies.clear()
        await asyncio.sleep(subject.seconds)
        expect(load.statuses, "200")
        return quantiles(load)[1]
    finally:
        await load.close()


_GATES = ("guard", "envoy-keyed", "envoy")
_SPENT = Limit(1, 3600)
_LATENCY = ("added_p50_us", "added_p99_us", "cpu_us")
_MEMORY = ("idle_mib", "streams_mib")

ALL = (
    Measure("P1", "A 1 KB chat request", ("cpu_us", "per_second"), small, (*EVERYBODY, *SERVERS)),
    Measure("P2", "A chat request with a 32 KB prompt", ("cpu_us", "per_second"), large),
    Measure("P3a", "A refused request: bad key", ("cpu_us", "per_second"), bad_key, _GATES),
    Measure("P3b", "A refused request: over the limit", ("cpu_us", "per_second"), over_limit, _GATES, _SPENT),
    Measure("P4", "One chunk of a stream", ("cpu_us", "per_read"), chunk),
    Measure("P5", "Latency at a fixed rate", _LATENCY, latency, ("direct", *EVERYBODY)),
    Measure(
        "P6", f"Memory, idle and with {HELD_STREAMS} streams", _MEMORY, memory,
        ("guard-whole", *EVERYBODY[1:]), fresh=True,
    ),
    Measure(
        "P12", f"Nine honest clients, by themselves and beside one at {ABUSE} × its limit",
        ("calm_p99_us", "abused_p99_us"), neighbours, ("guard", "envoy-keyed"), NEIGHBOUR_LIMIT,
    ),
)  # fmt: skip
