"""A bad edit is no outage and no opening, and nobody but the operator says which spec was accepted last."""

from collections.abc import Iterator
from typing import Any

import jwt
import pytest
from tests.cluster.operator.admin import Live, RefusedError
from tests.cluster.operator.bench import MANIFEST, Bench, Endpoint, until
from tests.cluster.operator.process import Operator

from bartizan.controller import kinds
from bartizan.controller.kinds import Kind

pytestmark = pytest.mark.cluster

ADMISSION = "admissionregistration.k8s.io/v1"
POLICY = Kind(ADMISSION, "validatingadmissionpolicies", "ValidatingAdmissionPolicy", namespaced=False)
BINDING = Kind(ADMISSION, "validatingadmissionpolicybindings", "ValidatingAdmissionPolicyBinding", namespaced=False)
GOOD = MANIFEST["spec"]["template"]
BAD = {"spec": {"hostNetwork": True, **GOOD["spec"]}}


def refuse(endpoint: Endpoint, **spec: Any) -> None:
    endpoint.edit_spec(template=BAD, **spec)
    until(lambda: endpoint.condition("Accepted").get("reason") == "SpecRefused", lambda: endpoint.status)
    until(lambda: endpoint.status["observedGeneration"] == endpoint.live["metadata"]["generation"])


def document_of(endpoint: Endpoint) -> Live:
    payload: Live = jwt.decode(endpoint.document(), options={"verify_signature": False})
    return payload


def _clients(endpoint: Endpoint) -> set[str]:
    return {key["client"] for key in document_of(endpoint)["keys"]}


def is_closed(endpoint: Endpoint) -> bool:
    spec = endpoint.must_own("NetworkPolicy")["spec"]
    return not spec.get("ingress") and not spec.get("egress")


def template_of(endpoint: Endpoint) -> Live:
    found: Live = endpoint.must_own("Deployment")["spec"]["template"]
    return found


def test_what_was_accepted_last_stays_in_force(endpoint: Endpoint) -> None:
    before = endpoint.versions()
    refuse(endpoint, limits={"requests": [{"limit": 1, "window": "1s"}]})
    assert "spec.template.spec.hostNetwork" in endpoint.condition("Accepted")["message"]
    assert endpoint.versions() == before
    endpoint.edit({"spec": {"template": {"spec": {"hostNetwork": None}}}})
    until(lambda: endpoint.condition("Accepted").get("reason") == "SpecAccepted")
    until(lambda: document_of(endpoint)["requests"] == [{"limit": 1, "window_seconds": 1}])


@pytest.fixture
def seven_forbidden(bench: Bench, namespace: str) -> Iterator[None]:
    """An admission policy of the cluster's own, of which no parser can know: no Deployment has seven replicas."""
    scope = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}}
    rule = {"apiGroups": ["apps"], "apiVersions": ["v1"], "resources": ["deployments"], "operations": ["*"]}
    validation = {"expression": "object.spec.replicas != 7", "message": "seven is not to be"}
    policy = {"matchConstraints": {**scope, "resourceRules": [rule]}, "validations": [validation]}
    made = [
        (POLICY, {"metadata": {"name": namespace}, "spec": policy}),
        (BINDING, {"metadata": {"name": namespace}, "spec": {"policyName": namespace, "validationActions": ["Deny"]}}),
    ]
    for kind, body in made:
        bench.admin.create(kind, None, body)
    until(lambda: is_forbidden(bench, namespace), "the policy holds")
    yield
    for kind, _ in made:
        bench.admin.delete(kind, None, namespace)


def is_forbidden(bench: Bench, namespace: str) -> bool:
    labels = {"app": "probe"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "a", "image": "b"}]}}
    spec = {"replicas": 7, "selector": {"matchLabels": labels}, "template": template}
    path = kinds.DEPLOYMENT.path(namespace)
    try:
        bench.admin.send("POST", path, {"metadata": {"name": "probe"}, "spec": spec}, query={"dryRun": "All"})
    except RefusedError as error:
        return "seven is not to be" in str(error)
    return False


