"""The cluster's administrator in the operator's tests: plain requests, by kind and name."""

import base64
import http.client
import json
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit

import yaml
from tests.localcluster.api import Cluster

from bartizan.controller.kinds import Kind

Live = dict[str, Any]
Body = Mapping[str, Any]

MERGE = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
JSON = "application/json"
MOST_IDLE_SECONDS = 5.0
RETRY_SECONDS = 0.2
TESTER = "bartizan-tests"


class RefusedError(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status


class Admin:
    """May do everything, and may call itself what it likes (`manager`)."""

    def __init__(self, server: str, trust: ssl.SSLContext, bearer: str) -> None:
        self.address = urlsplit(server).netloc
        self.trust = trust
        self.headers = {"Authorization": f"Bearer {bearer}"}
        self._local = threading.local()
        self._opened: list[http.client.HTTPSConnection] = []

    def get(self, kind: Kind, namespace: str | None, name: str) -> Live | None:
        try:
            return self.send("GET", kind.path(namespace, name))
        except RefusedError as error:
            if error.status == http.HTTPStatus.NOT_FOUND:
                return None
            raise

    def must_get(self, kind: Kind, namespace: str | None, name: str) -> Live:
        found = self.get(kind, namespace, name)
        assert found is not None, f"{kind.kind} {namespace}/{name} is not there"
        return found

    def list(self, kind: Kind, namespace: str | None = None, **labels: str) -> list[Live]:
        selector = ",".join(f"{key}={value}" for key, value in labels.items())
        answer = self.send("GET", kind.path(namespace), query={"labelSelector": selector} if selector else None)
        return list(answer["items"])

    def create(self, kind: Kind, namespace: str | None, body: Body, *, manager: str = "kubectl-create") -> Live:
        query = {"fieldManager": manager}
        return self.send("POST", kind.path(namespace), body, query=query)

    def replace(self, kind: Kind, body: Body, *, manager: str = "kubectl-replace") -> Live:
        metadata = body["metadata"]
        path = kind.path(metadata["namespace"], metadata["name"])
        return self.send("PUT", path, body, query={"fieldManager": manager})

    def patch(  # noqa: PLR0913 - kind, namespace and name are one thing
        self, kind: Kind, namespace: str, name: str, body: Any, *, subresource: str = "", manager: str = "kubectl-edit"
    ) -> Live:
        """A list is a JSON patch, anything else a merge patch."""
        content_type = JSON_PATCH if isinstance(body, list) else MERGE
        path = kind.path(namespace, name, subresource=subresource)
        return self.send("PATCH", path, body, query={"fieldManager": manager}, content_type=content_type)

    def delete(self, kind: Kind, namespace: str | None, name: str, **options: Any) -> None:
        """`options` are those of DeleteOptions; absent already is as good."""
        body = {"apiVersion": "v1", "kind": "DeleteOptions", **options}
        try:
            self.send("DELETE", kind.path(namespace, name), body)
        except RefusedError as error:
            if error.status != http.HTTPStatus.NOT_FOUND:
                raise

    def send(  # noqa: PLR0913 - a request has as many parts
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: Mapping[str, str] | None = None,
        content_type: str = JSON,
        accept: str = JSON,
    ) -> Live:
        target = f"{path}?{urlencode(query)}" if query else path
        headers = {**self.headers, "Content-Type": content_type, "Accept": accept}
        text = None if body is None else json.dumps(body)
        try:
            status, answer = self._exchange(method, target, text, headers)
        except (OSError, http.client.HTTPException):
            if method == "POST":
                raise
            # A server that is busy closes idle connections early; a second call does what the first would have done.
            status, answer = self._exchange(method, target, text, headers)
        if status == http.HTTPStatus.TOO_MANY_REQUESTS:  # a kind that is new, say: "storage is (re)initializing"
            time.sleep(RETRY_SECONDS)
            return self.send(method, path, body, query=query, content_type=content_type, accept=accept)
        if status >= http.HTTPStatus.BAD_REQUEST:
            raise RefusedError(status, str(answer.get("message")))
        return answer

    def lines(self, path: str, query: Mapping[str, str]) -> Iterator[bytes]:
        """Of an answer that comes bit by bit, as a watch's does, until the server ends it."""
        connection = self._connection()
        connection.request("GET", f"{path}?{urlencode(query)}", headers=self.headers)
        yield from connection.getresponse()

    def _exchange(self, method: str, target: str, text: str | None, headers: dict[str, str]) -> tuple[int, Live]:
        connection = self._connection()
        try:
            connection.request(method, target, text, headers)
            response = connection.getresponse()
            content = response.read()
            is_json = content.startswith(b"{")  # it is not where no such API is served
            return response.status, json.loads(content) if is_json else {"message": content.decode()}
        except (OSError, http.client.HTTPException):
            connection.close()
            raise

    def close(self) -> None:
        for connection in self._opened:
            connection.close()

    def _connection(self) -> http.client.HTTPSConnection:
        """One for each thread; after a rest a fresh one, because the server may have closed the old one meanwhile."""
        if not hasattr(self._local, "connection"):
            self._local.connection = http.client.HTTPSConnection(self.address, context=self.trust, timeout=20)
            self._opened.append(self._local.connection)
        connection: http.client.HTTPSConnection = self._local.connection
        now = time.monotonic()
        if now - getattr(self._local, "used", now) > MOST_IDLE_SECONDS:
            connection.close()
        self._local.used = now
        return connection


def administrator(cluster: Cluster) -> Admin:
    """By the token of an account of its own: a cluster that somebody brought may know its users otherwise."""
    cluster.kubectl("create", "namespace", TESTER)
    cluster.kubectl("--namespace", TESTER, "create", "serviceaccount", "tester")
    binding = ("create", "clusterrolebinding", TESTER, "--clusterrole=cluster-admin")
    cluster.kubectl(*binding, f"--serviceaccount={TESTER}:tester")
    bearer = cluster.kubectl("--namespace", TESTER, "create", "token", "tester").strip()
    config = yaml.safe_load(cluster.kubeconfig.read_text())
    authority = base64.b64decode(config["clusters"][0]["cluster"]["certificate-authority-data"]).decode()
    return Admin(cluster.server, ssl.create_default_context(cadata=authority), bearer)
