"""The guard as it runs in a pod: a signed document, keys, limits, the model on a unix socket, an audit that is read."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from bench.guard.peers.contract import CLIENTS, Limit, Peer, Place, Running, await_answer, bearer
from bench.guard.processes import Streams, started
from tests.unit.guard import running

from bartizan.policy import document as documents
from bartizan.policy.document import RequestWindow

SLOTS = 1000


@contextlib.contextmanager
def start(place: Place, limit: Limit) -> Iterator[Running]:
    given = running.document(
        keys=tuple(running.client_key(client) for client in CLIENTS),
        requests=(RequestWindow(limit.requests, limit.window_seconds),),
        concurrent=SLOTS,
        concurrent_per_client=SLOTS,
    )
    (place.folder / "document").write_text(documents.encode(given, running.SIGNING_KEY))
    command = [str(Path(sys.executable).parent / "bartizan"), "guard"]
    command += running.arguments(place.folder, f"unix:{place.socket}")
    audit = Streams(place.folder / "log", output=subprocess.PIPE, environment=_environment())
    with started(command, audit, core=place.cores.measured) as process:
        reader = Streams(place.folder / "reader.log", output=subprocess.DEVNULL, given=process.stdout)
        with started(["cat"], reader, core=place.cores.load):
            ports = running.eventually(lambda: running.ports_of(place.folder, process), "the guard has started")
            headers = {client: bearer(running.credential(client).reveal()) for client in CLIENTS}
            wrong = running.credential(epoch=2).reveal()
            yield await_answer(Running(ports["port"], process, headers, bearer(wrong)), place.folder / "log")


def _environment() -> dict[str, str]:
    return {"PYTHONPATH": str(running.ROOT / "operator")}


PEER = Peer("guard", "Bartizan's guard, everything on", start)
