"""No proxy at all: the backend itself, for the latency that everybody else adds to."""

import contextlib
from collections.abc import Iterator

from bench.guard.peers.contract import CLIENTS, Limit, Peer, Place, Running
from bench.guard.processes import Streams, started


@contextlib.contextmanager
def start(place: Place, limit: Limit) -> Iterator[Running]:  # noqa: ARG001 -- it has no limits
    with started(["sleep", "infinity"], Streams(place.folder / "log"), core=place.cores.measured) as nothing:
        yield Running(place.backend_port, nothing, dict.fromkeys(CLIENTS, ()))


PEER = Peer("direct", "No proxy", start)
