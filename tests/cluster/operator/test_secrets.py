"""Secrets are outputs: what others do to them is put back at the resync, or at once where they may be watched."""

import base64
from collections.abc import Iterator
from typing import Any

import pytest
from tests.cluster.operator.bench import Bench, Endpoint, until, workbench
from tests.cluster.operator.process import Operator

from bartizan.controller import kinds

pytestmark = pytest.mark.cluster

RESYNC_SECONDS = 2
LISTED, DOOMED = "team-a", "team-b"
MINE = base64.b64encode(b"mine").decode()
CHANGES: dict[str, dict[str, Any] | None] = {
    "a value changed": {"data": {"OPENAI_API_KEY": MINE}},
    "a value added": {"data": {"extra": MINE}},
    "a value taken": {"data": {"OPENAI_BASE_URL": None}},
    "an annotation for copiers": {"metadata": {"annotations": {"reflector.example.com/allowed": "true"}}},
    "labels stripped": {"metadata": {"labels": None}},
    "the owner stripped": {"metadata": {"ownerReferences": None}},
    "a finalizer": {"metadata": {"finalizers": ["example.com/hold"]}},
    "made immutable": {"immutable": True, "data": {"api_key": MINE}},
    "deleted": None,
}


@pytest.fixture(scope="module")
def operator(bench: Bench) -> Iterator[Operator]:
    """Overrides the other one: with a resync that comes while one waits."""
    with bench.operator(resync_seconds=RESYNC_SECONDS) as running:
        yield running


@pytest.fixture(scope="module")
def listed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """Rights in one namespace only, and so the right to watch its Secrets."""
    with workbench(tmp_path_factory.mktemp("listed"), LISTED, DOOMED) as made:
        yield made


@pytest.fixture(scope="module")
def watcher(listed: Bench) -> Iterator[Operator]:
    with listed.operator(namespaces=f"{LISTED},{DOOMED}", watch_secrets="true") as running:
        yield running


def _change(endpoint: Endpoint, secret: str, what: str) -> dict[str, Any]:
    before = endpoint.admin.must_get(kinds.SECRET, endpoint.namespace, secret)
    body = CHANGES[what]
    if body is None:
        endpoint.admin.delete(kinds.SECRET, endpoint.namespace, secret)
    else:
        endpoint.admin.patch(kinds.SECRET, endpoint.namespace, secret, body, manager="mallory")
    return before


def _is_back(endpoint: Endpoint, secret: str, before: dict[str, Any]) -> bool:
    now = endpoint.admin.get(kinds.SECRET, endpoint.namespace, secret)
    return now is not None and _content(now) == _content(before)


def _content(live: dict[str, Any]) -> dict[str, Any]:
    kept = ("name", "labels", "annotations", "ownerReferences", "finalizers")
    return {"data": live["data"], "metadata": {name: live["metadata"].get(name) for name in kept}}


def test_unseen_changes_are_put_back_at_the_resync(bench: Bench, operator: Operator) -> None:
    """One endpoint for each change, so that all wait for the same resync."""
    found = {}
    for position, what in enumerate(CHANGES):
        endpoint = bench.endpoint(bench.namespace()).wait()
        secret = "echo.chat-ui" if position % 2 == 0 or "KEY" in str(CHANGES[what]) else "echo.guard.bartizan"
        secret = "echo.chat-ui" if "data" in (CHANGES[what] or {}) else secret
        found[endpoint] = (what, secret, _change(endpoint, secret, what))
    for endpoint, (what, secret, before) in found.items():
        until(lambda: _is_back(endpoint, secret, before), lambda: what, seconds=4 * RESYNC_SECONDS)  # noqa: B023
        until(lambda: endpoint.events("DriftRepaired"), lambda: what)  # noqa: B023
        assert f"Secret {secret} " in endpoint.events("DriftRepaired")[0]


@pytest.mark.parametrize("what", CHANGES)
def test_where_secrets_are_watched_they_are_put_back_at_once(what: str, listed: Bench, watcher: Operator) -> None:
    endpoint = listed.endpoint(LISTED, "e" + str(list(CHANGES).index(what))).wait()
    for secret in (f"{endpoint.name}.chat-ui", f"{endpoint.name}.guard.bartizan"):
        if "data" in (CHANGES[what] or {}) and "guard" in secret:
            continue
        before = _change(endpoint, secret, what)
        until(lambda: _is_back(endpoint, secret, before), seconds=2.0)  # noqa: B023
    versions = endpoint.versions()
    endpoint.edit({"metadata": {"annotations": {"example.com/look": "again"}}})
    seen = watcher.metric("bartizan_operator_reconciles_total")
    until(lambda: watcher.metric("bartizan_operator_reconciles_total") > seen)
    assert endpoint.versions() == versions


def test_watched_secrets_are_not_written_while_nothing_happens(listed: Bench, watcher: Operator) -> None:
    endpoint = listed.endpoint(LISTED, "calm").wait()
    until(endpoint.pods)
    written = watcher.writes().get("apply Secret", 0)
    for number in range(3):
        seen = watcher.metric("bartizan_operator_reconciles_total")
        endpoint.edit({"metadata": {"annotations": {"example.com/look": str(number)}}})
        until(lambda: watcher.metric("bartizan_operator_reconciles_total") > seen)  # noqa: B023
    assert watcher.writes().get("apply Secret", 0) == written


def test_outside_of_the_listed_namespaces_nothing_is_made(listed: Bench, watcher: Operator) -> None:
    with listed.operator(namespaces=LISTED, watch_secrets="true", resync_seconds=1):
        outside = listed.endpoint(listed.namespace())
        until(lambda: outside.condition("Accepted").get("reason") == "NamespaceNotManaged")
        assert not outside.inventory()


def test_a_listed_namespace_can_be_deleted_with_its_rights(listed: Bench, watcher: Operator) -> None:
    endpoint = listed.endpoint(DOOMED).wait()
    until(endpoint.pods)
    listed.admin.delete(kinds.NAMESPACE, None, DOOMED)
    until(lambda: listed.admin.get(kinds.NAMESPACE, None, DOOMED) is None, seconds=60)
