"""The operator as a real process (`bartizan operator`) under exactly the chart's rights, outside of the cluster."""

import http.client
import json
import os
import random
import re
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests import forkserver
from tests.cluster.installation import NAMESPACE
from tests.localcluster import waiting

START_SECONDS = 30
STOP_SECONDS = 30
PORTS = range(10240, 20000)
GUARD_IMAGE = "example.com/bartizan:v1"
_SAMPLE = re.compile(r"^(?P<name>\w+)(?:\{(?P<labels>.*)\})? (?P<value>\S+)$")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


@dataclass
class Operator:
    """A running operator; `output` is everything that it has printed so far."""

    process: forkserver.Process
    output: list[str] = field(default_factory=list)

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in list(self.output) if line.startswith("{")]

    def port(self, purpose: str) -> int:
        found = [line["port"] for line in self.lines if line["message"] == "listening" and line["purpose"] == purpose]
        return int(found[0]) if found else 0

    def is_ready(self) -> bool:
        if (code := self.process.poll()) is not None:
            raise AssertionError(f"the operator ended with {code}:\n{''.join(self.output)}")
        return self.port("metrics") > 0 and self.metric("bartizan_operator_ready") == 1

    def metric(self, name: str, **labels: str) -> float:
        """Sum of all samples of this name with these labels."""
        return sum(
            value for sample, have, value in self._samples() if sample == name and labels.items() <= have.items()
        )

    def is_idle(self) -> bool:
        """Nothing is being reconciled, and nothing waits to be."""
        figures = ("queue_depth", "queue_delayed", "active_workers")
        return not sum(self.metric(f"bartizan_operator_{name}") for name in figures)

    def writes(self) -> dict[str, float]:
        """Write requests so far, as `verb kind`."""
        found = (sample for sample in self._samples() if sample[0] == "bartizan_operator_api_writes_total")
        return {f"{labels['verb']} {labels['kind']}": value for _, labels, value in found}

    def _samples(self) -> list[tuple[str, dict[str, str], float]]:
        matches = (match for line in self.scrape().splitlines() if (match := _SAMPLE.match(line)))
        return [(item["name"], dict(_LABEL.findall(item["labels"] or "")), float(item["value"])) for item in matches]

    def scrape(self) -> str:
        connection = http.client.HTTPConnection("127.0.0.1", self.port("metrics"), timeout=5)
        try:
            connection.request("GET", "/metrics")
            return connection.getresponse().read().decode()
        finally:
            connection.close()

    def stop(self) -> int:
        """By SIGTERM; the exit code."""
        self.process.terminate()
        return self.process.wait(STOP_SECONDS)


@contextmanager
def running(kubeconfig: Path, **settings: object) -> Iterator[Operator]:
    """Ready when it is handed over; ended, by force if need be, afterwards. `resync_seconds=1` sets that variable."""
    ports = {"health_port": _free_port(), "metrics_port": _free_port()}
    chosen = {"namespace": NAMESPACE, "guard_image": GUARD_IMAGE, **ports, **settings}
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BARTIZAN_")}
    environment |= {f"BARTIZAN_{name.upper()}": str(value) for name, value in chosen.items()}
    environment["KUBECONFIG"] = str(kubeconfig)
    reading, writing = os.pipe()
    process = forkserver.start_operator(environment, stdout=writing, stderr=writing)
    os.close(writing)
    operator = Operator(process)
    reader = threading.Thread(target=_read, args=(reading, operator.output), daemon=True)
    reader.start()
    try:
        waiting.until(operator.is_ready, seconds=START_SECONDS, complaint=lambda: "".join(operator.output))
        yield operator
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        reader.join(5)


def _free_port() -> int:
    """Not one that the kernel gives to connections: those come and go before the operator has bound it."""
    while True:
        port = random.choice(PORTS)
        with suppress(OSError), socket.create_server(("", port)):
            return port


def _read(descriptor: int, output: list[str]) -> None:
    with os.fdopen(descriptor) as pipe:
        output.extend(pipe)  # line by line, as they come
