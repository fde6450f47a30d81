"""New pods wait for the old guards to take up their smaller share: together they never hold more than the whole."""

import base64
import json
from dataclasses import replace
from datetime import timedelta

from tests.unit.controller.reconciling import SETTINGS, Scene

from bartizan.controller import kinds
from bartizan.controller.guards import GuardReport
from bartizan.controller.scaling import GRACE_SECONDS


def replicas(scene: Scene) -> tuple[int, int]:
    """Of the Deployment and of the document."""
    data = scene.live(kinds.SECRET, ".guard.bartizan")["data"]["document.jws"]
    payload = base64.b64decode(data).decode().split(".")[1]
    shared: int = json.loads(base64.urlsafe_b64decode(payload + "=="))["replicas"]
    wanted: int = scene.live(kinds.DEPLOYMENT)["spec"]["replicas"]
    return wanted, shared


def acknowledged(scene: Scene) -> GuardReport:
    return GuardReport(scene.endpoint["status"]["documentHash"], "GuardReady")


def grown() -> Scene:
    """From one pod, whose guard enforces the document of one, to a spec with three."""
    scene = Scene().settle()
    scene.pod()
    scene.report = acknowledged(scene)
    scene.settle()
    assert replicas(scene) == (1, 1)
    scene.edit(replicas=3)
    scene.reconcile()
    return scene


def test_the_document_goes_before_the_pods() -> None:
    scene = grown()
    assert replicas(scene) == (1, 3), "its guard counts on the whole still"
    scene.report = acknowledged(scene)
    scene.reconcile()
    assert replicas(scene) == (3, 3)


def test_a_guard_that_takes_it_up_while_it_is_being_waited_for_is_not_waited_for_longer() -> None:
    """Nothing else happens then: whoever does not look again by itself leaves the endpoint as small as it was."""
    scene = grown()
    before, scene.report = scene.report, acknowledged(scene)
    assert before is not None
    scene.earlier_reports = [before]
    result = scene.reconcile()
    assert replicas(scene) == (1, 3), "it was behind when it was asked"
    assert scene.condition("InSync")[0] == "True", "and is not any more"
    assert result.requeue_after is not None
    assert result.requeue_after < 1
    assert scene.reconcile().requeue_after is None
    assert replicas(scene) == (3, 3)


def test_a_guard_that_takes_nothing_up_keeps_no_endpoint_from_growing_for_ever() -> None:
    scene = grown()
    for _ in range(int(GRACE_SECONDS // 10) - 1):
        scene.reconcile()
        assert replicas(scene) == (1, 3)
    scene.reconcile(2)
    assert replicas(scene) == (3, 3)
    assert scene.condition("InSync")[0] == "False"


def test_a_clock_that_was_ahead_keeps_no_endpoint_from_growing() -> None:
    """The document is of a time that comes only tomorrow: until then no guard that is behind would be given up."""
    scene = grown()
    scene.now -= timedelta(days=1)
    scene.reconcile()
    assert replicas(scene) == (3, 3)


def test_a_guard_that_does_not_answer_is_waited_for_as_one_that_is_behind() -> None:
    scene = grown()
    scene.report = None
    scene.reconcile()
    assert replicas(scene) == (1, 3), "it may count on the whole"
    for _ in range(int(GRACE_SECONDS // 10)):
        scene.reconcile()
    assert replicas(scene) == (3, 3)


def test_a_guard_that_ends_and_does_not_answer_is_not_waited_for() -> None:
    scene = Scene().settle()
    scene.pod(deletionTimestamp="2026-01-01T00:00:00Z")
    scene.edit(replicas=3)
    scene.reconcile()
    assert replicas(scene) == (3, 3)


def run_one_pod(scene: Scene) -> None:
    """Whose guard enforces the document, and whose Deployment says that all is as it should be."""
    scene.pod()
    scene.report = acknowledged(scene)
    scene.settle()
    live = scene.live(kinds.DEPLOYMENT)
    live["status"] = {"replicas": 1, "updatedReplicas": 1, "availableReplicas": 1, "observedGeneration": 1}
    live["metadata"]["generation"] = 1


def rolled() -> Scene:
    """From one pod to a spec with another template."""
    scene = Scene().settle()
    run_one_pod(scene)
    template = scene.endpoint["spec"]["template"]
    template["spec"]["containers"][0]["env"] = [{"name": "ROLLED", "value": "true"}]
    scene.edit(template=template)
    scene.reconcile()
    return scene


def is_rolling(scene: Scene) -> bool:
    return "ROLLED" in json.dumps(scene.live(kinds.DEPLOYMENT)["spec"]["template"])


def test_a_roll_out_waits_for_the_guards_that_will_share_with_the_new_pods() -> None:
    scene = rolled()
    assert (replicas(scene), is_rolling(scene)) == ((1, 2), False), "its guard counts on the whole still"
    assert not scene.has(kinds.CONTROLLER_REVISION, ".2"), "nor is the new template accepted yet"
    scene.reconcile()
    assert (replicas(scene), is_rolling(scene)) == ((1, 2), False)
    scene.report = acknowledged(scene)
    scene.reconcile()
    assert (replicas(scene), is_rolling(scene)) == ((1, 2), True)
    assert scene.has(kinds.CONTROLLER_REVISION, ".2")


def test_no_roll_out_waits_for_ever() -> None:
    scene = rolled()
    for _ in range(int(GRACE_SECONDS // 10)):
        scene.reconcile()
    assert is_rolling(scene)


def test_no_document_that_is_made_anew_again_and_again_holds_a_roll_out_for_ever() -> None:
    """Whoever may make pods with the endpoint's labels changes the number of those that share as often as they like."""
    scene = rolled()
    for number in range(int(GRACE_SECONDS // 10)):
        assert not is_rolling(scene)
        scene.pod(f"stranger-{number}")
        scene.reconcile()
    assert is_rolling(scene)
    scene.reconcile()
    assert not scene.tools.held_back


def test_an_endpoint_that_has_gone_is_not_held_back() -> None:
    scene = rolled()
    assert scene.tools.held_back
    scene.cluster.take(kinds.POD, "ml", "llama-1")
    scene.delete()
    scene.reconcile(4)
    assert not scene.tools.held_back


def test_a_new_guard_image_waits_without_losing_its_turn() -> None:
    settings = replace(SETTINGS, guard_rollout="Paced", guard_rollout_interval_seconds=600)
    scene = Scene(settings).settle()
    run_one_pod(scene)
    scene.settings = replace(settings, guard_image="example.com/bartizan:v2")
    scene.restart()
    scene.reconcile()
    assert (replicas(scene), "bartizan:v2" in json.dumps(scene.live(kinds.DEPLOYMENT))) == ((1, 2), False)
    scene.report = acknowledged(scene)
    scene.reconcile()
    assert "bartizan:v2" in json.dumps(scene.live(kinds.DEPLOYMENT))


def test_fewer_pods_wait_for_nothing_and_the_share_grows_when_they_have_gone() -> None:
    scene = grown()
    scene.report = acknowledged(scene)
    scene.reconcile()
    for name in ("llama-2", "llama-3"):
        scene.pod(name)
    scene.edit(replicas=1)
    scene.reconcile()
    assert replicas(scene) == (1, 3), "three guards serve still"
    for name in ("llama-2", "llama-3"):
        scene.cluster.take(kinds.POD, "ml", name)
    scene.reconcile()
    assert replicas(scene) == (1, 1)
