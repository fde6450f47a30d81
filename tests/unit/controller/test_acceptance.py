"""Which spec is in force: a good one at once, a bad one never, but for what it takes away."""

from typing import Any

from tests.unit.controller import worlds

from bartizan.controller import acceptance
from bartizan.controller.revision import Accepted
from bartizan.policy import parse
from bartizan.policy.model import Client

BAD = {"template": {"spec": {"hostNetwork": True, "containers": []}}}


def _accepted(spec: dict[str, Any]) -> Accepted:
    return Accepted(revision=1, spec=spec, pod_template={}, pod_inputs="", guard_image="", document_key="")


def _judge(spec: dict[str, Any], accepted: Accepted | None) -> acceptance.InForce:
    return acceptance.judge({"spec": spec}, worlds.IDENTITY, accepted, parse=parse.parse)


def _clients(**epochs: Any) -> dict[str, Any]:
    return {"access": {"clients": [{"name": name, "keyEpoch": epoch} for name, epoch in epochs.items()]}}


def test_a_good_spec_is_in_force_at_once() -> None:
    found = _judge(worlds.spec(replicas=2), _accepted(worlds.spec()))
    assert found.deployment is not None
    assert found.deployment.spec.replicas == 2
    assert not found.problems


def test_a_bad_one_leaves_the_last_good_one_in_force() -> None:
    before = worlds.spec(replicas=2)
    found = _judge({**worlds.spec(replicas=5), **BAD}, _accepted(before))
    assert found.deployment is not None
    assert found.deployment.spec.replicas == 2
    assert found.spec == before
    assert found.problems


def test_a_bad_one_that_was_never_good_is_nothing() -> None:
    found = _judge({**worlds.spec(), **BAD}, None)
    assert (found.deployment, found.spec) == (None, None)


def test_closing_is_never_refused() -> None:
    before = worlds.spec(**_clients(stays=1, raised=1, lowered=3, gone=1))
    found = _judge({**worlds.spec(**_clients(stays=1, raised=4, lowered=2, new=1)), **BAD}, _accepted(before))
    assert found.deployment is not None
    assert set(found.deployment.spec.clients) == {Client("stays", 1), Client("raised", 4), Client("lowered", 3)}


def test_a_refused_spec_without_any_readable_client_lets_nobody_in() -> None:
    before = _accepted(worlds.spec(**_clients(one=1)))
    unreadable: list[Any] = [None, [], {"clients": "one"}, {"clients": ["one", None, {"name": 3}]}]
    for access in unreadable:
        found = _judge({**worlds.spec(), "access": access, **BAD}, before)
        assert found.deployment is not None
        assert found.deployment.spec.clients == ()
