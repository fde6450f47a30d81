"""Secrets are outputs: what others do to them is put back at the resync, where they may not be watched."""

import base64
from collections.abc import Iterator
from typing import Any

import pytest
from tests.cluster.operator.bench import Bench, Endpoint, until
from tests.cluster.operator.process import Operator

from bartizan.controller import kinds

pytestmark = pytest.mark.cluster

RESYNC_SECONDS = 2
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


def change(endpoint: Endpoint, secret: str, what: str) -> dict[str, Any]:
    before = endpoint.admin.must_get(kinds.SECRET, endpoint.namespace, secret)
    body = CHANGES[what]
    if body is None:
        endpoint.admin.delete(kinds.SECRET, endpoint.namespace, secret)
    else:
        endpoint.admin.patch(kinds.SECRET, endpoint.namespace, secret, body, manager="mallory")
    return before


def is_back(endpoint: Endpoint, secret: str, before: dict[str, Any]) -> bool:
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
        found[endpoint] = (what, secret, change(endpoint, secret, what))
    for endpoint, (what, secret, before) in found.items():
        until(lambda: is_back(endpoint, secret, before), lambda: what, seconds=4 * RESYNC_SECONDS)  # noqa: B023
        until(lambda: endpoint.events("DriftRepaired"), lambda: what)  # noqa: B023
        assert f"Secret {secret} " in endpoint.events("DriftRepaired")[0]
