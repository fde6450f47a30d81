"""Requests to a real API server in plain JSON, so that a test sees what it says word for word."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kubernetes import client, config
from tests.localcluster.api import Cluster


class RefusalError(Exception):
    """What the API server answered instead of the object."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class Rest:
    def __init__(self, api: client.ApiClient) -> None:
        self._api = api

    def request(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        wanted = {"Accept": "application/json", "Content-Type": kind, **headers}
        call = self._api.param_serialize(method, path, header_params=wanted, body=body, auth_settings=["BearerToken"])
        answer: Any = self._api.call_api(*call)
        answer.read()
        value = json.loads(answer.data)
        if answer.status >= 400:
            raise RefusalError(answer.status, value["message"])
        return value


@contextmanager
def client_of(cluster: Cluster) -> Iterator[client.ApiClient]:
    configuration = client.Configuration()
    config.load_kube_config(str(cluster.kubeconfig), client_configuration=configuration)  # type: ignore[no-untyped-call] # the package's own
    with client.ApiClient(configuration) as api:
        yield api
