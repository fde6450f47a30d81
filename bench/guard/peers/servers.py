"""The floor behind servers that are ready made, to see what a protocol of one's own is worth: uvicorn and Granian."""

import contextlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from bench.guard.installing import python_environment
from bench.guard.peers.contract import CLIENTS, Limit, Peer, Place, Running, await_answer, free_port
from bench.guard.processes import Streams, started

_APP = "asgi_app:app"
_COMMANDS = {
    "uvicorn": ("--host=127.0.0.1", "--port={port}", "--loop=uvloop", "--http=httptools", "--no-access-log", _APP),
    "granian": ("--host=127.0.0.1", "--port={port}", "--loop=uvloop", "--interface=asgi", "--workers=1", _APP),
}


@contextlib.contextmanager
def start(name: str, place: Place, limit: Limit) -> Iterator[Running]:  # noqa: ARG001 -- it has no limits
    port, log = free_port(), place.folder / "log"
    command = [str(python_environment("servers") / name), *(part.format(port=port) for part in _COMMANDS[name])]
    environment = {"UPSTREAM": str(place.socket), "PYTHONPATH": str(Path(__file__).parent)}
    with started(command, Streams(log, environment=environment), core=place.cores.measured) as process:
        yield await_answer(Running(port, process, dict.fromkeys(CLIENTS, ())), log)


PEERS = (
    Peer("floor-uvicorn", "The same proxy behind uvicorn", partial(start, "uvicorn")),
    Peer("floor-granian", "The same proxy behind Granian", partial(start, "granian")),
)