@pytest.mark.usefixtures("seven_forbidden")
def test_what_the_cluster_itself_refuses_is_a_bad_edit_like_any_other(
    bench: Bench, operator: Operator, namespace: str
) -> None:
    endpoint = bench.endpoint(namespace, access={"clients": [{"name": "chat-ui"}, {"name": "gone"}]}).wait()
    endpoint.edit_spec(replicas=7, access={"clients": [{"name": "chat-ui"}]})
    until(lambda: endpoint.condition("Accepted").get("reason") == "SpecRefused", lambda: endpoint.status)
    assert "seven is not to be" in endpoint.condition("Accepted")["message"]
    until(lambda: _clients(endpoint) == {"chat-ui"}, "whom it withdraws is out")
    bench.admin.patch(
        kinds.DEPLOYMENT, namespace, endpoint.name, {"spec": {"template": {"spec": {"hostNetwork": True}}}}
    )
    until(lambda: not template_of(endpoint)["spec"].get("hostNetwork"), "repair goes on")
    assert endpoint.must_own("Deployment")["spec"]["replicas"] == 1
    endpoint.edit_spec(replicas=6)
    until(lambda: endpoint.must_own("Deployment")["spec"]["replicas"] == 6, "the next good one is in force")


def test_clients_that_a_refused_spec_withdraws_are_out_at_once(
    bench: Bench, operator: Operator, namespace: str
) -> None:
    clients = [{"name": "chat-ui"}, {"name": "batch"}, {"name": "gone"}]
    endpoint = bench.endpoint(namespace, access={"clients": clients}).wait()
    first = endpoint.api_key("batch")
    refuse(endpoint, access={"clients": [{"name": "chat-ui"}, {"name": "batch", "keyEpoch": 2}, {"name": "new"}]})
    until(lambda: _clients(endpoint) == {"chat-ui", "batch"})
    until(lambda: endpoint.api_key("gone") == "" and endpoint.api_key("batch") not in ("", first))
    assert endpoint.api_key("new") == "", "a refused spec lets nobody in"


def test_an_endpoint_that_was_never_accepted_is_closed(bench: Bench, operator: Operator, namespace: str) -> None:
    endpoint = bench.endpoint(namespace, template=BAD)
    until(lambda: endpoint.condition("Accepted").get("reason") == "SpecRefused", lambda: endpoint.status)
    assert is_closed(endpoint)
    assert set(endpoint.inventory()) == {"NetworkPolicy echo"}
    assert endpoint.condition("Ready")["reason"] == "SpecRefused"
    endpoint.edit({"spec": {"template": {"spec": {"hostNetwork": None}}}})
    until(lambda: endpoint.owned("Deployment"))


def test_a_bad_edit_with_the_revision_deleted_still_changes_nothing(endpoint: Endpoint) -> None:
    template = template_of(endpoint)
    refuse(endpoint)
    endpoint.admin.delete(kinds.CONTROLLER_REVISION, endpoint.namespace, "echo.1")
    until(lambda: endpoint.owned("ControllerRevision", ".1"))
    assert template_of(endpoint) == template
    assert not is_closed(endpoint)


def test_a_forged_revision_says_nothing(endpoint: Endpoint) -> None:
    sealed = endpoint.must_own("ControllerRevision", ".1")
    forged = {**sealed, "metadata": {"name": "echo.9", "labels": sealed["metadata"]["labels"]}, "revision": 9}
    forged["data"] = {**sealed["data"], "payload": sealed["data"]["payload"].replace("example.com/model", "evil/model")}
    endpoint.admin.create(kinds.CONTROLLER_REVISION, endpoint.namespace, forged)
    until(lambda: endpoint.owned("ControllerRevision", ".9") is None, "it is cleared away")
    refuse(endpoint)
    assert "evil" not in str(template_of(endpoint))


def test_an_older_revision_put_in_the_newest_ones_place_is_not_gone_back_to(endpoint: Endpoint) -> None:
    endpoint.edit_spec(limits={"requests": [{"limit": 5, "window": "1s"}]})
    until(lambda: endpoint.owned("ControllerRevision", ".2"))
    refuse(endpoint)
    endpoint.admin.delete(kinds.CONTROLLER_REVISION, endpoint.namespace, "echo.2")
    until(lambda: endpoint.owned("ControllerRevision", ".2"))
    assert document_of(endpoint)["requests"] == [{"limit": 5, "window_seconds": 1}]


def test_a_revision_changed_in_place_is_put_back(endpoint: Endpoint) -> None:
    sealed = endpoint.must_own("ControllerRevision", ".1")
    endpoint.admin.delete(kinds.CONTROLLER_REVISION, endpoint.namespace, "echo.1")
    forged = {**sealed, "data": {"payload": "{}", "mac": "0"}}
    forged["metadata"] = {name: sealed["metadata"][name] for name in ("name", "labels")}
    try:
        endpoint.admin.create(kinds.CONTROLLER_REVISION, endpoint.namespace, forged)
    except Exception:  # noqa: BLE001 - the operator was faster
        assert endpoint.owned("ControllerRevision", ".1")
    until(lambda: (endpoint.owned("ControllerRevision", ".1") or {}).get("data") == sealed["data"])
    assert template_of(endpoint)["spec"]["initContainers"]
