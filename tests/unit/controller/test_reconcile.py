"""Reconciling goes as far as it can: what one object cannot have keeps no other from being repaired."""

import base64
import json
import traceback
from dataclasses import replace

import pytest
from tests.unit.controller import worlds
from tests.unit.controller.reconciling import NAMESPACE, SETTINGS, Scene

from bartizan.controller import kinds
from bartizan.controller.api import ApiError, Call
from bartizan.controller.issuing import LEFTOVERS_SECONDS
from bartizan.controller.kinds import Kind
from bartizan.policy import keys, names
from bartizan.policy.keys import Hidden

ROOT = (SETTINGS.namespace, SETTINGS.root_secret)


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


FORBIDDEN = ApiError(403, "Forbidden", 'secrets "bartizan-root" is forbidden')


def test_an_unreadable_root_keeps_nothing_from_being_repaired() -> None:
    scene = Scene().settle()
    scene.refuse(kinds.SECRET, "GET", name="bartizan-root", error=FORBIDDEN)
    scene.open_network()
    scene.unguard()
    scene.withdraw()
    result = scene.reconcile()
    assert result.failure is FORBIDDEN
    assert scene.is_network_shut
    assert scene.is_guarded
    assert not scene.has(kinds.SECRET, ".b"), "with the root that was read last"
    assert scene.condition("Ready")[1] == "ApplyFailed"


def test_a_root_that_was_never_read_still_lets_the_network_be_shut() -> None:
    scene = Scene().settle()
    scene.restart()
    scene.refuse(kinds.SECRET, "GET", name="bartizan-root", error=FORBIDDEN)
    scene.open_network()
    assert scene.reconcile().failure is FORBIDDEN
    assert scene.is_network_shut
    assert scene.condition("InSync")[0] == "Unknown"
    scene.cluster.refuse = lambda _: None
    assert scene.reconcile().failure is None
    assert scene.condition("Ready")[1] == "PodsNotReady"


def test_a_lost_root_keeps_no_workload_from_being_repaired() -> None:
    scene = Scene().settle()
    scene.cluster.take(kinds.SECRET, scene.settings.namespace, "bartizan-root")
    scene.unguard()
    scene.edit(replicas=7)
    scene.reconcile()
    assert scene.is_guarded
    assert scene.live(kinds.DEPLOYMENT)["spec"]["replicas"] == 1, "more replicas need a document that says so"


@pytest.mark.parametrize(
    ("kind", "method", "name"),
    [
        (kinds.SERVICE, "POST", ""),
        (kinds.SECRET, "PATCH", "llama.a"),
        (kinds.SECRET, "PATCH", "llama.guard.bartizan"),
        (kinds.SECRET, "DELETE", "llama.b"),
        (kinds.CONTROLLER_REVISION, "POST", ""),
        (kinds.MODEL_DEPLOYMENT, "PATCH", "status"),
        (kinds.NETWORK_POLICY, "PUT", ""),
    ],
    ids=lambda value: getattr(value, "kind", value),
)
def test_an_object_that_is_refused_keeps_no_workload_from_being_repaired(kind: Kind, method: str, name: str) -> None:
    scene = Scene().settle()
    scene.cluster.take(kinds.SERVICE, NAMESPACE, "llama")
    scene.cluster.take(kinds.CONTROLLER_REVISION, NAMESPACE, "llama.1")
    scene.open_network()
    scene.unguard()
    scene.withdraw()
    scene.refuse(kind, method, name=name)
    if name == "status":
        with pytest.raises(ApiError, match="exceeded quota"):
            scene.reconcile()
    else:
        assert "exceeded quota" in str(scene.reconcile().failure)
    assert scene.is_guarded
    assert scene.is_network_shut or kind is kinds.NETWORK_POLICY


