"""Knows how to keep a copy of one kind of object up to date: list, then watch, then list again."""

import http.client
import json
import ssl
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from kubernetes import client, config
from tests.localcluster.enforcer.facts import Manifest

WATCH_SECONDS = 240
"""The server ends a watch after that; the list that follows heals whatever the watch missed."""

RETRY_SECONDS = 0.5


@dataclass(frozen=True)
class Api:
    """An API server and how to speak to it."""

    host: str
    port: int
    context: ssl.SSLContext

    @classmethod
    def of(cls, kubeconfig: Path) -> "Api":
        configuration = client.Configuration()
        config.load_kube_config(str(kubeconfig), client_configuration=configuration)  # type: ignore[no-untyped-call]
        context = ssl.create_default_context(cafile=configuration.ssl_ca_cert)
        if configuration.cert_file is None:
            raise ValueError(f"{kubeconfig}: the user has no client certificate, the only identity known here")
        context.load_cert_chain(configuration.cert_file, configuration.key_file)
        address = urlsplit(configuration.host)
        return cls(str(address.hostname), address.port or 443, context)

    def get(self, path: str, *, timeout_seconds: float) -> http.client.HTTPResponse:
        connection = http.client.HTTPSConnection(self.host, self.port, timeout=timeout_seconds, context=self.context)
        connection.request("GET", path, headers={"Accept": "application/json", "Connection": "close"})
        response = connection.getresponse()
        if response.status != http.HTTPStatus.OK:
            raise OSError(f"GET {path}: status {response.status}")
        return response


@dataclass
class Mirror:
    """A copy of all objects under one path. A list replaces it whole: it is never half empty."""

    api: Api
    path: str
    changed: Callable[[], None] = lambda: None
    objects: dict[str, Manifest] = field(default_factory=dict)
    is_synced: bool = False

    def follow_for_ever(self) -> None:
        pause = threading.Event()
        while True:
            try:
                self.watch(self.relist())
            except (OSError, http.client.HTTPException, ValueError) as error:
                print(f"{self.path}: {error}; trying again", file=sys.stderr, flush=True)
                pause.wait(RETRY_SECONDS)

    def relist(self) -> str:
        """Take over what exists; the answer is the version to watch from."""
        with self.api.get(self.path, timeout_seconds=10) as response:
            listed: dict[str, Any] = json.load(response)
        self.objects = {item["metadata"]["uid"]: item for item in listed["items"]}
        self.is_synced = True
        self.changed()
        version: str = listed["metadata"]["resourceVersion"]
        return version

    def watch(self, version: str) -> None:
        query = f"?watch=1&timeoutSeconds={WATCH_SECONDS}&resourceVersion={version}"
        with self.api.get(self.path + query, timeout_seconds=WATCH_SECONDS + 10) as response:
            for line in response:
                event = json.loads(line)
                if event["type"] == "ERROR":
                    return
                self.take(event["type"], event["object"])

    def take(self, kind: str, item: Manifest) -> None:
        """A new dictionary each time: readers in other threads hold a whole one."""
        uid = item["metadata"]["uid"]
        rest = {known: value for known, value in self.objects.items() if known != uid}
        self.objects = rest if kind == "DELETED" else rest | {uid: item}
        self.changed()
