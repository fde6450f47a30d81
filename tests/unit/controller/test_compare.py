"""Comparison: nothing that the API server does is drift, and nothing that anybody else does is not."""

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest
from tests.unit.controller import worlds

from bartizan.cli import render
from bartizan.controller import api_defaults, compare
from bartizan.controller.builders import deployment

CASES = sorted(
    path.parent.name for path in worlds.GOLDEN.glob("*/input.yaml") if not path.parent.name.startswith("refused-")
)
Manifest = dict[str, Any]
Place = tuple[str | int, ...]
SERVERS_OWN = {
    "uid": "1",
    "resourceVersion": "7",
    "generation": 1,
    "creationTimestamp": "2026-01-01T00:00:00Z",
    "managedFields": [],
}


def _manifests(case: str) -> list[Manifest]:
    owned = render.manifests(worlds.wish(case), worlds.SURROUNDINGS)
    return [deepcopy(manifest) for manifest in owned if manifest["kind"] != "Secret"]


def _stored(manifest: Manifest) -> Manifest:
    """As the API server keeps it: its own metadata, its defaults, and without what is empty or false."""
    live = deepcopy(manifest)
    live["metadata"] |= SERVERS_OWN
    live["status"] = {"anything": "goes"}
    for path, value in api_defaults.ADDITIONS.get(manifest["kind"], {}).items():
        if value is not api_defaults.ANY and not callable(value):
            _default(live, path, value)
    stored: Manifest = _without_zeroes(live)
    return stored


def _default(value: Any, path: tuple[str, ...], default: Any) -> None:
    head, *rest = path
    if head == "*":
        for item in value if isinstance(value, list) else ():
            _default(item, tuple(rest), default)
    elif isinstance(value, dict) and not rest:
        value.setdefault(head, default)
    elif isinstance(value, dict) and head in value:
        _default(value[head], tuple(rest), default)


def _without_zeroes(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_zeroes(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        name: _without_zeroes(item)
        for name, item in value.items()
        if item not in ([], "") and not (name in api_defaults.ABSENT_WHEN_FALSE and not item)
    }


@pytest.mark.parametrize("case", CASES)
def test_what_the_api_server_adds_and_drops_is_no_drift(case: str) -> None:
    for manifest in _manifests(case):
        assert compare.differences(manifest, _stored(manifest)) == []


@pytest.mark.parametrize("case", ["more-containers", "egress-named", "replicas-with-budget", "volumes"])
def test_whatever_is_changed_is_found(case: str) -> None:
    for manifest in _manifests(case):
        for place, mutant in _mutants(_stored(manifest)):
            assert compare.differences(manifest, mutant), f"{manifest['kind']} {place}"


def _mutants(live: Manifest) -> Iterator[tuple[Place, Manifest]]:
    """Every value changed, every list grown and shrunk, every mapping with something more: one at a time."""
    for place, value in _places(live, ()):
        if place[0] == "status" or (place[0] == "metadata" and len(place) > 1 and place[1] in SERVERS_OWN):
            continue
        for changed in _changes(value):
            mutant = deepcopy(live)
            _put(mutant, place, changed)
            yield place, mutant


def _changes(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield {**value, "intruder": "x"}
    elif isinstance(value, list):
        yield [*value, "intruder"]
        yield value[:-1]
    elif isinstance(value, bool):
        yield not value
    elif isinstance(value, int):
        yield value + 1
    else:
        yield f"{value}x"


def _places(value: Any, place: Place) -> Iterator[tuple[Place, Any]]:
    if place:
        yield place, value
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _places(item, (*place, name))
    elif isinstance(value, list):
        for position, item in enumerate(value):
            yield from _places(item, (*place, position))


def _put(live: Any, place: Place, value: Any) -> None:
    for step in place[:-1]:
        live = live[step]
    live[place[-1]] = value


@pytest.mark.parametrize(
    ("wanted", "found"), [("1000m", "1"), ("1024Mi", "1Gi"), (2, "2"), ("0.5", "500m"), ("2.5Gi", "2560Mi")]
)
def test_quantities_are_compared_as_figures(wanted: object, found: object) -> None:
    def manifest(amount: object) -> Manifest:
        return {"kind": "X", "metadata": {}, "spec": {"resources": {"limits": {"memory": amount}}}}

    assert compare.differences(manifest(wanted), manifest(found)) == []
    assert compare.differences(manifest(wanted), manifest("3")) == ["spec.resources.limits.memory"]


def test_text_is_never_compared_as_a_figure() -> None:
    one, other = ({"kind": "X", "metadata": {}, "spec": {"image": text}} for text in ("1", "1000m"))
    assert compare.differences(one, other) == ["spec.image"]


def test_a_restart_by_hand_stays_when_the_rest_is_put_back() -> None:
    wish = worlds.wish()
    desired = deployment.build(wish, worlds.template(wish))
    live = _stored(desired)
    live["spec"]["template"]["metadata"]["annotations"][api_defaults.RESTART_ANNOTATION] = "now"
    assert compare.differences(desired, live) == []
    live["spec"]["template"]["spec"]["hostNetwork"] = True
    put = compare.replacement(desired, live)
    assert put["spec"]["template"]["metadata"]["annotations"][api_defaults.RESTART_ANNOTATION] == "now"
    assert put["spec"]["template"]["spec"]["hostNetwork"] is False
    assert put["metadata"]["resourceVersion"] == "7"


@pytest.mark.parametrize(
    ("references", "is_drift"), [([{"name": "llama-dockercfg-x7k2p"}], False), ([{"name": "mine"}], True)]
)
def test_only_a_distributions_own_pull_secrets_are_let_be(references: list[dict[str, str]], is_drift: bool) -> None:
    account = next(item for item in _manifests("minimal") if item["kind"] == "ServiceAccount")
    assert bool(compare.differences(account, {**_stored(account), "imagePullSecrets": references})) is is_drift
