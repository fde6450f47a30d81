"""Who the clients are that prove themselves by the cluster's tokens: learnt, told where they are not, and withdrawn."""

import asyncio
import base64
import json
from typing import Any

import pytest
from tests.issuer.minting import SigningKey, key_set, signing_key
from tests.unit.controller import worlds
from tests.unit.controller.reconciling import NAMESPACE, Scene

from bartizan.controller import cluster_keys, issuer_keys, kinds
from bartizan.controller.api import Api, ApiError, Call
from bartizan.controller.cluster_keys import ClusterKeys
from bartizan.controller.fetch import FetchError
from bartizan.controller.identities import LOOK_AGAIN_SECONDS
from bartizan.controller.issuer_keys import Issuers
from bartizan.policy import document as documents
from bartizan.policy import issuers, keys
from bartizan.policy.document import EndpointRef, GuardDocument
from bartizan.policy.issuers import IssuerSetting

ISSUER = "https://kubernetes.default.svc.cluster.local"
PROOFS = [{"type": "APIKey"}, {"type": "ServiceAccount"}]


class Pages:
    """Stands before the cluster and has the pages of its issuer."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.pages: dict[str, Any] = {cluster_keys.DISCOVERY_PATH: {"issuer": ISSUER, "jwks_uri": "https://elsewhere"}}
        self.error: ApiError | None = None
        self.asked = 0
        self.publish(signing_key())

    def publish(self, *published: SigningKey) -> None:
        self.pages[cluster_keys.KEYS_PATH] = key_set(*published)

    async def send(self, call: Call) -> dict[str, Any]:
        if call.path not in self.pages:
            return await self.scene.cluster.send(call)
        self.asked += 1
        if self.error:
            raise self.error
        return dict(self.pages[call.path])


@pytest.fixture
def scene() -> Scene:
    """Client `a` has a key, client `batch` is the account `runner` of namespace `team-b`."""
    made = Scene()
    made.cluster.put(kinds.NAMESPACE, {"metadata": {"name": "team-b", "labels": {"team": "b"}}})
    made.cluster.put(kinds.SERVICE_ACCOUNT, {"metadata": {"name": "runner", "namespace": "team-b"}})
    name(made, {"namespace": "team-b", "name": "runner"})
    return made


@pytest.fixture
def pages(scene: Scene) -> Pages:
    found = Pages(scene)
    scene.restart(found)
    return found


def name(scene: Scene, account: dict[str, str], **gate: Any) -> None:
    clients = [{"name": "a"}, {"name": "batch", "serviceAccount": account}]
    scene.edit(access={"from": gate or {"namespaces": "All"}, "clients": clients, "authentication": PROOFS})


def document(scene: Scene) -> GuardDocument:
    """As the guards would read it."""
    root = keys.Hidden(_data(scene.cluster.must_get(kinds.SECRET, "bartizan-system", "bartizan-root"), "root"))
    uid = scene.endpoint["metadata"]["uid"]
    reference = EndpointRef(NAMESPACE, worlds.IDENTITY.name, uid, scene.namespace_uid)
    text = _data(scene.live(kinds.SECRET, ".guard.bartizan"), "document.jws")
    return documents.decode(text, keys.signing_key(root).public_key(), reference)


def _data(secret: dict[str, Any], name: str) -> bytes:
    return base64.b64decode(secret["data"][name])


def named(scene: Scene) -> dict[str, str]:
    """UID by subject, as the guards are told."""
    return {client.subject: client.uid for trusted in document(scene).issuers for client in trusted.clients}


def runner_uid(scene: Scene) -> str:
    return str(scene.cluster.must_get(kinds.SERVICE_ACCOUNT, "team-b", "runner")["metadata"]["uid"])


SUBJECT = "system:serviceaccount:team-b:runner"


def test_an_account_stands_in_the_document_with_its_uid_and_has_no_key(scene: Scene, pages: Pages) -> None:
    scene.settle()
    assert named(scene) == {SUBJECT: runner_uid(scene)}
    (issuer,) = document(scene).issuers
    assert (issuer.issuer, issuer.audience) == (ISSUER, f"bartizan.dev/{NAMESPACE}/{worlds.IDENTITY.name}")
    assert [key.kid for key in issuer.keys] == ["key-1"]
    assert [key.client for key in document(scene).keys] == ["a"]
    assert not scene.has(kinds.SECRET, ".batch")
    assert scene.condition("ClientsResolved")[:2] == ("True", "AllClientsResolved")


def test_an_endpoint_of_keys_alone_asks_for_nobodys_keys(scene: Scene, pages: Pages) -> None:
    scene.edit(access={"clients": [{"name": "a"}]})
    scene.settle()
    assert pages.asked == 0
    assert document(scene).issuers == ()
    assert scene.condition("ClientsResolved")[:2] == ("True", "AllClientsResolved")


def test_an_account_that_is_made_anew_is_known_by_its_new_uid(scene: Scene, pages: Pages) -> None:
    scene.settle()
    before = runner_uid(scene)
    scene.cluster.take(kinds.SERVICE_ACCOUNT, "team-b", "runner")
    scene.settle()
    assert named(scene) == {}
    status, reason, message = scene.condition("ClientsResolved")
    assert (status, reason) == ("False", "ClientsUnresolved")
    assert "client batch: ServiceAccount team-b/runner does not exist; make it" in message
    scene.cluster.put(kinds.SERVICE_ACCOUNT, {"metadata": {"name": "runner", "namespace": "team-b"}})
    scene.settle()
    assert named(scene) == {SUBJECT: runner_uid(scene)}
    assert runner_uid(scene) != before


def test_nothing_tells_of_accounts_so_they_are_looked_at_soon(scene: Scene, pages: Pages) -> None:
    assert (scene.reconcile(3).requeue_after or 1e9) <= LOOK_AGAIN_SECONDS
    scene.edit(access={"clients": [{"name": "a"}]})
    assert scene.reconcile(3).requeue_after is None


def test_an_account_in_a_namespace_that_may_not_come_in_is_nobody(scene: Scene, pages: Pages) -> None:
    chosen = {"namespaces": "Selector", "selector": {"matchLabels": {"team": "b"}}}
    name(scene, {"namespace": "team-b", "name": "runner"}, **chosen)
    scene.settle()
    assert named(scene) == {SUBJECT: runner_uid(scene)}
    scene.cluster.must_get(kinds.NAMESPACE, None, "team-b")["metadata"]["labels"] = {"team": "c"}
    scene.settle()
    assert named(scene) == {}
    assert "does not choose namespace team-b" in scene.condition("ClientsResolved")[2]


def test_a_namespace_that_does_not_exist_holds_nobody(scene: Scene, pages: Pages) -> None:
    name(scene, {"namespace": "team-z", "name": "runner"})
    scene.settle()
    assert named(scene) == {}
    assert "namespace team-z does not exist" in scene.condition("ClientsResolved")[2]


def test_without_the_right_to_read_accounts_the_remedy_is_named(scene: Scene, pages: Pages) -> None:
    scene.refuse(kinds.SERVICE_ACCOUNT, "GET", name="runner", error=ApiError(403, "Forbidden", "no"))
    scene.settle()
    assert named(scene) == {}
    assert "add team-b to the chart's clientNamespaces" in scene.condition("ClientsResolved")[2]
    assert scene.condition("Accepted")[0] == "True"


def test_an_account_on_its_way_out_is_nobody(scene: Scene, pages: Pages) -> None:
    runner = scene.cluster.must_get(kinds.SERVICE_ACCOUNT, "team-b", "runner")
    runner["metadata"] |= {"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["x"]}
    scene.settle()
    assert named(scene) == {}


def test_a_client_that_becomes_an_account_loses_its_key_for_good(scene: Scene, pages: Pages) -> None:
    own = {"clients": [{"name": "batch"}], "authentication": PROOFS}
    scene.edit(access=own)
    scene.settle()
    before = scene.live(kinds.SECRET, ".batch")["data"]
    name(scene, {"namespace": "team-b", "name": "runner"})
    scene.settle()
    assert not scene.has(kinds.SECRET, ".batch")
    assert "batch" not in [key.client for key in document(scene).keys]
    scene.edit(access=own)
    scene.settle()
    assert scene.live(kinds.SECRET, ".batch")["data"] != before


def test_a_bad_edit_keeps_accounts_and_withdraws_whom_it_no_longer_names(scene: Scene, pages: Pages) -> None:
    scene.settle()
    scene.edit(replicas="many")
    scene.settle()
    assert named(scene) == {SUBJECT: runner_uid(scene)}
    scene.edit(access={"clients": [{"name": "a"}], "from": {"namespaces": "All"}})
    scene.settle()
    assert scene.condition("Accepted")[0] == "False"
    assert document(scene).issuers[0].clients == ()


# Other issuers

CORP = {"name": "corp", "url": "https://login.example", "groupsClaim": "groups", "maxLifetimeSeconds": 7200}
LISTED = [{"type": "APIKey"}, {"type": "ServiceAccount"}, {"type": "JWT", "issuer": "corp"}]
STAFF = {"name": "staff", "jwt": {"issuer": "corp", "groups": ["staff"]}}
ALICE = {"name": "alice", "jwt": {"issuer": "corp", "subject": "alice@corp"}}


def trusting(scene: Scene, pages: Pages, answer: Any, **setting: Any) -> None:
    """The chart names corp, which publishes `answer`; the endpoint names alice and staff of it."""

    async def fetch(_: IssuerSetting) -> Any:
        if isinstance(answer, Exception):
            raise answer
        return answer

    scene.restart(pages)
    found = issuers.parse(json.dumps([{**CORP, **setting}]))
    scene.tools.learner.issuers = Issuers(found, fetch, clock=lambda: scene.seconds)
    for held in scene.tools.learner.issuers._by_name.values():
        asyncio.run(held.refresh())
        held._started_at = -issuer_keys.PATIENCE_SECONDS
    scene.edit(access={"clients": [{"name": "a"}, STAFF, ALICE], "authentication": LISTED})
    scene.settle()


def test_an_issuer_stands_in_the_document_with_whom_it_may_name(scene: Scene, pages: Pages) -> None:
    trusting(scene, pages, key_set(signing_key("corp-1")))
    _, corp = document(scene).issuers
    assert (corp.type, corp.name, corp.issuer) == ("JWT", "corp", "https://login.example")
    assert (corp.audience, corp.max_lifetime_seconds) == (f"bartizan.dev/{NAMESPACE}/{worlds.IDENTITY.name}", 7200)
    assert [key.kid for key in corp.keys] == ["corp-1"]
    assert [(client.client, client.subject, client.groups) for client in corp.clients] == [
        ("alice", "alice@corp", ()),
        ("staff", "", ("staff",)),
    ]
    assert not scene.has(kinds.SECRET, ".alice")
    assert scene.condition("ClientsResolved")[0] == "True"


def test_an_issuer_may_have_an_audience_of_its_own(scene: Scene, pages: Pages) -> None:
    trusting(scene, pages, key_set(signing_key()), audience="models")
    assert document(scene).issuers[1].audience == "models"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (FetchError("10.0.0.1 may not be reached"), "issuer corp: its keys could not be fetched yet"),
        ({"keys": []}, "issuer corp: it publishes no key that can be used"),
    ],
)
def test_an_issuer_without_keys_is_named_and_its_network_is_not(
    scene: Scene, pages: Pages, answer: Any, words: str
) -> None:
    trusting(scene, pages, answer)
    assert [issuer.name for issuer in document(scene).issuers] == ["ServiceAccount"]
    message = scene.condition("ClientsResolved")[2]
    assert words in message
    assert "10.0.0.1" not in message


def test_an_issuer_that_the_chart_does_not_name_is_nobodys(scene: Scene, pages: Pages) -> None:
    trusting(scene, pages, key_set(signing_key()), name="lab")
    assert [issuer.name for issuer in document(scene).issuers] == ["ServiceAccount"]
    assert "issuer corp is none of the chart's issuers" in scene.condition("ClientsResolved")[2]


def test_groups_of_an_issuer_that_tells_none_are_named(scene: Scene, pages: Pages) -> None:
    trusting(scene, pages, key_set(signing_key()), groupsClaim="")
    assert "client staff: issuer corp has no groupsClaim" in scene.condition("ClientsResolved")[2]


def test_the_clusters_own_issuer_is_not_believed_under_another_name(scene: Scene, pages: Pages) -> None:
    trusting(scene, pages, key_set(signing_key()), url=ISSUER)
    assert [issuer.name for issuer in document(scene).issuers] == ["ServiceAccount"]
    assert "issuer corp is the cluster's own" in scene.condition("ClientsResolved")[2]


# The cluster's keys


def test_while_keys_rotate_both_stand_in_the_document_and_then_the_new_one(scene: Scene, pages: Pages) -> None:
    scene.settle()
    old, new = signing_key(), signing_key("key-2")
    for published in ((old, new), (new,)):
        pages.publish(*published)
        scene.seconds += cluster_keys.LOOK_SECONDS
        scene.settle()
        assert [key.kid for key in document(scene).issuers[0].keys] == [key.kid for key in published]


def test_keys_are_asked_for_once_in_a_while(scene: Scene, pages: Pages) -> None:
    scene.settle()
    assert pages.asked == 2


@pytest.mark.parametrize(
    ("path", "page", "words"),
    [
        (cluster_keys.DISCOVERY_PATH, {}, "names no issuer"),
        (cluster_keys.DISCOVERY_PATH, {"issuer": 7}, "names no issuer"),
        (cluster_keys.KEYS_PATH, {}, "is no JWK Set"),
        (cluster_keys.KEYS_PATH, {"keys": []}, "holds no key that can be used"),
        (cluster_keys.KEYS_PATH, {"keys": [{}] * 17}, "has 17 keys"),
    ],
)
def test_pages_that_say_nothing_usable_let_nobody_in(
    scene: Scene, pages: Pages, path: str, page: dict[str, Any], words: str
) -> None:
    pages.pages[path] = page
    scene.settle()
    assert document(scene).issuers == ()
    assert [key.client for key in document(scene).keys] == ["a"]
    assert words in scene.condition("ClientsResolved")[2]


def test_without_the_right_to_the_keys_the_remedy_is_named(scene: Scene, pages: Pages) -> None:
    pages.error = ApiError(403, "Forbidden", "no")
    scene.settle()
    assert document(scene).issuers == ()
    assert "as the chart does" in scene.condition("ClientsResolved")[2]


def test_an_api_server_that_fails_takes_no_key_away(scene: Scene, pages: Pages) -> None:
    scene.settle()
    pages.error = ApiError(503, "ServiceUnavailable", "later")
    scene.seconds += cluster_keys.LOOK_SECONDS
    scene.settle()
    assert named(scene) == {SUBJECT: runner_uid(scene)}


def test_what_was_never_read_is_waited_for_and_nothing_is_issued_without_it(scene: Scene, pages: Pages) -> None:
    scene.settle()
    version = document(scene).version
    scene.restart(pages)
    pages.error = ApiError(503, "ServiceUnavailable", "later")
    result = scene.reconcile(2)
    assert result.failure is not None
    assert (document(scene).version, named(scene)) == (version, {SUBJECT: runner_uid(scene)})
    pages.error = None
    scene.settle()
    assert scene.condition("ClientsResolved")[0] == "True"


def test_a_change_of_keys_is_told(monkeypatch: pytest.MonkeyPatch, scene: Scene, pages: Pages) -> None:
    monkeypatch.setattr(cluster_keys, "LOOK_SECONDS", 0.001)

    async def watch() -> list[str]:
        held = ClusterKeys(Api(pages), clock=asyncio.get_running_loop().time)
        told: list[str] = []
        first = await held.current()
        assert [key.kid for key in first.keys] == ["key-1"]
        changed = asyncio.Event()
        watching = asyncio.create_task(held.watch(changed.set))
        pages.publish(signing_key("key-2"))
        await asyncio.wait_for(changed.wait(), 5)
        told += [key.kid for key in (await held.current()).keys]
        watching.cancel()
        return told

    assert asyncio.run(watch()) == ["key-2"]
