"""Portkey's gateway from npm, run with node: the backend is its custom host.

Its lock holds @hono/node-server back at 1.3.3: with the newest that Portkey takes, every stream is answered with 500.
"""

import contextlib
from collections.abc import Iterator

from bench.guard.installing import node_modules
from bench.guard.peers.contract import CLIENTS, Limit, Peer, Place, Running, await_answer, bearer, free_port
from bench.guard.processes import Streams, started


@contextlib.contextmanager
def start(place: Place, limit: Limit) -> Iterator[Running]:  # noqa: ARG001 -- it has no limits of its own
    program = node_modules("portkey") / "@portkey-ai" / "gateway" / "build" / "start-server.js"
    port, log = free_port(), place.folder / "log"
    command = ["node", str(program), "--headless", f"--port={port}"]
    host = f"http://127.0.0.1:{place.backend_port}/v1"
    way = ("x-portkey-provider: openai", f"x-portkey-custom-host: {host}", *bearer("none"))
    trusted = {"NODE_ENV": "production", "TRUSTED_CUSTOM_HOSTS": "127.0.0.1,localhost"}
    with started(command, Streams(log, environment=trusted), core=place.cores.measured) as process:
        yield await_answer(Running(port, process, dict.fromkeys(CLIENTS, way)), log)


PEER = Peer("portkey", "Portkey gateway", start, rate=200, chunk_ms=20)
