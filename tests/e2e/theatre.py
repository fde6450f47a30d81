"""The demo's stage with a window: tests look at the cluster many times a second, all through one kubectl proxy."""

import json
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from demo.stage import Stage
from tests.localcluster.api import tool

Live = dict[str, Any]

PATHS = {
    "mdep": "apis/bartizan.dev/v1alpha1/namespaces/{}/modeldeployments",
    "deploy": "apis/apps/v1/namespaces/{}/deployments",
    "netpol": "apis/networking.k8s.io/v1/namespaces/{}/networkpolicies",
    "pods": "api/v1/namespaces/{}/pods",
    "secrets": "api/v1/namespaces/{}/secrets",
    "services": "api/v1/namespaces/{}/services",
    "events": "api/v1/namespaces/{}/events",
    "quota": "api/v1/namespaces/{}/resourcequotas",
}
TIMEOUT_SECONDS = 30


@dataclass(frozen=True)
class Theatre(Stage):
    proxy: int = 0
    """The local port behind which the API server is, with the administrator's rights."""

    def find(self, namespace: str, kind: str, name: str) -> Live:
        """The object; empty where there is none."""
        return self.read(f"{PATHS[kind].format(namespace)}/{name}")

    def must_find(self, namespace: str, kind: str, name: str) -> Live:
        found = self.find(namespace, kind, name)
        assert found, f"there is no {kind} {name} in {namespace}"
        return found

    def list(self, namespace: str, kind: str, selector: str = "") -> list[Live]:
        items: list[Live] = self.read(f"{PATHS[kind].format(namespace)}?labelSelector={quote(selector)}")["items"]
        return items

    def read(self, path: str) -> Live:
        """JSON below the API server's root; empty where there is nothing, or nobody answers behind it."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.proxy}/{path}", timeout=TIMEOUT_SECONDS) as answer:
                found: Live = json.load(answer)
                return found
        except urllib.error.HTTPError as error:
            if error.code in {404, 502, 503}:
                return {}
            raise


@contextmanager
def window(stage: Stage) -> Iterator[Theatre]:
    """The theatre, as long as the proxy runs."""
    command = [str(tool("kubectl")), f"--kubeconfig={stage.cluster.kubeconfig}", "proxy", "--port=0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            yield Theatre(**vars(stage), proxy=int(process.stdout.readline().rpartition(":")[2]))
        finally:
            process.terminate()
