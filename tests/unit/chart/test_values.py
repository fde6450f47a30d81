"""Values: each is described, a misspelt or senseless one is refused, and each reaches the operator."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from tests.unit.chart.rendering import CHART, Manifest, find, helm, render, template

from bartizan.controller import settings

SCHEMA: dict[str, Any] = json.loads((CHART / "values.schema.json").read_text())
VALUES: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text())


def _environment(*values: str) -> dict[str, str]:
    (container,) = find(render(*values), "Deployment")["spec"]["template"]["spec"]["containers"]
    return {item["name"]: item.get("value", "bartizan-system") for item in container["env"]}


def _declared(schema: Manifest, path: str = "") -> Iterator[tuple[str, Manifest]]:
    for name, child in schema.get("properties", {}).items():
        yield f"{path}.{name}", child
        yield from _declared(child, f"{path}.{name}")


@pytest.mark.parametrize(
    ("path", "schema"), list(_declared(SCHEMA)), ids=lambda item: item if isinstance(item, str) else ""
)
def test_every_value_is_described_and_closed(path: str, schema: Manifest) -> None:
    assert schema.get("description", "").endswith("."), path
    if "properties" in schema:
        assert schema["additionalProperties"] is False, path


def _leaves(values: Any, schema: Manifest, path: str = "") -> Iterator[tuple[str, bool]]:
    for name, value in values.items():
        known = name in schema.get("properties", {})
        yield f"{path}.{name}", known
        if known and "properties" in schema["properties"][name]:
            yield from _leaves(value, schema["properties"][name], f"{path}.{name}")


def test_schema_and_defaults_know_the_same_values() -> None:
    leaves = dict(_leaves(VALUES, SCHEMA))
    assert [path for path, known in leaves.items() if not known] == []
    declared = {path for path, _ in _declared(SCHEMA)} - {".global", ".resources.requests", ".resources.limits"}
    assert declared <= leaves.keys()


@pytest.mark.parametrize(
    "value",
    [
        "namespace={team-a}",
        "namespaces=team-a",
        "namespaces={kube-system}",
        "namespaces={Team_A}",
        "namespaces={team-a,team-a}",
        "image.name=x",
        "image.pullPolicy=Sometimes",
        "image.digest=abc",
        "guard.tag=x",
        "guardRollout.policy=Always",
        "guardRollout.intervalSeconds=0",
        "monitoring.namespaces=x",
        "dns.podLabels=null",
        "resyncSeconds=1",
        "resync=60",
        "workers=0",
        "log.level=trace",
        "log.fromat=json",
        "networkPolicy.apiServer.port=6443",
        "networkPolicy.apiServer.ports={}",
        "networkPolicy.apiServer.cidrs={localhost}",
        "crds.enabled=false",
        "replicas=2",
    ],
)
def test_a_misspelt_or_senseless_value_is_refused(value: str) -> None:
    done = template(value)
    assert done.returncode != 0
    assert "schema" in done.stderr


def test_every_setting_of_the_operator_is_given_and_understood() -> None:
    environment = _environment()
    assert environment.keys() == {declared.variable for declared in settings.declarations()}
    parsed = settings.load(environment)
    assert parsed.namespaces == ()
    assert parsed.watch_secrets is False


def test_values_reach_the_operator() -> None:
    parsed = settings.load(
        _environment(
            "namespaces={team-a,team-b}",
            "image.repository=registry.example/bartizan",
            "image.pullPolicy=Always",
            "guardRollout.policy=Paced",
            "guardRollout.intervalSeconds=90",
            "monitoring.namespace=prometheus",
            "monitoring.podLabels.app=prometheus",
            "dns.namespace=names",
            "resyncSeconds=120",
            "workers=3",
            "log.format=text",
            "log.level=debug",
        )
    )
    assert parsed.namespaces == ("team-a", "team-b")
    assert parsed.watch_secrets is True
    assert parsed.guard_image == "registry.example/bartizan:dev"
    assert parsed.guard_pull_policy == "Always"
    assert (parsed.guard_rollout, parsed.guard_rollout_interval_seconds) == ("Paced", 90)
    assert (parsed.monitoring_namespace, parsed.monitoring_pod_labels) == ("prometheus", (("app", "prometheus"),))
    assert (parsed.dns_namespace, parsed.dns_pod_labels) == ("names", (("k8s-app", "kube-dns"),))
    assert (parsed.resync_seconds, parsed.workers) == (120, 3)
    assert (parsed.log_format, parsed.log_level) == ("text", "debug")


def test_a_digest_wins_over_the_tag_and_the_guard_may_have_its_own_image() -> None:
    digest = "sha256:" + "a" * 64
    (container,) = find(render(f"image.digest={digest}"), "Deployment")["spec"]["template"]["spec"]["containers"]
    assert container["image"] == f"localhost/bartizan@{digest}"
    assert _environment("guard.image=registry.example/guard:1")["BARTIZAN_GUARD_IMAGE"] == "registry.example/guard:1"


def test_the_settings_own_pods_are_those_of_the_chart() -> None:
    labels = find(render(), "Deployment")["spec"]["template"]["metadata"]["labels"]
    assert dict(settings.load(_environment()).pod_labels).items() <= labels.items()


def test_the_chart_is_clean_for_helm_lint() -> None:
    done = helm("lint", str(CHART), "--strict")
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_least_kubernetes_is_stated() -> None:
    assert yaml.safe_load((CHART / "Chart.yaml").read_text())["kubeVersion"] == ">=1.30.0-0"
    refused = helm("template", "bartizan", str(CHART), "--kube-version", "1.29.9")
    assert "1.30" in refused.stderr


def test_the_operators_own_namespace_is_refused_as_one_for_endpoints() -> None:
    done = template("namespaces={team-a,bartizan-system}")
    assert done.returncode != 0
    assert "bartizan-system is the operator's own namespace" in done.stderr
    assert "take it off the list" in done.stderr
