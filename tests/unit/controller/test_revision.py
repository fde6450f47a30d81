"""Revisions: only what the operator sealed for this very endpoint is believed."""

import json
from dataclasses import asdict
from typing import Any

import pytest
from tests.unit.controller import worlds

from bartizan.controller import revision
from bartizan.controller.revision import Accepted
from bartizan.policy import keys
from bartizan.policy.identity import Identity


def _accepted(number: int = 1) -> Accepted:
    wish = worlds.wish()
    return Accepted(
        revision=number,
        spec=worlds.spec(),
        pod_template=worlds.template(wish),
        pod_inputs=revision.pod_inputs(worlds.spec()),
        guard_image="example.com/bartizan:v1",
        document_key="key",
    )


def _live(number: int = 1) -> dict[str, Any]:
    return revision.build(worlds.IDENTITY, _accepted(number), worlds.ROOT)


def test_what_was_sealed_is_read_back_the_newest_last() -> None:
    found = revision.sealed([_live(10), _live(9)], worlds.IDENTITY, worlds.ROOT)
    assert found == (_accepted(9), _accepted(10))


def test_another_root_breaks_the_seal() -> None:
    assert revision.sealed([_live()], worlds.IDENTITY, worlds.OTHER_ROOT) == ()


@pytest.mark.parametrize(
    "identity",
    [Identity("ml", "llama", "uid-2", "namespace-uid-1"), Identity("ml", "llama", "uid-1", "namespace-uid-2")],
    ids=["another life", "another namespace"],
)
def test_another_endpoints_revision_is_not_believed(identity: Identity) -> None:
    assert revision.sealed([_live()], identity, worlds.ROOT) == ()


@pytest.mark.parametrize(
    "data",
    [
        None,
        {},
        {"payload": 1, "mac": 2},
        {"payload": "{}", "mac": "0"},
        {"payload": _live()["data"]["payload"] + " ", "mac": _live()["data"]["mac"]},
        {"payload": _live()["data"]["payload"], "mac": "é"},
    ],
)
def test_what_is_not_sealed_is_as_if_it_were_not_there(data: dict[str, Any] | None) -> None:
    assert revision.sealed([{**_live(), "data": data}], worlds.IDENTITY, worlds.ROOT) == ()


def _sealed_as(payload: object) -> dict[str, Any]:
    """By another version of the operator, which has other fields."""
    text = json.dumps(payload)
    return {"data": {"payload": text, "mac": keys.revision_mac(worlds.ROOT, worlds.IDENTITY, text.encode())}}


def test_a_field_of_a_newer_operators_is_no_matter() -> None:
    item = _sealed_as({**asdict(_accepted()), "novelty": 1})
    assert revision.sealed([item], worlds.IDENTITY, worlds.ROOT) == (_accepted(),)


@pytest.mark.parametrize("name", ["pod_inputs", "guard_image", "document_key"])
def test_without_a_field_of_a_later_operators_the_spec_stays_accepted(name: str) -> None:
    payload = asdict(_accepted())
    del payload[name]
    (found,) = revision.sealed([_sealed_as(payload)], worlds.IDENTITY, worlds.ROOT)
    assert asdict(found) == {**payload, name: ""}


@pytest.mark.parametrize(
    "payload",
    [
        [],
        "text",
        *({**asdict(_accepted()), name: None} for name in ("revision", "spec", "pod_template")),
        *(
            {field: value for field, value in asdict(_accepted()).items() if field != name}
            for name in ("revision", "spec", "pod_template")
        ),
    ],
)
def test_without_what_makes_it_a_revision_it_is_as_if_it_were_not_there(payload: object) -> None:
    assert revision.sealed([_sealed_as(payload)], worlds.IDENTITY, worlds.ROOT) == ()


def test_the_number_that_counts_is_the_sealed_one() -> None:
    assert revision.sealed([{**_live(3), "revision": 99}], worlds.IDENTITY, worlds.ROOT)[0].revision == 3


def test_only_what_pods_are_made_from_restarts_them() -> None:
    before = revision.pod_inputs(worlds.spec())
    assert revision.pod_inputs(worlds.spec(replicas=7, limits={"concurrent": 1}, access={})) == before
    assert revision.pod_inputs(worlds.spec(serving={"transport": "Loopback"})) != before
    assert revision.pod_inputs(worlds.spec(template={})) != before
    assert revision.pod_inputs(worlds.spec(limits={"tokenizer": {"volume": "models"}})) != before, "guards mount it"
