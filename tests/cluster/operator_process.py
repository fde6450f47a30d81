"""The operator as a process of its own, under the rights that the chart gives it: its log lines, ports and end."""

import contextlib
import json
import os
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from tests import forkserver
from tests.cluster import installation
from tests.cluster.plane import Plane
from tests.localcluster.api import Cluster

from bartizan.controller import kinds
from bartizan.controller.kinds import Kind

IMAGE = "localhost/bartizan:test"
ENDPOINT = """
apiVersion: bartizan.dev/v1alpha1
kind: ModelDeployment
metadata: {name: NAME, namespace: NAMESPACE}
spec:
  model: {name: test}
  template:
    spec:
      containers: [{name: model, image: example.org/model:1, command: [/serve]}]
  access:
    clients: [{name: chat}]
"""


@dataclass
class OperatorProcess:
    """One run; `log` is a file of JSON lines."""

    process: forkserver.Process
    log: Path

    def lines(self) -> list[dict[str, Any]]:
        """Every whole line so far."""
        text = self.log.read_text(encoding="utf-8")
        return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]

    def said(self, message: str, **fields: str) -> list[dict[str, Any]]:
        """The lines with this message whose fields hold these texts."""
        return [
            line
            for line in self.lines()
            if line["message"] == message and all(text in str(line.get(name, "")) for name, text in fields.items())
        ]

    def wait_for(self, message: str, *, seconds: float = 20, **fields: str) -> None:
        """Until it has said so; fails with the log if it does not, or ends before."""
        self.wait_until(
            lambda: bool(self.said(message, **fields)), f"log line {message!r} with {fields}", seconds=seconds
        )

    def wait_until_ready(self, *, seconds: float = 30) -> None:
        self.wait_until(lambda: self.ask("health", "/readyz") == (200, "ok\n"), "readiness", seconds=seconds)

    def wait_until(self, claim: Callable[[], bool], what: str, *, seconds: float) -> None:
        try:
            installation.until(lambda: claim() or self.process.poll() is not None, what, seconds=seconds)
            assert claim(), f"it ended before: {what}"
        except AssertionError as error:
            error.add_note(self.log.read_text(encoding="utf-8")[-4000:])
            raise

    def ask(self, purpose: str, path: str) -> tuple[int, str]:
        """Status and text of one of its ports; status 0 before it listens."""
        listening = self.said("listening", purpose=purpose)
        if not listening:
            return 0, ""
        with contextlib.suppress(urllib.error.URLError, ConnectionError):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{listening[-1]['port']}{path}", timeout=5) as answer:
                    return answer.status, answer.read().decode()
            except urllib.error.HTTPError as error:
                with error:
                    return error.code, error.read().decode()
        return 0, ""

    def metric(self, name: str) -> float:
        """Sum over the labels of one metric."""
        _, text = self.ask("metrics", "/metrics")
        lines = [line for line in text.splitlines() if line.startswith((name + " ", name + "{"))]
        return sum(float(line.rpartition(" ")[2]) for line in lines)

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        self.process.terminate()
        return self.process.wait(timeout=30)


def kubeconfig(cluster: Cluster, directory: Path) -> Path:
    """The cluster's, with the installed account's token instead of the administrator's certificate."""
    config = yaml.safe_load(cluster.kubeconfig.read_text())
    config["users"][0]["user"] = {"token": installation.token(cluster)}
    file = directory / "operator.kubeconfig"
    file.write_text(yaml.safe_dump(config))
    return file


@contextmanager
def run(config: Path, directory: Path, settings: Mapping[str, str] | None = None) -> Iterator[OperatorProcess]:
    """A running operator; it is ended, by force if need be."""
    given = {name: value for name, value in os.environ.items() if not name.startswith("BARTIZAN_")}
    chosen = {
        "BARTIZAN_NAMESPACE": installation.NAMESPACE,
        "BARTIZAN_GUARD_IMAGE": IMAGE,
        "BARTIZAN_HEALTH_PORT": "0",
        "BARTIZAN_METRICS_PORT": "0",
        "BARTIZAN_LOOK_SECONDS": "1",
        **(settings or {}),
    }
    log = directory / f"operator-{len(list(directory.glob('operator-*.log')))}.log"
    with log.open("wb") as sink:
        environment = {**given, **chosen, "KUBECONFIG": str(config)}
        process = forkserver.start_operator(environment, stdout=sink.fileno(), stderr=sink.fileno())
        try:
            yield OperatorProcess(process, log)
        finally:
            process.kill()
            process.wait()


def apply(plane: Plane, name: str, namespace: str = "ml") -> None:
    plane.admin.create(kinds.MODEL_DEPLOYMENT, namespace, manifest(name, namespace))


def manifest(name: str, namespace: str = "ml") -> dict[str, Any]:
    body: dict[str, Any] = yaml.safe_load(ENDPOINT.replace("NAMESPACE", namespace).replace("NAME", name))
    return body


def exists(plane: Plane, kind: Kind, name: str, namespace: str = "ml") -> bool:
    return plane.admin.get(kind, namespace, name) is not None


def reason(plane: Plane, name: str, condition: str, namespace: str = "ml") -> str:
    """Of the ModelDeployment's condition; empty while it has none."""
    status = plane.admin.must_get(kinds.MODEL_DEPLOYMENT, namespace, name).get("status", {})
    return "".join(item["reason"] for item in status.get("conditions", ()) if item["type"] == condition)
