"""Bartizan's chart on a real API server: installs it with Helm, and speaks HTTP as its operator's account."""

import base64
import http.client
import json
import os
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml
from tests import forkserver
from tests.localcluster.api import Cluster, tool

CHART = Path(__file__).parents[2] / "charts" / "bartizan"
RELEASE = "bartizan"
NAMESPACE = "bartizan-system"
ACCOUNT = "bartizan-operator"


def helm(cluster: Cluster, *arguments: str) -> str:
    """What Helm printed; raises CalledProcessError with its complaint as a note."""
    command = [str(tool("helm")), *arguments, "--kubeconfig", str(cluster.kubeconfig), "--namespace", NAMESPACE]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        error = subprocess.CalledProcessError(done.returncode, command, done.stdout, done.stderr)
        error.add_note(done.stderr)
        raise error
    return done.stdout


def install(cluster: Cluster, *arguments: str, chart: Path = CHART) -> str:
    return helm(cluster, "install", RELEASE, str(chart), "--create-namespace", *arguments)


def token(cluster: Cluster) -> str:
    """A short-lived token of the operator's account."""
    return cluster.kubectl("--namespace", NAMESPACE, "create", "token", ACCOUNT).strip()


def until(claim: Callable[[], bool], what: str, *, seconds: float = 20) -> None:
    """Polls until the claim holds; fails with its name."""
    deadline = time.monotonic() + seconds
    while not claim():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.05)


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    body: Any = None
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    status: int
    body: dict[str, Any]

    @property
    def message(self) -> str:
        return str(self.body.get("message", ""))

    @property
    def is_success(self) -> bool:
        return 200 <= self.status < 300


class Caller:
    """Speaks to the API server with one bearer token."""

    def __init__(self, cluster: Cluster, bearer: str) -> None:
        config = yaml.safe_load(cluster.kubeconfig.read_text())
        authority = config["clusters"][0]["cluster"]["certificate-authority-data"]
        self._trust = ssl.create_default_context(cadata=base64.b64decode(authority).decode())
        self._address = urlsplit(cluster.server).netloc
        self._bearer = bearer

    def dry_run(self, request: Request) -> Answer:
        """The API server's whole judgement, admission too, without the deed."""
        separator = "&" if "?" in request.path else "?"
        return self.send(Request(**{**vars(request), "path": f"{request.path}{separator}dryRun=All"}))

    def send(self, request: Request) -> Answer:
        connection = http.client.HTTPSConnection(self._address, context=self._trust, timeout=20)
        body = None if request.body is None else json.dumps(request.body)
        headers = {"Authorization": f"Bearer {self._bearer}", "Content-Type": request.content_type, **request.headers}
        try:
            connection.request(request.method, request.path, body=body, headers=headers)
            response = connection.getresponse()
            text = response.read()
        finally:
            connection.close()
        return Answer(response.status, json.loads(text) if text.startswith(b"{") else {"message": text.decode()})


@contextmanager
def running_operator(cluster: Cluster, directory: Path) -> Iterator[forkserver.Process]:
    """The operator as a process on this machine, with the installed account's token and the installed settings."""
    kubeconfig = directory / "operator.kubeconfig"
    config = yaml.safe_load(cluster.kubeconfig.read_text())
    config["users"][0]["user"] = {"token": token(cluster)}
    kubeconfig.write_text(yaml.safe_dump(config))
    environment = {**os.environ, **_installed_environment(cluster), "KUBECONFIG": str(kubeconfig)}
    with (directory / "operator.log").open("ab") as log:
        process = forkserver.start_operator(environment, stdout=log.fileno(), stderr=log.fileno())
        try:
            yield process
        except BaseException as error:
            error.add_note((directory / "operator.log").read_text()[-8000:])
            raise
        finally:
            process.terminate()
            process.wait(timeout=30)


def _installed_environment(cluster: Cluster) -> dict[str, str]:
    """As in the installed Deployment; but ports are free ones, as no pod has them to itself, and looks are frequent."""
    deployment = json.loads(cluster.kubectl("--namespace", NAMESPACE, "get", "deployment", ACCOUNT, "--output=json"))
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    values = {item["name"]: NAMESPACE if "valueFrom" in item else item.get("value", "") for item in container["env"]}
    return {**values, "BARTIZAN_HEALTH_PORT": "0", "BARTIZAN_METRICS_PORT": "0", "BARTIZAN_LOOK_SECONDS": "1"}
