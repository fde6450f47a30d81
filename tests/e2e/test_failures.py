"""Pods that cannot start say why in Ready's message, and need no help once the cause is gone."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from tests.e2e.endpoint import Endpoint, until
from tests.e2e.ground import Ground

pytestmark = [pytest.mark.node, pytest.mark.needs("operator")]


@pytest.fixture
def alone(ground: Ground) -> Iterator[Ground]:
    """No endpoint of another test is there to suffer with."""
    yield ground
    ground.clear()


def says(endpoint: Endpoint, *words: str) -> None:
    """Ready is False, and its message holds these words."""

    def holds() -> bool:
        ready = endpoint.condition("Ready")
        return bool(ready) and ready["status"] == "False" and all(word in ready["message"] for word in words)

    until(holds, lambda: f"Ready says {words}: {endpoint.condition('Ready')}")


def test_an_image_that_cannot_be_pulled(alone: Ground) -> None:
    endpoint = alone.endpoint("pull", container={"image": "localhost/nobody/has-this:1"})
    says(endpoint, "container model", "ImagePull")
    alone.endpoint("pull").wait()


def test_a_configuration_that_is_missing(alone: Ground) -> None:
    variable = {"name": "TOKEN", "valueFrom": {"configMapKeyRef": {"name": "absent", "key": "token"}}}
    endpoint = alone.endpoint("config", container={"env": [variable]})
    says(endpoint, "container model", "CreateContainerConfigError", "absent")
    alone.kubectl("create", "configmap", "absent", "--from-literal=token=here")
    endpoint.wait()
    alone.kubectl("delete", "configmap", "absent")


def test_a_quota_that_is_used_up(alone: Ground) -> None:
    alone.kubectl("create", "quota", "full", "--hard=pods=0")
    until(
        lambda: alone.stage.find(alone.namespace, "quota", "full").get("status", {}).get("hard"),
        "the quota is in force",
    )
    endpoint = alone.endpoint("quota")
    says(endpoint, "FailedCreate", "exceeded quota")
    alone.kubectl("delete", "quota", "full")
    endpoint.wait()


def test_pod_security_that_refuses_the_pod(alone: Ground) -> None:
    root = {"securityContext": {"runAsUser": 0, "runAsNonRoot": False}}
    with enforced(alone, "restricted"):
        says(alone.endpoint("root", container=root), "FailedCreate", "PodSecurity")
        alone.endpoint("plain").wait()
    alone.endpoint("root", container=root).wait()


def test_accelerators_that_the_cluster_has_not(alone: Ground) -> None:
    greedy = {"resources": {"limits": {"nvidia.com/gpu": "1", "memory": "128Mi"}, "requests": {"memory": "32Mi"}}}
    says(alone.endpoint("gpu", container=greedy), "Unschedulable", "nvidia.com/gpu")
    alone.endpoint("gpu").wait()


def test_a_model_that_crashes(alone: Ground) -> None:
    says(alone.endpoint("crash", container={"command": ["python3", "-c", "raise SystemExit(3)"]}), "CrashLoopBackOff")
    alone.endpoint("crash").wait()


@contextmanager
def enforced(ground: Ground, level: str) -> Iterator[None]:
    label = "pod-security.kubernetes.io/enforce"
    patch = {"metadata": {"labels": {label: level}}}
    ground.stage.kubectl("patch", "namespace", ground.namespace, "-p", json.dumps(patch))
    try:
        yield
    finally:
        ground.stage.kubectl("label", "namespace", ground.namespace, f"{label}-")
