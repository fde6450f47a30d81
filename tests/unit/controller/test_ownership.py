"""Ownership: no single mark that is taken off makes an object somebody else's, and none of ours makes it ours."""

from typing import Any

import pytest
from tests.unit.controller import worlds

from bartizan.controller import ownership
from bartizan.controller.builders.surroundings import metadata
from bartizan.policy import names
from bartizan.policy.identity import Identity

FORMER = Identity("ml", "llama", "uid-0", "namespace-uid-1")


def _live(identity: Identity = worlds.IDENTITY, **changes: Any) -> dict[str, Any]:
    return {"metadata": {**metadata(identity, identity.name), **changes}}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"labels": {}},
        {"labels": None},
        {"ownerReferences": None},
        {"labels": {}, "ownerReferences": [], "finalizers": [names.FINALIZER]},
        {"labels": names.managed_labels("llama", "forged"), "ownerReferences": []},
    ],
)
def test_with_one_mark_left_it_is_ours(changes: dict[str, Any]) -> None:
    assert ownership.is_ours(_live(**changes), worlds.IDENTITY)


@pytest.mark.parametrize(
    "changes",
    [
        {"labels": {}, "ownerReferences": []},
        {"labels": {names.MANAGED_BY_LABEL: names.MANAGED_BY}, "ownerReferences": []},
        {"labels": names.managed_labels("other", "uid-9"), "ownerReferences": []},
    ],
)
def test_without_any_mark_of_this_endpoint_it_is_a_strangers(changes: dict[str, Any]) -> None:
    live = _live(**changes)
    assert not ownership.is_ours(live, worlds.IDENTITY)
    assert not ownership.is_former(live, worlds.IDENTITY)


def test_a_former_lifes_object_is_waited_for_while_its_owner_is_named() -> None:
    assert ownership.is_former(_live(FORMER), worlds.IDENTITY)
    assert not ownership.is_ours(_live(FORMER), worlds.IDENTITY)
    orphan = _live(FORMER, ownerReferences=[])
    assert ownership.is_ours(orphan, worlds.IDENTITY), "nobody else would ever take it away"


@pytest.mark.parametrize(
    ("entries", "manager"),
    [
        ([], "unknown"),
        ([("bartizan", "1", ""), ("mallory", "2", "")], "mallory"),
        ([("mallory", "1", ""), ("bartizan", "1", "")], "mallory"),
        ([("mallory", "1", ""), ("kube-controller-manager", "2", "status")], "mallory"),
        ([("mallory", "1", ""), ("bartizan", "2", "")], "bartizan"),
    ],
)
def test_the_newest_writer_is_named_as_it_calls_itself(entries: list[tuple[str, str, str]], manager: str) -> None:
    fields = [{"manager": name, "time": time, "subresource": part} for name, time, part in entries]
    assert ownership.claimed_manager(_live(managedFields=fields)) == manager


def test_the_controllers_own_note_names_nobody() -> None:
    note: dict[str, Any] = {"f:metadata": {"f:annotations": {".": {}, "f:deployment.kubernetes.io/revision": {}}}}
    fields = [
        {"manager": "mallory", "time": "1", "fieldsV1": {"f:spec": {}}},
        {"manager": "kube-controller-manager", "time": "2", "fieldsV1": note},
    ]
    assert ownership.claimed_manager(_live(managedFields=fields)) == "mallory"
