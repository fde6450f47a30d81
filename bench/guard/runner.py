"""Takes every measure of every peer in turns: A B C, A B C …; a peer whose turn it is not is frozen."""

import contextlib
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import uvloop
from bench.guard import processes
from bench.guard.installing import NotRun
from bench.guard.measures import Measure
from bench.guard.peers import direct, envoy, floor, guard, litellm, portkey, servers
from bench.guard.peers.contract import Limit, Peer, Place, Running
from bench.guard.processes import Cores, Streams, started
from bench.guard.results import Results
from bench.guard.subject import Figures, Subject

PEERS = {
    peer.name: peer
    for peer in (*guard.PEERS, floor.PEER, *servers.PEERS, direct.PEER, *envoy.PEERS, portkey.PEER, litellm.PEER)
}  # fmt: skip


@dataclass(frozen=True)
class Plan:
    measures: tuple[Measure, ...]
    peers: tuple[str, ...]
    rounds: int
    seconds: float
    cores: Cores

    def of(self, measure: Measure) -> list[Peer]:
        """The peers of a measure, in the order of their turns; latency always needs the way without a proxy."""
        return [PEERS[name] for name in measure.peers if name in self.peers or name == "direct"]


class Stage:
    """The backend and the peers that have been started so far, each once for each limit."""

    def __init__(self, stack: contextlib.ExitStack, cores: Cores) -> None:
        self._stack = stack
        self._cores = cores
        self._folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-guard-")))
        self._socket = self._folder / "model.sock"
        self._port = stack.enter_context(_backend(self._folder, self._socket, cores))
        self._running: dict[tuple[str, Limit], Running | NotRun] = {}

    @contextlib.contextmanager
    def turn(self, peer: Peer, limit: Limit) -> Iterator[Running]:
        """The peer, thawed; raises NotRun, at every turn the same."""
        key = (peer.name, limit)
        if key not in self._running:
            self._running[key] = self._start(peer, limit)
        found = self._running[key]
        if isinstance(found, NotRun):
            raise found
        processes.thaw(found.process.pid)
        try:
            yield found
        finally:
            processes.freeze(found.process.pid)

    def _start(self, peer: Peer, limit: Limit) -> Running | NotRun:
        try:
            return self._stack.enter_context(peer.start(self._place(peer), limit))
        except NotRun as why:
            return why

    @contextlib.contextmanager
    def fresh(self, peer: Peer, limit: Limit) -> Iterator[Running]:
        with peer.start(self._place(peer), limit) as running:
            yield running

    def _place(self, peer: Peer) -> Place:
        folder = Path(tempfile.mkdtemp(prefix=f"{peer.name}-", dir=self._folder))
        return Place(folder, self._socket, self._port, self._cores)


@contextlib.contextmanager
def _backend(folder: Path, path: Path, cores: Cores) -> Iterator[int]:
    command = [sys.executable, "-m", "bench.guard.backend", "--socket", str(path)]
    streams = Streams(folder / "backend.log", output=subprocess.PIPE)
    with started(command, streams, core=cores.load) as process:
        line = process.stdout.readline() if process.stdout else b""
        if not line:
            raise SystemExit((folder / "backend.log").read_text())
        yield int(line)


def run(plan: Plan, told: Callable[[str], None]) -> Results:
    """Every figure of the plan; `told` hears of each as it is taken."""
    results = Results()
    with contextlib.ExitStack() as stack, processes.on(plan.cores.load):
        stage = Stage(stack, plan.cores)
        for measure in plan.measures:
            for number in range(plan.rounds):
                for peer in plan.of(measure):
                    if (measure.id, peer.name) not in results.missing:
                        told(f"{measure.id} round {number + 1} {peer.name}")
                        _add(results, measure, peer, partial(_figures, measure, peer, stage, plan, number))
    return results


def _add(results: Results, measure: Measure, peer: Peer, take: Callable[[], Figures]) -> None:
    try:
        results.add(measure.id, peer.name, take())
    except NotRun as why:
        results.drop(measure.id, peer.name, str(why))


def _figures(measure: Measure, peer: Peer, stage: Stage, plan: Plan, number: int) -> Figures:
    turn = stage.fresh if measure.fresh else stage.turn
    with turn(peer, measure.limit) as running:
        subject = Subject(peer, running, plan.cores, plan.seconds, seed=number)
        return uvloop.run(measure.take(subject))
