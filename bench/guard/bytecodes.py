"""What the work in Python goes into: bytecodes by part of the guard. python -m bench.guard.bytecodes

Everything is the guard's own but the two sockets and the clock's wait: a caller's bytes go into its connection, and the
model's answer into its upstream connection. Counts are the same on every machine; what runs in C (parsing HTTP and
JSON, hashing, the event loop, the kernel) is in none of them.
"""

import asyncio
import contextlib
import itertools
import os
import socket
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Self
from unittest import mock

import uvloop
from bench.guard import backend, payload
from bench.guard.peers.contract import bearer
from tests.unit.guard import running

from bartizan.guard import main, settings
from bartizan.guard.connection import ClientConnection, Surroundings
from bartizan.guard.pipeline import Pipeline
from bartizan.guard.request import Budget
from bartizan.guard.upstream_connection import UpstreamConnection
from bartizan.policy import document as documents
from bartizan.policy.document import RequestWindow

WARM, COUNTED = 50, 200
KIB = 1024
PARTS = {
    "HTTP from and to the caller": ("connection", "incoming", "request", "reply", "listener", "deadlines", "front"),
    "identity": ("identity", "verifier", "claims", "caller"),
    "JSON and schema": ("strict_json", "decoder", "encoder", "schema", "body", "openai_schema", "inspection"),
    "limits": ("rates", "budgets", "slots", "limits", "limits_memory", "tokens", "costs", "allowance", "shared"),
    "audit": ("audit", "audit_sink", "trace_context"),
    "the model's answer": (
        *(
            "upstream",
            "upstream_connection",
            "relay",
            "answers",
            "openai_answers",
            "openai_words",
            "openai_repeats",
            "answer_json",
            "tally",
        ),
        *("event_stream", "answer_texts"),
    ),
    "metrics": ("metrics", "model_metrics", "series", "values"),
    "the way from stage to stage": (
        *("pipeline", "visit", "underway", "refusal", "turn"),
        *("openai", "contract", "enforcement"),
    ),
}
OTHER = "the standard library and what dataclasses make"


@dataclass(frozen=True)
class Case:
    name: str
    size: int = KIB
    is_good: bool = True
    limit: int = 10**9
    """Requests a minute."""
    is_of_chunks: bool = False
    """One thing that is counted is not a request, but a chunk of a stream that is under way."""


CASES = (
    Case("1 KB request"),
    Case("32 KB prompt", 32 * KIB),
    Case("bad key", is_good=False),
    Case("over the limit", limit=1),
    Case("a stream's chunk", is_of_chunks=True),
)


class Transport(asyncio.Transport):
    """Hands on what is written, and nothing else."""

    def __init__(self, written: Callable[[bytes], object]) -> None:
        super().__init__()
        self._written = written

    def write(self, data: Any) -> None:  # noqa: ANN401 -- bytes of any kind
        self._written(data)

    def is_closing(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None: ...

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def abort(self) -> None: ...


class Surface(contextlib.ExitStack):
    """What a guard is put on: a folder, an audit that goes nowhere, and a model's socket to which nothing comes."""

    def __enter__(self) -> Self:
        self.folder = Path(self.enter_context(tempfile.TemporaryDirectory()))
        self.nowhere = self.enter_context(Path(os.devnull).open("wb"))
        self.silent = self.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        return self


class Crowd:
    """Of one connection, which nobody counts."""

    is_draining = False

    def joined(self, _: object) -> bool:
        return True

    def left(self, _: object) -> None: ...


@dataclass(frozen=True)
class Guard:
    """A caller's connection to a guard that is whole but for its sockets, and the guard's to its model."""

    caller: ClientConnection
    answered: asyncio.Event
    models: list[UpstreamConnection]

    async def ask(self, request: bytes) -> None:
        self.answered.clear()
        self.caller.data_received(request)
        await self.answered.wait()
        await asyncio.sleep(0)  # the answer is written before the connection waits for the next request


def count(case: Case) -> Counter[str]:
    """Bytecodes by module, of `COUNTED` requests or chunks."""
    with Surface() as surface:
        return uvloop.run(_count(case, surface))


async def _count(case: Case, surface: Surface) -> Counter[str]:
    found: Counter[str] = Counter()

    def trace(frame: FrameType, event: str, _: object) -> Any:  # noqa: ANN401 -- itself
        frame.f_trace_opcodes = True
        if event == "opcode" and frame.f_code.co_filename != __file__:
            found[Path(frame.f_code.co_filename).stem] += 1
        return trace

    asked, guard = _request(case), _open(case, surface)
    if case.is_of_chunks:
        await guard.ask(asked)
    for number in range(WARM + COUNTED):
        if number == WARM:
            sys.settrace(trace)
        if case.is_of_chunks:
            guard.models[0].data_received(backend.CHUNK)
        else:
            await guard.ask(asked)
    sys.settrace(None)
    return found


def _request(case: Case) -> bytes:
    key = running.credential().reveal() if case.is_good else running.credential(epoch=2).reveal()
    order = "/chunks 1 /every 1" if case.is_of_chunks else ""
    return payload.request(payload.chat(case.size, stream=order), *bearer(key))


def _open(case: Case, surface: Surface) -> Guard:
    given = running.document(requests=(RequestWindow(case.limit, 60),))
    (surface.folder / "document").write_text(documents.encode(given, running.SIGNING_KEY))
    chosen = settings.parse(running.arguments(surface.folder, "unix:/nowhere"))
    with mock.patch.object(sys, "stdout", surface.nowhere):
        parts = main.build(chosen)
    parts.gate.audit.start()
    parts.gate.documents.look()
    loop, answered, models = asyncio.get_running_loop(), asyncio.Event(), list[UpstreamConnection]()
    answer = backend.STREAM_HEAD if case.is_of_chunks else backend.WHOLE

    async def opened() -> UpstreamConnection:
        protocol = UpstreamConnection(surface.silent, answer_seconds=600)

        protocol.connection_made(Transport(lambda _: loop.call_soon(protocol.data_received, answer)))
        models.append(protocol)
        return protocol

    parts.gate.upstream._open = opened  # type: ignore[method-assign]  # noqa: SLF001 -- in the socket's place
    numbers = itertools.count()
    around = Surroundings(
        answer=Pipeline(parts.gate).answer,
        deadlines=parts.deadlines,
        bounds=chosen.bounds,
        budget=Budget(chosen.bounds.waiting_bytes, each=chosen.bounds.body_bytes),
        new_id=lambda: f"req_{next(numbers):024d}",
    )
    connection = ClientConnection(Crowd(), around, around.seconds())
    connection.connection_made(Transport(lambda _: answered.set()))
    return Guard(connection, answered, models)


def table() -> str:
    """A row for each part, a column for each case."""
    counted = {case.name: count(case) for case in CASES}
    part_of = {module: part for part, modules in PARTS.items() for module in modules}
    rows = {part: dict.fromkeys(counted, 0) for part in (*PARTS, OTHER)}
    for name, found in counted.items():
        for module, times in found.items():
            rows[part_of.get(module, OTHER)][name] += times
    rows["**together**"] = {name: found.total() for name, found in counted.items()}
    lines = [f"| bytecodes | {' | '.join(counted)} |", "|---|" + "---:|" * len(counted)]
    lines += [
        f"| {part} | {' | '.join(f'{times / COUNTED:,.0f}' for times in row.values())} |" for part, row in rows.items()
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())
