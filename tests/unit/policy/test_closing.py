"""What a refused spec takes away: whom it no longer names as what they were, and never more than it says."""

from typing import Any

import pytest

from bartizan.policy import closing
from bartizan.policy.model import Client, JwtRef, ServiceAccountRef

BATCH = Client("batch", 1, ServiceAccountRef("team-b", "runner"))
CHAT = Client("chat", 2)
BEFORE = (BATCH, CHAT)
RUNNER = {"name": "batch", "serviceAccount": {"namespace": "team-b", "name": "runner"}}
BOTH = [{"type": "APIKey"}, {"type": "ServiceAccount"}]


def remaining(*clients: Any, **access: Any) -> tuple[Client, ...]:
    spec = {"access": {"clients": list(clients), "authentication": BOTH, **access}}
    return closing.remaining(BEFORE, spec, namespace="ml")


def test_who_is_named_as_before_stays() -> None:
    assert remaining(RUNNER, {"name": "chat"}) == BEFORE


@pytest.mark.parametrize(
    "account",
    [
        None,
        {"name": "runner"},
        {"namespace": "team-b", "name": "other"},
        {"namespace": "team-c", "name": "runner"},
        {},
        [],
        "team-b/runner",
    ],
)
def test_who_is_somebody_else_now_is_out(account: Any) -> None:
    assert remaining({"name": "batch", "serviceAccount": account}, {"name": "chat"}) == (CHAT,)


def test_who_had_a_key_and_is_an_account_now_is_out() -> None:
    assert remaining(RUNNER, {"name": "chat", "serviceAccount": {"name": "chat"}}) == (BATCH,)


def test_the_endpoints_own_namespace_is_the_default() -> None:
    before = (Client("batch", 1, ServiceAccountRef("ml", "runner")),)
    spec = {"access": {"clients": [{"name": "batch", "serviceAccount": {"name": "runner"}}], "authentication": BOTH}}
    assert closing.remaining(before, spec, namespace="ml") == before
    assert closing.remaining(before, spec, namespace="other") == ()


def test_a_kind_of_proof_that_is_no_longer_listed_is_out() -> None:
    assert remaining(RUNNER, {"name": "chat"}, authentication=[{"type": "APIKey"}]) == (CHAT,)
    assert remaining(RUNNER, {"name": "chat"}, authentication=[{"type": "ServiceAccount"}]) == (BATCH,)


@pytest.mark.parametrize("listed", [None, [], "APIKey", [{"type": "ApiKey"}], [{}], [None], [{"type": ["APIKey"]}]])
def test_a_list_that_cannot_be_read_shuts_nobody_out(listed: Any) -> None:
    assert remaining(RUNNER, {"name": "chat"}, authentication=listed) == BEFORE


@pytest.mark.parametrize("spec", [None, [], {}, {"access": None}, {"access": {"clients": "batch"}}])
def test_who_is_not_named_is_out(spec: Any) -> None:
    assert closing.remaining(BEFORE, spec, namespace="ml") == ()


ALICE = Client("alice", 1, jwt=JwtRef("corp", "alice@corp"))
STAFF = Client("staff", 1, jwt=JwtRef("corp", groups=("a", "b")))
CORP = [{"type": "JWT", "issuer": "corp"}]


def of_issuers(*clients: Any, ways: Any = CORP) -> tuple[Client, ...]:
    spec = {"access": {"clients": list(clients), "authentication": ways}}
    return closing.remaining((ALICE, STAFF), spec, namespace="ml")


def test_whom_an_issuer_names_stays_as_long_as_both_are_the_same() -> None:
    alice = {"name": "alice", "jwt": {"issuer": "corp", "subject": "alice@corp"}}
    staff = {"name": "staff", "jwt": {"issuer": "corp", "groups": ["b", "a"]}}
    assert of_issuers(alice, staff) == (ALICE, STAFF)
    assert of_issuers(alice, staff, ways=[{"type": "JWT", "issuer": "lab"}]) == ()
    assert of_issuers(alice, staff, ways=[{"type": "APIKey"}]) == ()
    for changed in ({"subject": "bob"}, {"issuer": "lab"}, {"groups": ["a"]}):
        assert of_issuers({"name": "alice", "jwt": {**alice["jwt"], **changed}}) == ()  # type: ignore[dict-item]
    assert of_issuers({"name": "staff", "jwt": {"issuer": "corp", "groups": ["a"]}}) == ()
    assert of_issuers({"name": "alice"}, {"name": "staff", "jwt": "corp"}) == ()
