"""What a new process of the operator does with what an earlier one made."""

from itertools import pairwise

import pytest
from tests.cluster.operator.bench import Bench, Endpoint, until
from tests.cluster.operator.test_bad_edits import document_of, is_closed, refuse, template_of

from bartizan.controller import kinds

pytestmark = pytest.mark.cluster


def test_with_the_revision_gone_and_nobody_to_remember_it_the_gate_closes(bench: Bench, namespace: str) -> None:
    with bench.operator():
        endpoint = bench.endpoint(namespace).wait()
        refuse(endpoint)
    endpoint.admin.delete(kinds.CONTROLLER_REVISION, namespace, "echo.1")
    with bench.operator():
        until(lambda: is_closed(endpoint))
        endpoint.edit({"spec": {"template": {"spec": {"hostNetwork": None}}}})
        until(lambda: not is_closed(endpoint))


def test_a_new_operator_restarts_no_pod_before_the_template_changes(bench: Bench, namespace: str) -> None:
    with bench.operator(guard_image="example.com/bartizan:v1"):
        endpoint = bench.endpoint(namespace).wait()
        template = template_of(endpoint)
    with bench.operator(guard_image="example.com/bartizan:v2") as newer:
        endpoint.edit_spec(limits={"requests": [{"limit": 7, "window": "1s"}]})
        until(lambda: document_of(endpoint)["requests"] == [{"limit": 7, "window_seconds": 1}])
        assert template_of(endpoint) == template
        assert newer.metric("bartizan_operator_drift_repaired_total") == 0
        endpoint.edit({"spec": {"template": {"spec": {"terminationGracePeriodSeconds": 900}}}})
        until(lambda: _guard_image(endpoint) == "example.com/bartizan:v2")


def test_a_policy_whose_modeldeployment_was_torn_away_stays_while_its_deployment_may_start_pods(bench: Bench) -> None:
    with bench.operator():
        endpoint = bench.endpoint(bench.namespace()).wait()
        until(endpoint.pods)
    _tear_away(endpoint)
    endpoint.admin.patch(kinds.DEPLOYMENT, endpoint.namespace, endpoint.name, {"spec": {"replicas": 0}})
    until(lambda: not endpoint.pods())
    with bench.operator() as later:
        until(lambda: later.metric("bartizan_operator_reconciles_total", result="requeue") > 1, "looked at, and again")
        assert "deletionTimestamp" not in endpoint.must_own("NetworkPolicy")["metadata"]
        endpoint.admin.patch(kinds.DEPLOYMENT, endpoint.namespace, endpoint.name, {"spec": {"replicas": 1}})
        until(endpoint.pods)
        assert endpoint.owned("NetworkPolicy")
        endpoint.admin.delete(kinds.DEPLOYMENT, endpoint.namespace, endpoint.name)
        until(lambda: endpoint.owned("NetworkPolicy") is None, seconds=30)


def test_a_namespace_goes_with_what_was_torn_from_its_modeldeployment(bench: Bench) -> None:
    with bench.operator():
        endpoint = bench.endpoint(bench.namespace(), replicas=0).wait()
    _tear_away(endpoint)
    with bench.operator():
        endpoint.admin.delete(kinds.NAMESPACE, None, endpoint.namespace)
        until(lambda: endpoint.admin.get(kinds.NAMESPACE, None, endpoint.namespace) is None, seconds=60)


def _tear_away(endpoint: Endpoint) -> None:
    """With no operator about: what it owns left as orphans, and the finalizers taken off by hand."""
    endpoint.delete(propagationPolicy="Orphan")
    # The garbage collector learns of a new kind within half a minute, and till then leaves no orphans of it.
    until(lambda: not endpoint.must_own("Deployment")["metadata"].get("ownerReferences"), seconds=60)
    endpoint.edit({"metadata": {"finalizers": None}})
    assert endpoint.admin.get(kinds.MODEL_DEPLOYMENT, endpoint.namespace, endpoint.name) is None


def test_a_paced_roll_out_takes_one_endpoint_after_the_other(bench: Bench) -> None:
    with bench.operator(guard_image="example.com/bartizan:v1"):
        # Without a kubelet no pod is ever available; an endpoint scaled to zero has all that it wants.
        made = [bench.endpoint(bench.namespace(), replicas=0).wait() for _ in range(3)]
    paced = {"guard_rollout": "Paced", "guard_rollout_interval_seconds": 2}
    with bench.operator(guard_image="example.com/bartizan:v2", **paced):
        counts = []

        def are_all_rolled() -> bool:
            counts.append(sum(_guard_image(endpoint).endswith(":v2") for endpoint in made))
            return counts[-1] == len(made)

        until(are_all_rolled, lambda: counts)
    assert {later - earlier for earlier, later in pairwise(counts)} <= {0, 1}


def _guard_image(endpoint: Endpoint) -> str:
    return str(template_of(endpoint)["spec"]["initContainers"][0]["image"])


def test_a_new_process_finds_nothing_to_do(bench: Bench) -> None:
    with bench.operator() as first:
        endpoint = bench.endpoint(bench.namespace(), replicas=2).wait()
        until(lambda: endpoint.status["pods"]["total"] == 2)
        until(first.is_idle)
    versions, version = endpoint.versions(), endpoint.live["metadata"]["resourceVersion"]
    with bench.operator() as later:
        until(lambda: later.metric("bartizan_operator_reconciles_total", result="success") > 0)
        until(lambda: later.metric("bartizan_operator_queue_depth") == 0)
        assert endpoint.versions() == versions
        assert endpoint.live["metadata"]["resourceVersion"] == version
