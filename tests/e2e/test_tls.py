"""TLS from client to guard on a real node: a Secret that comes late, its rotation without a restart, a bad pair."""

import base64
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event
from typing import Any

import pytest
from tests.e2e.endpoint import GUARD, Endpoint, restarts, until
from tests.e2e.ground import Ground
from tests.e2e.player import Player
from tests.unit.guard.authority import Authority, Pair

pytestmark = pytest.mark.node

AUTHORITY = Authority()
NAME = "pair"


def _issue(ground: Ground) -> Pair:
    return AUTHORITY.issue(f"model.{ground.namespace}.svc")


def _put(ground: Ground, certificate: bytes, key: bytes) -> None:
    data = {"tls.crt": base64.b64encode(certificate).decode(), "tls.key": base64.b64encode(key).decode()}
    live = {"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls", "data": data}
    ground.apply({**live, "metadata": {"name": NAME, "namespace": ground.namespace}})


def _tls(endpoint: Endpoint) -> dict[str, Any]:
    return dict(endpoint.guard_status().get("tls") or {})


@contextmanager
def _hurried(endpoint: Endpoint) -> Iterator[None]:
    """A change of a pod's annotations makes its kubelet look at its Secrets now, and not within its minute.

    Again and again: it may look before it has heard of the change.
    """
    pod, is_over = endpoint.pod()["metadata"]["name"], Event()

    def hurry() -> None:
        while not is_over.wait(1):
            endpoint.kubectl("annotate", "pod", pod, "--overwrite", f"e2e/look={time.monotonic_ns()}")

    with ThreadPoolExecutor(1) as pool:
        hurrying = pool.submit(hurry)
        try:
            yield
        finally:
            is_over.set()
            hurrying.result()


@pytest.fixture(scope="module")
def endpoint(ground: Ground) -> Endpoint:
    """Made before its Secret, which then comes."""
    ground.kubectl("delete", "secret", NAME, "--ignore-not-found")
    made = ground.endpoint(serving={"tls": {"secretName": NAME}})
    until(lambda: f"Secret '{NAME}'" in made.condition("Ready").get("message", ""), lambda: made.condition("Ready"))
    pair = _issue(ground)
    _put(ground, pair.certificate, pair.key)
    return made.wait()


@pytest.fixture(scope="module")
def app(ground: Ground, endpoint: Endpoint) -> Player:
    return ground.client(endpoint)


def _ask(app: Player, seconds: float = 0) -> dict[str, Any]:
    return dict(json.loads(app.run("secure.py", AUTHORITY.text, str(seconds)).splitlines()[-1]))


def test_clients_find_tls_by_their_secret_and_nothing_else_is_open(endpoint: Endpoint, app: Player) -> None:
    said = _ask(app)
    assert (said["failures"], said["base"]) == ([], endpoint.live["status"]["address"])
    assert said["base"].startswith("https://")
    assert app.knock(endpoint.address, [8080, 8081, 8443, 9090]) == [8443]
    endpoint.edit(limits={"requests": [{"limit": 999_998, "window": "1d"}]})  # so that the operator looks
    until(lambda: endpoint.condition("PlainHTTP").get("reason") == "TlsConfigured", lambda: endpoint.live["status"])
    plain = endpoint.condition("PlainHTTP")
    assert plain["status"] == "False"
    assert "valid until" in plain["message"]
    assert app.call(f"{endpoint.address}:8443").startswith("400"), "plain HTTP is told what to mend"


def test_a_rotation_fails_no_request_and_restarts_nothing(ground: Ground, endpoint: Endpoint, app: Player) -> None:
    before = endpoint.pod()
    pair = _issue(ground)
    _put(ground, pair.certificate, pair.key)
    with _hurried(endpoint):
        said = _ask(app, seconds=100)
    assert (said["failures"], said["seen"][-1]) == ([], pair.sha256)
    now = endpoint.pod()
    assert now["metadata"]["uid"] == before["metadata"]["uid"]
    assert restarts(now, GUARD) == restarts(now, "model") == 0


def test_a_bad_pair_shows_and_the_last_good_one_serves(ground: Ground, endpoint: Endpoint, app: Player) -> None:
    good, other = _tls(endpoint)["sha256"], _issue(ground)
    _put(ground, other.certificate, _issue(ground).key)
    with _hurried(endpoint):
        until(lambda: _tls(endpoint).get("reason") == "TlsPairRefused", lambda: _tls(endpoint), seconds=100)
    said = _ask(app)
    assert (said["failures"], said["seen"]) == ([], [good])
    endpoint.edit(limits={"requests": [{"limit": 999_999, "window": "1d"}]})  # so that the operator looks
    until(lambda: endpoint.condition("PlainHTTP").get("reason") == "TlsPairRefused", lambda: endpoint.live["status"])
    _put(ground, other.certificate, other.key)
    with _hurried(endpoint):
        until(lambda: _tls(endpoint).get("sha256") == other.sha256, lambda: _tls(endpoint), seconds=100)
