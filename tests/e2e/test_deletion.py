"""However an endpoint is deleted: never a running pod without its policy, and nothing hangs."""

import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import IO, Any

import pytest
from demo.stage import ensure_namespace
from tests.e2e.endpoint import Endpoint, until
from tests.e2e.ground import DOOMED, Ground
from tests.localcluster.api import tool

pytestmark = [pytest.mark.node, pytest.mark.needs("operator")]


@dataclass
class Witness:
    """Sees every change of pods and policies in the order in which the API server made them."""

    bare: list[str] = field(default_factory=list)
    """Moments at which a pod of the endpoint had not ended and no policy of the endpoint was there."""
    pods: dict[str, dict[str, Any]] = field(default_factory=dict)
    policies: dict[str, dict[str, Any]] = field(default_factory=dict)

    def see(self, event: dict[str, Any]) -> None:
        live = event["object"]
        known = self.pods if live["kind"] == "Pod" else self.policies
        known.pop(live["metadata"]["uid"], None)
        if event["type"] != "DELETED":
            known[live["metadata"]["uid"]] = live
        alive = [pod["metadata"]["name"] for pod in self.pods.values() if _is_alive(pod)]
        if alive and not self.policies:
            self.bare.append(f"{event['type']} {live['kind']} {live['metadata']['name']}: {alive} bare")


def _is_alive(pod: dict[str, Any]) -> bool:
    return pod.get("status", {}).get("phase") not in ("Succeeded", "Failed")


@contextmanager
def witnessed(endpoint: Endpoint) -> Iterator[Witness]:
    """Two watches, as close as a client can look; whatever they say goes through one lock."""
    witness, lock = Witness(), threading.Lock()
    config = f"--kubeconfig={endpoint.stage.cluster.kubeconfig}"
    watching = ["-n", endpoint.namespace, "-l", endpoint.selector, "--watch", "--output-watch-events", "-o", "json"]

    def follow(stream: IO[str]) -> None:
        for line in stream:
            with lock:
                witness.see(json.loads(line))

    with ExitStack() as ends:
        # Policies first: a pod that was there before must find its policy known.
        for kind, known in (("networkpolicies", witness.policies), ("pods", witness.pods)):
            command = [str(tool("kubectl")), config, "get", kind, *watching]
            process = ends.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
            assert process.stdout
            thread = threading.Thread(target=follow, args=(process.stdout,))
            thread.start()
            ends.callback(thread.join)
            ends.callback(process.terminate)
            until(lambda known=known: known, f"the watch of {kind} has begun")  # type: ignore[misc]
        yield witness


def is_gone(endpoint: Endpoint) -> bool:
    return not endpoint.find("mdep") and not any(
        endpoint.stage.list(endpoint.namespace, kind, endpoint.selector)
        for kind in ("pods", "deploy", "services", "netpol", "secrets")
    )


@pytest.mark.parametrize("cascade", ["foreground", "background", "orphan"])
def test_a_deleted_endpoint_goes_with_its_policy_last(ground: Ground, cascade: str) -> None:
    endpoint = ground.endpoint(f"gone-{cascade}", replicas=2).wait()
    with witnessed(endpoint) as witness:
        endpoint.kubectl("delete", "mdep", endpoint.name, f"--cascade={cascade}", "--timeout=60s")
        until(lambda: is_gone(endpoint), "nothing is left")
    assert witness.bare == []


def test_t14_a_deleted_namespace_takes_the_policy_last_and_does_not_hang(ground: Ground) -> None:
    doomed = Ground(ground.stage, DOOMED)
    # A namespace's deletion looks again after half of its pods' longest grace period, however soon they have ended.
    limits = {"requests": [{"limit": 1_000_000, "window": "1d"}], "maxStreamSeconds": 5}
    endpoint = doomed.endpoint(replicas=2, limits=limits).wait()
    try:
        with witnessed(endpoint) as witness:
            ground.stage.kubectl("delete", "namespace", DOOMED, "--timeout=90s")
        assert witness.bare == []
    finally:
        ensure_namespace(ground.stage, DOOMED)


def test_t10_a_policy_that_is_deleted_again_and_again_leaves_no_pod_bare(ground: Ground) -> None:
    endpoint = ground.endpoint("stubborn").wait()
    with witnessed(endpoint) as witness:
        for _ in range(10):
            endpoint.kubectl("delete", "netpol", "-l", endpoint.selector, "--wait=false")
        until(lambda: len(standing(endpoint)) == 1, "one policy stands", seconds=15)
    assert witness.bare == []


def standing(endpoint: Endpoint) -> list[str]:
    policies = endpoint.stage.list(endpoint.namespace, "netpol", endpoint.selector)
    return [item["metadata"]["name"] for item in policies if "deletionTimestamp" not in item["metadata"]]


def test_orphaned_pods_come_back_under_the_deployment(ground: Ground) -> None:
    """Somebody deletes the Deployment and leaves its pods: the next one takes them up, or they end."""
    endpoint = ground.endpoint("orphan").wait()
    with witnessed(endpoint) as witness:
        endpoint.kubectl("delete", "deploy", endpoint.name, "--cascade=orphan")
        until(lambda: endpoint.find("deploy"), "a Deployment again")
        until(lambda: len(endpoint.pods()) == 1 and owner_of(endpoint.pod()) == "ReplicaSet", endpoint.pods)
        endpoint.wait()
    assert witness.bare == []


def owner_of(pod: dict[str, Any]) -> str:
    return ",".join(owner["kind"] for owner in pod["metadata"].get("ownerReferences", ()))
