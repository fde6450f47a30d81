"""Reconciling goes as far as it can: what one object cannot have keeps no other from being repaired."""

from tests.unit.controller.reconciling import NAMESPACE, Scene

from bartizan.controller import kinds
from bartizan.policy import names


def test_a_plain_endpoint_is_brought_about() -> None:
    scene = Scene().settle()
    assert scene.condition("Accepted")[:2] == ("True", "SpecAccepted")
    assert scene.is_network_shut
    assert scene.is_guarded
    written = len(scene.cluster.writes)
    scene.reconcile()
    assert {call.path.rsplit("/", 2)[1] for call in scene.cluster.writes[written:]} <= {"secrets"}


def test_a_policy_said_to_be_a_former_lifes_keeps_nothing_from_being_repaired() -> None:
    scene = Scene().settle()
    forged = names.managed_labels("llama", "forged")
    scene.pod("forged", labels=forged, status={"phase": "Pending"})
    scene.live(kinds.NETWORK_POLICY)["metadata"]["labels"] = forged
    document = scene.live(kinds.SECRET, ".guard.bartizan")["data"]
    scene.unguard()
    scene.withdraw()
    scene.reconcile(2)
    assert scene.cluster.get(kinds.NETWORK_POLICY, NAMESPACE, names.policy_twin("llama")), "the twin stands"
    assert scene.is_guarded
    assert scene.live(kinds.SECRET, ".guard.bartizan")["data"] != document
    assert not scene.has(kinds.SECRET, ".b")
    assert "former" in scene.condition("Ready")[2]


def test_beside_a_former_lifes_pods_no_workload_is_begun() -> None:
    scene = Scene().settle()
    forged = names.managed_labels("llama", "forged")
    scene.pod("forged", labels=forged, status={"phase": "Pending"})
    scene.live(kinds.NETWORK_POLICY)["metadata"]["labels"] = forged
    scene.cluster.take(kinds.DEPLOYMENT, NAMESPACE, "llama")
    scene.reconcile()
    assert not scene.has(kinds.DEPLOYMENT)


def test_in_sync_is_not_claimed_while_an_endpoint_is_taken_down() -> None:
    scene = Scene().settle()
    scene.pod()
    scene.delete()
    scene.reconcile()
    assert scene.condition("InSync")[:2] == ("Unknown", "Deleting")
