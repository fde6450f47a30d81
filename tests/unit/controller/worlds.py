"""Worlds for tests: a small endpoint and what is around it, put together from a few words."""

from pathlib import Path
from typing import Any

import yaml

from bartizan.controller.builders import pod_template
from bartizan.controller.observe import World
from bartizan.controller.settings import Settings
from bartizan.controller.stores import Store
from bartizan.controller.tools import surroundings
from bartizan.policy import names, parse
from bartizan.policy.document import SharedStore
from bartizan.policy.identity import Identity
from bartizan.policy.keys import Hidden
from bartizan.policy.model import ModelDeployment

Live = dict[str, Any]

IDENTITY = Identity(namespace="ml", name="llama", uid="uid-1", namespace_uid="namespace-uid-1", generation=3)
ROOT = Hidden(bytes(range(32)))
OTHER_ROOT = Hidden(bytes(32))
STORE = Store("limits", SharedStore("192.0.2.7", 6379))
SURROUNDINGS = surroundings(Settings(guard_image="example.com/bartizan:v1", stores=(STORE,)))
GOLDEN = Path(__file__).parents[2] / "golden"


def spec(case: str = "minimal", **fields: Any) -> Live:
    """Of a golden case, with these fields over it."""
    found: Live = yaml.safe_load((GOLDEN / case / "input.yaml").read_text())["spec"]
    return {**found, **fields}


def wish(case: str = "minimal", **fields: Any) -> ModelDeployment:
    parsed = parse.parse({"spec": spec(case, **fields)}, IDENTITY)
    assert isinstance(parsed, ModelDeployment), parsed
    return parsed


def template(deployment: ModelDeployment, *, not_before: int = 1) -> Live:
    return pod_template.build(deployment, SURROUNDINGS, document_key="key", not_before=not_before)


def manifest(status: Live | None = None, **metadata: Any) -> Live:
    own = {"name": IDENTITY.name, "namespace": IDENTITY.namespace, "uid": IDENTITY.uid, "generation": 3}
    return {"metadata": {**own, **metadata}, "spec": spec(), "status": status or {}}


def pod(name: str = "llama-1", *, spec: Live | None = None, status: Live | None = None, **metadata: Any) -> Live:
    labels = names.managed_labels(IDENTITY.name, IDENTITY.uid)
    own = {"name": name, "namespace": IDENTITY.namespace, "uid": f"uid-of-{name}", "labels": labels}
    return {"metadata": {**own, **metadata}, "spec": spec or {}, "status": status or {"phase": "Running"}}


def deployment(wanted: int = 1, /, **status: int) -> Live:
    return {
        "metadata": {"generation": 1},
        "spec": {"replicas": wanted},
        "status": {"observedGeneration": 1, **status},
    }


def world(**parts: Any) -> World:
    empty: dict[str, Any] = dict.fromkeys(("policy", "service", "service_account", "budget", "deployment"), None)
    lists: dict[str, Any] = {"revisions": [], "replica_sets": [], "pods": [], "twins": []}
    whole = {"manifest": manifest(), "namespace_uid": IDENTITY.namespace_uid, **empty, **lists, **parts}
    return World(**whole)
