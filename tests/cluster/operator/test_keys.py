"""Keys: no retired one ever comes back, none is issued without the root, and none shows where it does not belong."""

import base64
from collections.abc import Iterator
from typing import Any

import jwt
import pytest
from tests.cluster.installation import NAMESPACE
from tests.cluster.operator.admin import Live
from tests.cluster.operator.bench import Bench, Endpoint, until
from tests.cluster.operator.process import Operator

from bartizan.controller import kinds
from bartizan.policy import names

pytestmark = pytest.mark.cluster

ROOT = "bartizan-root"
CLIENT = [{"name": "chat-ui", "keyEpoch": 1}]


def _clients(endpoint: Endpoint, *clients: dict[str, Any]) -> None:
    endpoint.edit_spec(access={"clients": list(clients)})
    endpoint.wait()


def _admitted(endpoint: Endpoint) -> dict[str, str]:
    """Key id by client, as the guards are told."""
    payload: Live = jwt.decode(endpoint.document(), options={"verify_signature": False})
    return {key["client"]: key["id"] for key in payload["keys"]}


def _key_id(key: str) -> str:
    return key.removeprefix("btzn_").partition(".")[0]


def test_a_raised_epoch_is_another_key_that_the_guards_are_told_of(endpoint: Endpoint) -> None:
    first = endpoint.api_key()
    _clients(endpoint, {"name": "chat-ui", "keyEpoch": 2})
    second = endpoint.api_key()
    assert _key_id(first) != _key_id(second)
    assert _admitted(endpoint) == {"chat-ui": _key_id(second)}
    until(lambda: any("epoch 1 retired" in text for text in endpoint.events("KeyRetired")))


def test_a_client_that_comes_back_gets_no_key_that_ever_was(endpoint: Endpoint) -> None:
    seen = [endpoint.api_key()]
    for _ in range(2):
        _clients(endpoint)
        assert endpoint.api_key() == ""
        assert _admitted(endpoint) == {}
        _clients(endpoint, {"name": "chat-ui"})
        seen.append(endpoint.api_key())
    _clients(endpoint, {"name": "chat-ui", "keyEpoch": 2})
    seen.append(endpoint.api_key())
    assert len(set(map(_key_id, seen))) == len(seen) == 4, "raising the epoch tells after a come-back, too"
    assert _admitted(endpoint) == {"chat-ui": _key_id(seen[-1])}


def test_wiping_the_status_revives_no_key(endpoint: Endpoint) -> None:
    seen = [endpoint.api_key()]
    _clients(endpoint)
    _clients(endpoint, {"name": "chat-ui"})
    seen.append(endpoint.api_key())
    body = {"status": None}
    endpoint.admin.patch(kinds.MODEL_DEPLOYMENT, endpoint.namespace, "echo", body, subresource="status")
    until(lambda: endpoint.status.get("clients"))
    until(lambda: endpoint.api_key() not in ("", *seen))
    assert _admitted(endpoint) == {"chat-ui": _key_id(endpoint.api_key())}


def test_endpoints_and_clients_of_the_same_name_have_other_keys(bench: Bench, operator: Operator) -> None:
    one, other = (bench.endpoint(bench.namespace()).wait() for _ in range(2))
    former = one.api_key()
    one.delete()
    until(lambda: not one.inventory())
    again = bench.endpoint(one.namespace).wait()
    assert len({_key_id(key) for key in (former, other.api_key(), again.api_key())}) == 3


@pytest.fixture
def root(bench: Bench) -> Iterator[Live]:
    """The root's Secret; put back at the end, whatever a test has done to it."""
    found = bench.admin.must_get(kinds.SECRET, NAMESPACE, ROOT)
    yield found
    _put_back(bench, found)


def _put_back(bench: Bench, root: Live) -> None:
    bench.admin.delete(kinds.SECRET, NAMESPACE, ROOT)
    kept = {name: root["metadata"][name] for name in ("name", "namespace", "labels")}
    bench.admin.create(kinds.SECRET, NAMESPACE, {**root, "metadata": kept})


def _look_until(endpoint: Endpoint, reason: str) -> None:
    """The operator looks after its root only when it has something to do: so give it that."""

    def is_told() -> bool:
        endpoint.edit({"metadata": {"annotations": {"example.com/look": str(len(looks))}}})
        looks.append(None)
        return endpoint.condition("Ready").get("reason") == reason

    looks: list[None] = []
    until(is_told, lambda: endpoint.status)


@pytest.mark.parametrize("content", [None, base64.b64encode(b"short").decode()], ids=["deleted", "garbage"])
def test_without_the_root_nothing_is_issued_and_gates_keep_what_they_have(
    content: str | None, bench: Bench, endpoint: Endpoint, root: Live
) -> None:
    before = {name: _spec(item) for name, item in endpoint.inventory().items()}
    bench.admin.delete(kinds.SECRET, NAMESPACE, ROOT)
    if content is not None:
        secret = {"metadata": {"name": ROOT}, "data": {"root": content}}
        bench.admin.create(kinds.SECRET, NAMESPACE, secret)
    _look_until(endpoint, "RootLost")
    assert "restore the Secret" in endpoint.condition("Ready")["message"]
    endpoint.edit_spec(access={"clients": [{"name": "chat-ui", "keyEpoch": 2}, {"name": "late"}]})
    until(lambda: endpoint.status["observedGeneration"] == endpoint.live["metadata"]["generation"])
    assert {name: _spec(item) for name, item in endpoint.inventory().items()} == before
    _put_back(bench, root)
    _look_until(endpoint, "PodsNotReady")
    assert _admitted(endpoint).keys() == {"chat-ui", "late"}
    assert _key_id(endpoint.api_key()) != _key_id(
        base64.b64decode(before["Secret echo.chat-ui"][1]["api_key"]).decode()
    )


def _spec(live: Live) -> tuple[Any, Any]:
    return live.get("spec"), live.get("data")


def test_t53_keys_and_root_show_nowhere_but_in_their_secrets(bench: Bench, operator: Operator, namespace: str) -> None:
    endpoint = bench.endpoint(namespace, access={"clients": CLIENT}).wait()
    keys = [endpoint.api_key()]
    _clients(endpoint, {"name": "chat-ui", "keyEpoch": 2}, {"name": "batch"})
    keys += [endpoint.api_key(), endpoint.api_key("batch")]
    root = base64.b64decode(bench.admin.must_get(kinds.SECRET, NAMESPACE, ROOT)["data"]["root"])
    forms = {form for key in keys for form in (key, key.partition(".")[2], base64.b64encode(key.encode()).decode())}
    forms |= {root.hex(), base64.b64encode(root).decode(), base64.urlsafe_b64encode(root).decode(), repr(root)[2:-1]}
    shown = [*operator.output, operator.scrape(), str(endpoint.live), endpoint.document()]
    shown += [str(bench.admin.list(kind, namespace)) for kind in (kinds.EVENT, *kinds.OWNED)]
    shown += [base64.urlsafe_b64decode(endpoint.document().split(".")[1] + "==").decode()]
    assert not [form for form in forms for text in shown if form in text]
    assert names.document_secret("echo") in str(bench.admin.list(kinds.SECRET, namespace))
