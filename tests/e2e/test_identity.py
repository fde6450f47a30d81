"""A pod with its own token, as the kubelet projects it and docs/identity.md shows it: no Secret, and no way back."""

import json

import pytest
from tests.e2e.endpoint import until
from tests.e2e.ground import TOKEN, Ground

pytestmark = [pytest.mark.node, pytest.mark.needs("operator")]

ACCESS = {
    "authentication": [{"type": "ServiceAccount"}],
    "clients": [{"name": "batch", "serviceAccount": {"name": "runner"}}],
}
ASK = ("ask.py", "hello", "--key-file", TOKEN)


def _make(ground: Ground, name: str) -> None:
    ground.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}})


def test_a_pod_comes_in_by_its_own_token_until_its_account_is_another(ground: Ground) -> None:
    for name in ("runner", "stranger"):
        _make(ground, name)
    endpoint = ground.endpoint("tokens", access=ACCESS).wait("Ready", "InSync", "ClientsResolved")
    runner, stranger = ground.account(endpoint, "runner"), ground.account(endpoint, "stranger")
    assert "answer: hello" in runner.run(*ASK)
    assert "AuthenticationError 401" in stranger.run(*ASK)
    decisions = [line for line in endpoint.guard_log() if line.get("audit") == "decision"]
    (allowed,) = [line for line in decisions if line["reason"] == "Allowed"]
    assert (allowed["client"], allowed["pod"]) == ("batch", "tokens-runner"), json.dumps(allowed)
    assert [line["reason"] for line in decisions if line["reason"].startswith("Token")] == ["TokenSubjectUnknown"]
    ground.kubectl("delete", "serviceaccount", "runner")
    _make(ground, "runner")
    until(lambda: "AuthenticationError 401" in runner.run(*ASK), "the former account's token is worth nothing")
    assert "answer: hello" in ground.account(endpoint, "runner").run(*ASK)
