"""A pod that a test sends to do things: call, knock at ports, scan them all, keep up a load."""

import json
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from demo.stage import Stage
from tests.localcluster.api import tool


@dataclass
class Tally:
    """What became of a load's requests; filled when the load has ended."""

    outcomes: dict[str, int] = field(default_factory=dict)
    answered: list[str] = field(default_factory=list)
    seconds: float = 0.0


@dataclass
class Ending:
    """How a stream ended; filled when it has: `errors` are its error events' codes, `cut` is what the client says."""

    status: int = 0
    events: int = 0
    last: str = ""
    errors: list[str] = field(default_factory=list)
    cut: str = ""


@dataclass(frozen=True)
class Player:
    stage: Stage
    namespace: str
    name: str

    def run(self, script: str, *arguments: str) -> str:
        """What the script printed; kubectl's failure is an error."""
        return self.stage.kubectl("exec", "-n", self.namespace, self.name, "--", "python3", script, *arguments).strip()

    def call(self, address: str, path: str = "/v1/models", *arguments: str) -> str:
        """Status line and body, or `no answer: …`."""
        return self.run("call.py", address, path, *arguments)

    def scan(self, address: str) -> list[int]:
        """All open TCP ports of 65,535; scan.py says how it tries them."""
        printed = self.run("scan.py", address)
        assert printed.startswith("65535 ports tried"), printed
        return list(json.loads(printed.rpartition("open: ")[2]))

    def knock(self, address: str, ports: Sequence[int]) -> list[int]:
        """The open ones of these ports."""
        return list(json.loads(self.run("knock.py", address, *map(str, ports))))

    def crowd(self, address: str, count: int, *, milliseconds: int = 2500) -> dict[str, int]:
        """How many of so many simultaneous slow requests got which status."""
        return dict(json.loads(self.run("crowd.py", address, str(count), str(milliseconds))))

    @contextmanager
    def load(self, address: str, *, prefix: str = "load", parallel: int = 4) -> Iterator[Tally]:
        """Requests without an end, begun when the block begins; the tally is there when it has ended."""
        command = self._command("load.py", address, f"--prefix={prefix}", f"--parallel={parallel}")
        tally = Tally()
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdin
            assert process.stdout
            try:
                assert process.stdout.readline() == "going\n", "the load did not get a first answer"
                yield tally
            finally:
                process.stdin.close()
                printed = process.stdout.read().strip().splitlines()
        vars(tally).update(json.loads(printed[-1]))

    @contextmanager
    def stream(self, address: str, prompt: str) -> Iterator[Ending]:
        """One stream, under way when the block begins; how it ended is there when it has."""
        ending = Ending()
        command = self._command("stream.py", address, prompt)
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout
            assert process.stdout.readline() == "begun\n", "the stream has not begun"
            yield ending
            printed = process.stdout.read().strip().splitlines()
        vars(ending).update(json.loads(printed[-1]))

    def _command(self, script: str, *arguments: str) -> list[str]:
        kubectl = [str(tool("kubectl")), f"--kubeconfig={self.stage.cluster.kubeconfig}", "exec", "-i"]
        return [*kubectl, "-n", self.namespace, self.name, "--", "python3", script, *arguments]