def test_a_refused_object_lets_no_workload_begin_and_no_other_template_roll_out() -> None:
    scene = Scene().settle()
    scene.cluster.take(kinds.SERVICE, NAMESPACE, "llama")
    scene.refuse(kinds.SERVICE, "POST")
    template = scene.live(kinds.DEPLOYMENT)["spec"]["template"]
    scene.edit(template={"spec": {**scene.endpoint["spec"]["template"]["spec"], "terminationGracePeriodSeconds": 900}})
    scene.reconcile(2)
    assert scene.live(kinds.DEPLOYMENT)["spec"]["template"] == template
    scene.cluster.take(kinds.DEPLOYMENT, NAMESPACE, "llama")
    scene.reconcile()
    assert not scene.has(kinds.DEPLOYMENT)
    scene.cluster.refuse = lambda _: None
    scene.reconcile()
    assert scene.live(kinds.DEPLOYMENT)["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] == 900


def test_in_an_ending_namespace_what_cannot_be_made_is_no_failure() -> None:
    scene = Scene().settle()
    scene.cluster.take(kinds.SERVICE, NAMESPACE, "llama")
    ending = ApiError(403, "Forbidden", "unable to create: namespace ml is being terminated")
    scene.refuse(kinds.SERVICE, "POST", error=ending)
    assert scene.reconcile().failure is None


def test_an_endpoint_that_has_gone_meanwhile_gets_nothing_made() -> None:
    scene = Scene()
    scene.refuse(kinds.MODEL_DEPLOYMENT, "PATCH", error=ApiError(404, "NotFound", "gone"))
    with pytest.raises(ApiError, match="gone"):
        scene.reconcile()
    assert not scene.has(kinds.NETWORK_POLICY)


@pytest.mark.parametrize("is_torn_away", [True, False], ids=["torn away", "taken down"])
def test_an_endpoint_that_has_gone_leaves_nothing_in_memory(*, is_torn_away: bool) -> None:
    scene = Scene().settle()
    for kind in (kinds.DEPLOYMENT, *([kinds.MODEL_DEPLOYMENT] if is_torn_away else [])):
        scene.cluster.take(kind, NAMESPACE, "llama")
    if not is_torn_away:
        scene.delete()
    scene.reconcile()
    memories = (scene.reconciler._sealed, scene.tools.applier._applied, scene.tools.secrets._written)
    assert [len(memory) for memory in memories] == [0, 0, 0]
    assert not scene.tools.secrets._removed


def test_what_a_former_life_had_accepted_is_not_the_next_ones() -> None:
    scene = Scene().settle()
    former = scene.endpoint["metadata"]["uid"]
    scene.cluster.take(kinds.MODEL_DEPLOYMENT, NAMESPACE, "llama")
    scene.declare()
    for kind, suffix in ((kinds.CONTROLLER_REVISION, ".1"), (kinds.DEPLOYMENT, ""), (kinds.NETWORK_POLICY, "")):
        scene.cluster.take(kind, NAMESPACE, "llama" + suffix)
    scene.edit(template={"spec": {"hostNetwork": True}})
    scene.reconcile()
    assert scene.endpoint["metadata"]["uid"] != former
    assert scene.condition("Ready")[1] == "SpecRefused"
    assert not scene.has(kinds.DEPLOYMENT)


def test_a_rollback_to_an_older_operator_restarts_nothing() -> None:
    scene = Scene().settle()
    template = scene.live(kinds.DEPLOYMENT)["spec"]["template"]
    data = scene.live(kinds.CONTROLLER_REVISION, ".1")["data"]
    root = Hidden(base64.b64decode(scene.cluster.must_get(kinds.SECRET, *ROOT)["data"]["root"]))
    newer = json.dumps({**json.loads(data["payload"]), "novelty": 1})
    identity = replace(worlds.IDENTITY, uid=scene.endpoint["metadata"]["uid"], namespace_uid=scene.namespace_uid)
    data |= {"payload": newer, "mac": keys.revision_mac(root, identity, newer.encode())}
    scene.restart()
    assert scene.reconcile(2).failure is None
    assert scene.live(kinds.DEPLOYMENT)["spec"]["template"] == template
    assert "novelty" not in scene.live(kinds.CONTROLLER_REVISION, ".1")["data"]["payload"]


def test_where_the_operator_lacks_rights_the_owner_is_told_and_what_to_do() -> None:
    scene = Scene()
    forbidden = ApiError(403, "Forbidden", 'services "llama" is forbidden: User "operator" cannot get')
    scene.refuse(kinds.SERVICE, "GET", error=forbidden)
    for _ in range(2):
        with pytest.raises(ApiError):
            scene.reconcile()
    for condition in ("Accepted", "Ready"):
        status, reason, message = scene.condition(condition)
        assert (status, reason) == ("Unknown", "NamespaceWithoutRights")
        assert "cannot get; give the operator's ServiceAccount the rights of the chart" in message
    assert len(scene.cluster.writes) == 1
    scene.cluster.refuse = lambda _: None
    scene.settle()
    assert scene.condition("Accepted")[1] == "SpecAccepted"


@pytest.mark.parametrize("path", ["secrets", "secrets/llama.a"], ids=["root", "key"])
def test_no_error_carries_a_key_or_the_root(path: str) -> None:
    """A webhook sees what is sent, and may say it all again."""
    scene = Scene()

    def repeat(call: Call) -> ApiError | None:
        is_meant = call.path.endswith(path) and call.method != "GET"
        return ApiError(400, "BadRequest", f"webhook says: {call.body}") if is_meant else None

    scene.cluster.refuse = repeat
    failure = scene.reconcile().failure
    assert failure is not None
    said = ["".join(traceback.format_exception(failure)), str(scene.endpoint)]
    assert all("webhook says" in text for text in said)
    sent = [call.body for call in scene.cluster.writes]
    scene.cluster.refuse = lambda _: None
    scene.settle()
    root = scene.cluster.must_get(kinds.SECRET, *ROOT)["data"]["root"]
    key = scene.live(kinds.SECRET, ".a")["data"]["api_key"]
    forms = [root, base64.b64decode(root).hex(), key, base64.b64decode(key).decode()]
    said += [str(body) for body in sent if isinstance(body, dict) and body.get("kind") == "Event"]
    assert not [form for form in forms for text in said if form in text]


def test_a_ledger_is_never_written_over_one_that_was_not_seen() -> None:
    scene = Scene().settle()
    scene.withdraw()
    version = scene.endpoint["metadata"]["resourceVersion"]

    def interfere(call: Call) -> None:
        """As another process of the operator, just before it ended."""
        if call.path.endswith("/status") and scene.endpoint["metadata"]["resourceVersion"] == version:
            scene.endpoint["metadata"]["resourceVersion"] = "later"

    scene.cluster.refuse = interfere
    with pytest.raises(ApiError, match="409 Conflict"):
        scene.reconcile()
    assert not scene.endpoint["status"]["clients"][0].get("retired"), "nothing of it was written"
    assert scene.has(kinds.SECRET, ".b"), "so nothing was withdrawn"
    assert scene.reconcile().failure is None
    assert not scene.has(kinds.SECRET, ".b")


@pytest.mark.parametrize("plural", ["deployments", "networkpolicies"])
def test_a_spec_that_the_api_server_refuses_is_refused_and_the_last_one_stays(plural: str) -> None:
    """Whatever the parser did not know of: nothing of it is in force, and what it withdraws is withdrawn."""
    scene = Scene().settle()
    document = scene.live(kinds.SECRET, ".guard.bartizan")["data"]

    def refuse(call: Call) -> ApiError | None:
        is_new = call.path.endswith(plural) or f"/{plural}/" in call.path
        return ApiError(422, "Invalid", "spec.x: is not what this version takes") if is_new and call.body else None

    scene.withdraw()
    scene.edit(limits={"concurrent": 99})
    scene.unguard()
    scene.cluster.refuse = lambda call: refuse(call) if ("dryRun", "All") in call.query else None
    looks = [scene.reconcile().requeue_after for _ in range(20)]
    assert looks[:2] == [5.0, 5.0], "a policy of the cluster's may change, and no event tells of it"
    assert looks[-1] == pytest.approx(190 / 4), "ever more rarely"
    status, reason, message = scene.condition("Accepted")
    assert (status, reason) == ("False", "SpecRefused")
    assert "spec.x: is not what this version takes" in message
    assert scene.is_guarded, "repair goes on"
    assert scene.live(kinds.SECRET, ".guard.bartizan")["data"] != document
    assert not scene.has(kinds.SECRET, ".b"), "the withdrawn client is out"
    scene.cluster.refuse = lambda _: None
    scene.reconcile()
    assert scene.condition("Accepted")[:2] == ("True", "SpecAccepted")
    assert scene.reconcile().requeue_after is None


def test_a_spec_that_the_parser_refuses_waits_for_its_owner() -> None:
    scene = Scene().settle()
    scene.edit(template={"spec": {"hostNetwork": True}})
    assert scene.reconcile().requeue_after is None


def test_a_first_spec_that_the_api_server_refuses_runs_no_pod() -> None:
    scene = Scene()
    scene.cluster.refuse = lambda call: (
        ApiError(422, "Invalid", "no")
        if ("dryRun", "All") in call.query and call.path.endswith("deployments")
        else None
    )
    scene.reconcile(3)
    assert scene.condition("Accepted")[:2] == ("False", "SpecRefused")
    assert not scene.has(kinds.DEPLOYMENT)
    assert scene.live(kinds.NETWORK_POLICY)["spec"].get("ingress", []) == []


def test_a_trial_that_gets_no_judgement_stands_in_nobodys_way() -> None:
    scene = Scene()
    scene.cluster.refuse = lambda call: (
        ApiError(500, "InternalError", "later") if ("dryRun", "All") in call.query else None
    )
    scene.settle()
    assert scene.condition("Accepted")[:2] == ("True", "SpecAccepted")
    assert scene.is_guarded


def _deleted(scene: Scene, since: int) -> list[str]:
    return [call.path.rpartition(".")[2] for call in scene.cluster.writes[since:] if call.method == "DELETE"]


def test_a_start_deletes_few_secrets_of_clients_that_went_long_ago_the_last_first() -> None:
    scene = Scene()
    scene.edit(access={"clients": [{"name": f"c{number:03}"} for number in range(40)]})
    scene.settle()
    since = len(scene.cluster.writes)
    scene.edit(access={"clients": []})
    scene.reconcile()
    assert len(_deleted(scene, since)) == 40, "those that are withdrawn now, all at once"
    scene.restart()
    since = len(scene.cluster.writes)
    assert scene.reconcile().requeue_after == LEFTOVERS_SECONDS
    assert _deleted(scene, since) == [f"c{number:03}" for number in range(39, 31, -1)]


def test_after_a_start_a_thousand_endpoints_ask_for_few_reconciles_to_clear_up() -> None:
    """What is left are Secrets with dead keys: they must not keep the workers from what people wait for."""
    assert 1000 / LEFTOVERS_SECONDS < 4, "a second"


def test_a_withdrawal_of_many_that_failed_is_brought_to_its_end_though_nothing_else_happens() -> None:
    scene = Scene()
    scene.edit(access={"clients": [{"name": f"c{number:03}"} for number in range(40)]})
    scene.settle()
    scene.edit(access={"clients": []})
    scene.refuse(kinds.SECRET, "DELETE", error=ApiError(500, "InternalError", "not now"))
    assert scene.reconcile().failure
    scene.cluster.refuse = lambda _: None
    waits = [scene.reconcile().requeue_after for _ in range(5)]
    assert waits == [LEFTOVERS_SECONDS] * 4 + [None]
    assert not [name for number in range(40) if scene.has(kinds.SECRET, name := f".c{number:03}")]


def test_where_secrets_are_seen_nothing_is_looked_for_that_is_not_there() -> None:
    scene = Scene(sees_secrets=True)
    scene.edit(access={"clients": [{"name": f"c{number:03}"} for number in range(40)]})
    scene.settle()
    scene.edit(access={"clients": []})
    scene.reconcile()
    scene.restart()
    assert scene.reconcile().requeue_after is None
