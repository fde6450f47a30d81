"""What insiders with rights on Secrets can do to a guard's document: nothing that the guard believes."""

import base64
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from demo.stage import SYSTEM, Stage
from tests.e2e import company
from tests.e2e.endpoint import Endpoint, is_ready, until
from tests.e2e.ground import Ground
from tests.e2e.player import Player
from tests.localcluster import waiting

from bartizan.policy import names

pytestmark = [pytest.mark.node, pytest.mark.needs("operator")]

ANOTHER_LIMIT = {"limit": 999_999, "window": "1d"}


@pytest.fixture(scope="module")
def endpoint(ground: Ground) -> Endpoint:
    return ground.endpoint().wait()


@pytest.fixture(scope="module")
def app(ground: Ground, endpoint: Endpoint) -> Player:
    return ground.client(endpoint)


@contextmanager
def operator_away(stage: Stage) -> Iterator[None]:
    """So that nobody puts back what an insider does."""
    operator = ("deployment/bartizan-operator", "-n", SYSTEM)
    with company.alone(company.OPERATOR):
        stage.kubectl("scale", *operator, "--replicas=0")
        stage.kubectl("wait", "pods", "-n", SYSTEM, "--all", "--for=delete", "--timeout=60s")
        try:
            yield
        finally:
            stage.kubectl("scale", *operator, "--replicas=1")
            stage.kubectl("rollout", "status", *operator, "--timeout=90s")


def write(endpoint: Endpoint, text: str) -> None:
    """As someone who may edit Secrets and annotate pods."""
    data = {"document.jws": base64.b64encode(text.encode()).decode()}
    secret = names.document_secret(endpoint.name)
    endpoint.kubectl("patch", "secret", secret, "--type=merge", "-p", json.dumps({"data": data}))


def bring(endpoint: Endpoint, text: str, reason: str) -> None:
    """Until the guard has seen the text and says this of it: the kubelet takes the change of a pod for a wink."""
    write(endpoint, text)
    for number in range(20):
        pod = endpoint.pod()["metadata"]["name"]
        endpoint.kubectl("annotate", "--overwrite", "pod", pod, f"nudge={time.monotonic_ns()}-{number}")
        if waiting.holds_within(1.5, lambda: endpoint.guard_status().get("documentReason") == reason):
            return
    raise AssertionError(f"not {reason}: {endpoint.guard_status()}")


def answer(app: Player, endpoint: Endpoint) -> str:
    return app.call(f"{endpoint.address}:8080", "/v1/models", "--key", endpoint.key())


@pytest.mark.alone("operator")
def test_without_the_operator_guards_serve_refuse_and_believe_no_insider(
    ground: Ground, endpoint: Endpoint, app: Player
) -> None:
    """In one test, since everybody else waits for as long as the operator is away."""
    foreign = ground.endpoint("other").wait().document()
    older = endpoint.document()
    endpoint.edit(limits={"requests": [ANOTHER_LIMIT]})
    endpoint.wait()
    good = endpoint.document()
    attempts = {
        "garbage": "DocumentSignatureInvalid",
        foreign: "DocumentForeign",
        older: "DocumentOutdated",
        good[:-8] + "AAAAAAAA": "DocumentSignatureInvalid",
    }
    with operator_away(endpoint.stage):
        t70_endpoints_serve_and_refuse_as_before(endpoint, app)
        t63_a_guard_keeps_its_last_good_document(endpoint, app, attempts)
        t68_without_a_document_a_guard_is_not_ready_and_refuses_everything(endpoint, app)
    until(lambda: endpoint.document() == good, "the operator puts the Secret back")
    until(lambda: endpoint.guard_status().get("documentReason") == "GuardReady", endpoint.guard_status)
    endpoint.wait()
    assert answer(app, endpoint).startswith("200")


def t70_endpoints_serve_and_refuse_as_before(endpoint: Endpoint, app: Player) -> None:
    assert answer(app, endpoint).startswith("200")
    assert app.call(endpoint.service).startswith("401")
    assert app.call(endpoint.service, "/health").startswith("404")


def t63_a_guard_keeps_its_last_good_document(endpoint: Endpoint, app: Player, attempts: dict[str, str]) -> None:
    """`attempts`: what an insider writes, and what the guard says of it."""
    in_force = endpoint.guard_status()["documentHash"]
    for text, reason in attempts.items():
        bring(endpoint, text, reason)
        assert endpoint.guard_status()["documentHash"] == in_force
        assert answer(app, endpoint).startswith("200")


def t68_without_a_document_a_guard_is_not_ready_and_refuses_everything(endpoint: Endpoint, app: Player) -> None:
    key = endpoint.key()
    write(endpoint, "garbage")
    endpoint.kubectl("delete", "pod", "-l", f"{names.ENDPOINT_LABEL}={endpoint.name}")
    until(lambda: endpoint.pods() and endpoint.pod()["status"].get("podIP"), "a new pod")
    until(endpoint.guard_status, "its guard answers")
    assert endpoint.guard_status()["documentHash"] is None
    refused = app.call(f"{endpoint.address}:8080", "/v1/models", "--key", key)
    assert refused.startswith("503"), refused
    assert not is_ready(endpoint.pod())
    assert app.call(endpoint.service, "/v1/models", "--key", key).startswith("no answer")


def test_t63_a_written_document_is_put_back_at_once(endpoint: Endpoint, app: Player) -> None:
    good = endpoint.document()
    write(endpoint, "garbage")
    until(lambda: endpoint.document() == good, "the Secret is put back", seconds=10)
    until(lambda: endpoint.guard_status().get("documentReason") == "GuardReady", endpoint.guard_status, seconds=20)
    assert answer(app, endpoint).startswith("200")


def test_t55_a_withdrawn_key_is_dead_in_seconds(endpoint: Endpoint, app: Player) -> None:
    endpoint.edit(access={"clients": [{"name": "app"}, {"name": "leaver"}]})
    endpoint.wait()
    key = endpoint.key("leaver")
    assert app.call(endpoint.service, "/v1/models", "--key", key).startswith("200")
    endpoint.edit(access={"clients": [{"name": "app"}]})
    took = until(lambda: app.call(endpoint.service, "/v1/models", "--key", key).startswith("401"), "dead", seconds=15)
    assert took < 10
    assert answer(app, endpoint).startswith("200")
