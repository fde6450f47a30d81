"""Knows all flows between the lab's parties, how to try them at once, and how to match them with a pattern."""

import contextlib
import fnmatch
import select
import socket
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tests.e2e.enforcer.lab import ADDRESSES, KINDS, PORTS, SERVICE, Lab, standing_in

DEADLINE_SECONDS = 10.0
"""A flow that must come through may take that long on a busy machine."""

SILENCE_SECONDS = 0.3
"""A flow that must not come through gets at least that long; one that may takes under a millisecond."""


@dataclass(frozen=True)
class Flow:
    source: str
    target: str
    protocol: str
    port: int

    def __str__(self) -> str:
        return f"{self.source} > {self.target} {self.protocol}/{self.port}"

    @property
    def address(self) -> tuple[str, int]:
        return SERVICE if self.target == "service" else (ADDRESSES[self.target], self.port)


def all_flows() -> Iterator[Flow]:
    """A pod's way to itself never leaves it; how model and node reach a Service is the proxy's affair."""
    for source in ADDRESSES:
        for target in ADDRESSES:
            if source != target:
                yield from (Flow(source, target, protocol, port) for protocol, port in PORTS)
        if source not in {"model", "host"}:
            yield Flow(source, "service", "tcp", SERVICE[1])


def is_expected(flow: Flow, patterns: Iterable[str]) -> bool:
    """What the node sends itself is never judged."""
    return flow.source == "host" or any(is_matched(flow, pattern) for pattern in patterns)


def is_matched(flow: Flow, pattern: str) -> bool:
    source, _, target, port = pattern.split(" ")
    words = ((flow.source, source), (flow.target, target), (f"{flow.protocol}/{flow.port}", port))
    return all(is_word_matched(text, word) for text, word in words)


def is_word_matched(text: str, word: str) -> bool:
    alternatives = word.removeprefix("!").split("|")
    return any(fnmatch.fnmatchcase(text, each) for each in alternatives) != word.startswith("!")


def come_through(lab: Lab, flows: Iterable[Flow], expected: set[Flow]) -> set[Flow]:
    """The flows that arrive; waits for those that are expected, and a while for those that are not."""
    with contextlib.ExitStack() as sockets:
        trials = {flow: sockets.enter_context(start(flow)) for flow in flows}
        started, arrived = time.monotonic(), set[Flow]()
        while (age := time.monotonic() - started) < DEADLINE_SECONDS:
            arrived |= connected(trials, arrived) | received(lab)
            if arrived >= expected and age > SILENCE_SECONDS:
                break
            select.select([], [], [], 0.01)
        drain(lab)
    return arrived


def start(flow: Flow) -> socket.socket:
    with standing_in(flow.source):
        trial = socket.socket(socket.AF_INET, KINDS[flow.protocol])
    trial.setblocking(False)
    with contextlib.suppress(BlockingIOError, PermissionError):
        trial.connect(flow.address)
        if flow.protocol == "udp":
            trial.send(str(flow).encode())
    return trial


def connected(trials: dict[Flow, socket.socket], arrived: set[Flow]) -> set[Flow]:
    pending = {trial: flow for flow, trial in trials.items() if flow.protocol == "tcp" and flow not in arrived}
    _, writable, _ = select.select([], list(pending), [], 0)
    return {pending[each] for each in writable if not each.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)}


def received(lab: Lab) -> set[Flow]:
    texts = set()
    for (_, protocol, _), listener in lab.listeners.items():
        while protocol == "udp":
            try:
                texts.add(listener.recv(1024).decode())
            except BlockingIOError:
                break
    return {flow for flow in all_flows() if str(flow) in texts}


def drain(lab: Lab) -> None:
    for (_, protocol, _), listener in lab.listeners.items():
        with contextlib.suppress(BlockingIOError):
            while protocol == "tcp":
                listener.accept()[0].close()
