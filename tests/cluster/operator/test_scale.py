"""Replicas: the scale subresource is the ModelDeployment's, the guards' shares and the budget follow it."""

import jwt
import pytest
from tests.cluster.operator.bench import Bench, Endpoint, until

from bartizan.policy import names

pytestmark = pytest.mark.cluster


def _shares(endpoint: Endpoint) -> int:
    return int(jwt.decode(endpoint.document(), options={"verify_signature": False})["replicas"])


def test_kubectl_scale_tells_the_modeldeployment(bench: Bench, endpoint: Endpoint) -> None:
    assert endpoint.owned("PodDisruptionBudget") is None
    bench.cluster.kubectl("scale", "mdep", "echo", "--replicas=3", "--namespace", endpoint.namespace)
    until(lambda: len(endpoint.pods()) == 3)
    until(lambda: endpoint.owned("PodDisruptionBudget"))
    until(lambda: _shares(endpoint) == 3)
    until(lambda: endpoint.status["replicas"] == 3, "what an autoscaler reads")
    selector = endpoint.status["selector"]
    assert f"{names.ENDPOINT_LABEL}=echo" in selector
    bench.cluster.kubectl("scale", "mdep", "echo", "--replicas=1", "--namespace", endpoint.namespace)
    until(lambda: endpoint.owned("PodDisruptionBudget") is None)
    until(lambda: _shares(endpoint) == 1)


def test_shares_shrink_before_there_are_more_pods_and_grow_after(bench: Bench, endpoint: Endpoint) -> None:
    until(endpoint.pods)
    seen: list[tuple[int, int]] = []

    def look(pods: int) -> bool:
        # The document is read after the pods: it may be newer than they are, but never older.
        count = len(endpoint.pods())
        seen.append((count, _shares(endpoint)))
        return seen[-1] == (pods, pods)

    for replicas in (4, 1):
        endpoint.edit_spec(replicas=replicas)
        until(lambda: look(replicas), lambda: seen)  # noqa: B023
    rising = seen[: seen.index((4, 4)) + 1]
    assert all(count <= shares for count, shares in rising), seen
