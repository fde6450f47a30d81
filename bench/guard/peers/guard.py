"""The guard as it runs in a pod: a signed document, keys, limits, the model on a unix socket, an audit that is read."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from bench.guard.peers.contract import CLIENTS, Limit, Peer, Place, Running, await_answer, bearer
from bench.guard.processes import Streams, started
from tests.issuer.minting import signing_key
from tests.unit.guard import accounts, running
from tests.unit.guard.authority import Authority, Mount

from bartizan.policy import document as documents
from bartizan.policy.document import GuardDocument, RequestWindow

SLOTS = 1000


@contextlib.contextmanager
def start(place: Place, limit: Limit) -> Iterator[Running]:
    with _started(place, _document(limit)) as (found, _):
        yield await_answer(found, place.folder / "log")


@contextlib.contextmanager
def start_whole(place: Place, limit: Limit) -> Iterator[Running]:
    """With TLS and two issuers' keys, too; a client of each kind has come in, and the metrics have been read."""
    mount, authority, log = Mount(place.folder / "tls"), Authority(), place.folder / "log"
    mount.put(authority.issue("guard"))
    given = replace(_document(limit), issuers=(accounts.trusted(), accounts.CORP))
    with _started(place, given, *mount.flags) as (found, metrics_port):
        whole = replace(found, tls=authority.client())
        for token in (accounts.token(), signing_key().sign(accounts.corp_claims())):
            await_answer(replace(whole, headers={CLIENTS[0]: bearer(token)}), log)
        running.send(metrics_port, "GET", "/metrics", None, {})
        yield await_answer(whole, log)


def _document(limit: Limit) -> GuardDocument:
    return running.document(
        keys=tuple(running.client_key(client) for client in CLIENTS),
        requests=(RequestWindow(limit.requests, limit.window_seconds),),
        concurrent=SLOTS,
        concurrent_per_client=SLOTS,
    )


@contextlib.contextmanager
def _started(place: Place, given: GuardDocument, *flags: str) -> Iterator[tuple[Running, int]]:
    """A guard that listens, and the port of its metrics."""
    (place.folder / "document").write_text(documents.encode(given, running.SIGNING_KEY))
    command = [str(Path(sys.executable).parent / "bartizan"), "guard"]
    command += [*running.arguments(place.folder, f"unix:{place.socket}"), *flags]
    audit = Streams(place.folder / "log", output=subprocess.PIPE, environment=_environment())
    with started(command, audit, core=place.cores.measured) as process:
        reader = Streams(place.folder / "reader.log", output=subprocess.DEVNULL, given=process.stdout)
        with started(["cat"], reader, core=place.cores.load):
            ports = running.eventually(lambda: running.ports_of(place.folder, process), "the guard has started")
            headers = {client: bearer(running.credential(client).reveal()) for client in CLIENTS}
            wrong = running.credential(epoch=2).reveal()
            yield Running(ports["port"], process, headers, bearer(wrong)), ports["metricsPort"]


def _environment() -> dict[str, str]:
    return {"PYTHONPATH": str(running.ROOT / "operator")}


PEERS = (
    Peer("guard", "Bartizan's guard, everything on", start),
    Peer("guard-whole", "Bartizan's guard, with TLS and tokens, too", start_whole),
)
