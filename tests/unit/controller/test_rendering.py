"""Rendering: pods and documents stay word for word what they were until their cause changes."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.unit.controller import worlds

from bartizan.controller import rendering
from bartizan.controller.builders import guard_document
from bartizan.controller.rendering import Renderer
from bartizan.controller.revision import Accepted
from bartizan.policy import document, keys

NOW = datetime(2026, 1, 1, tzinfo=UTC)
KEY = "key"


def _renderer(image: str = "example.com/bartizan:v1", key: str = KEY, **fields: Any) -> Renderer:
    return Renderer(worlds.spec(**fields), replace(worlds.SURROUNDINGS, guard_image=image), key)


def _first() -> Accepted:
    return _renderer().render(worlds.wish(), None, version=7)


def _keeps(renderer: Renderer, *, may_roll: bool = False) -> bool:
    return renderer.keeps_pods(_first(), may_roll=lambda: may_roll)


def test_pods_go_on_when_nothing_of_theirs_has_changed() -> None:
    assert _keeps(_renderer())
    assert _keeps(_renderer(replicas=9, limits={"concurrent": 1}))


def test_pods_are_new_when_the_template_or_the_signing_key_is() -> None:
    template = {"spec": {**worlds.spec()["template"]["spec"], "terminationGracePeriodSeconds": 700}}
    assert not _keeps(_renderer(template=template))
    assert not _keeps(_renderer(key="another"))
    assert not _renderer().keeps_pods(None, may_roll=lambda: False)


def test_pods_are_new_when_longer_streams_are_allowed_than_they_let_end() -> None:
    assert not _keeps(_renderer(limits={"maxStreamSeconds": 601}))
    assert _keeps(_renderer(limits={"maxStreamSeconds": 60})), "a shorter stream ends all the same"
    patient = {"spec": {**worlds.spec()["template"]["spec"], "terminationGracePeriodSeconds": 7235}}
    before = _renderer(template=patient).render(worlds.wish(template=patient), None, version=7)
    longer = _renderer(template=patient, limits={"maxStreamSeconds": 7200})
    assert longer.keeps_pods(before, may_roll=lambda: False), "they wait long enough already"


def test_pods_of_an_older_operator_that_let_no_stream_end_are_not_restarted_for_it() -> None:
    first = _first()
    hasty = {**first.pod_template, "spec": {**first.pod_template["spec"], "terminationGracePeriodSeconds": 30}}
    before = replace(first, pod_template=hasty)
    assert _renderer(limits={"maxStreamSeconds": 600}).keeps_pods(before, may_roll=lambda: False)
    assert not _renderer(limits={"maxStreamSeconds": 601}).keeps_pods(before, may_roll=lambda: False)


def test_a_new_guard_image_waits_for_its_turn() -> None:
    assert _keeps(_renderer("example.com/bartizan:v2"), may_roll=False)
    assert not _keeps(_renderer("example.com/bartizan:v2"), may_roll=True)


def test_a_turn_is_not_taken_by_an_endpoint_that_needs_none() -> None:
    def refuse() -> bool:
        raise AssertionError("asked for a turn")

    assert _renderer().keeps_pods(_first(), may_roll=refuse)


def test_the_same_spec_makes_no_new_revision() -> None:
    first = _first()
    assert _renderer().carry_over(first) is first
    later = _renderer(replicas=3).carry_over(first)
    assert (later.revision, later.pod_template) == (2, first.pod_template)


def _choose(status: dict[str, Any], *, now: datetime = NOW, **fields: Any) -> tuple[int, str]:
    built = guard_document.build(worlds.wish(**fields), worlds.ROOT, {"chat-ui": 1}, replicas=1)
    chosen, text = rendering.choose_document(built, status, worlds.ROOT, now=now)
    decoded = document.decode(text.encode(), keys.signing_key(worlds.ROOT).public_key(), built.endpoint)
    assert decoded == chosen
    return chosen.version, text


def _status(version: int, text: str) -> dict[str, Any]:
    return {"documentVersion": version, "documentHash": document.hash_of(text)}


def test_the_same_content_is_the_same_document_whenever_it_is_asked_for() -> None:
    first = _choose({})
    assert _choose(_status(*first), now=NOW + timedelta(days=1)) == first


def test_other_content_is_a_later_document_even_when_the_clock_goes_back() -> None:
    version, text = _choose({})
    later, _ = _choose(_status(version, text), now=NOW - timedelta(days=1), limits={"concurrent": 3})
    assert later == version + 1


@pytest.mark.parametrize(
    ("replicas", "status", "pods", "is_about_to_roll", "shares"),
    [
        (2, None, 0, True, 2),
        (2, {}, 2, False, 2),
        (2, {"replicas": 2, "updatedReplicas": 2}, 2, True, 3),
        (2, {"replicas": 3, "updatedReplicas": 1}, 3, False, 3),
        (1, {"replicas": 4, "updatedReplicas": 4}, 4, False, 4),
        (0, {}, 0, False, 1),
    ],
    ids=["first", "steady", "before a roll-out", "during one", "shrinking", "scaled to zero"],
)
def test_totals_are_shared_by_all_that_may_serve_at_once(
    replicas: int, status: dict[str, int] | None, pods: int, is_about_to_roll: bool, shares: int
) -> None:
    live = None if status is None else worlds.deployment(replicas, **status)
    world = worlds.world(deployment=live, pods=[worlds.pod(f"p{number}") for number in range(pods)])
    wish = worlds.wish(replicas=replicas)
    assert rendering.sharing_replicas(world, wish, is_about_to_roll=is_about_to_roll) == shares
