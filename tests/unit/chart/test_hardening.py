"""The operator's pod gives whoever breaks into it as little as can be."""

import pytest
from tests.unit.chart.rendering import Manifest, find, render

DEPLOYMENT = find(render(), "Deployment")
POD: Manifest = DEPLOYMENT["spec"]["template"]["spec"]
(CONTAINER,) = POD["containers"]


def test_the_pod_is_restricted() -> None:
    assert POD["securityContext"]["runAsNonRoot"] is True
    assert POD["securityContext"]["runAsUser"] >= 10000
    assert POD["securityContext"]["runAsGroup"] >= 10000
    assert POD["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not {"hostNetwork", "hostPID", "hostIPC"} & POD.keys()


def test_the_container_is_restricted() -> None:
    assert CONTAINER["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "privileged": False,
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert not any("hostPort" in port for port in CONTAINER["ports"])


def test_resources_are_bounded() -> None:
    assert CONTAINER["resources"]["limits"].keys() == {"cpu", "memory"}
    assert CONTAINER["resources"]["requests"]["memory"] == "256Mi"
    assert CONTAINER["resources"]["limits"]["memory"] == "512Mi"


def test_t77_the_token_is_short_lived_and_bound_to_the_pod() -> None:
    assert POD["automountServiceAccountToken"] is False
    assert find(render(), "ServiceAccount")["automountServiceAccountToken"] is False
    (projected,) = [volume["projected"] for volume in POD["volumes"] if "projected" in volume]
    (token,) = [source["serviceAccountToken"] for source in projected["sources"] if "serviceAccountToken" in source]
    assert token["expirationSeconds"] <= 3600
    assert projected["defaultMode"] & 0o007 == 0
    (mount,) = [mount for mount in CONTAINER["volumeMounts"] if mount["name"] == "api-access"]
    assert mount == {
        "name": "api-access",
        "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount",
        "readOnly": True,
    }


def test_volumes_are_sized_and_none_is_the_hosts() -> None:
    for volume in POD["volumes"]:
        assert volume.keys() - {"name"} <= {"projected", "emptyDir"}
        if "emptyDir" in volume:
            assert volume["emptyDir"]["sizeLimit"]


def test_there_is_never_more_than_one_operator() -> None:
    assert DEPLOYMENT["spec"]["replicas"] == 1
    assert DEPLOYMENT["spec"]["strategy"] == {"type": "Recreate"}
    assert POD["terminationGracePeriodSeconds"] == 30


@pytest.mark.parametrize(
    ("probe", "path"), [("startupProbe", "/livez"), ("livenessProbe", "/livez"), ("readinessProbe", "/readyz")]
)
def test_probes_ask_for_work_done(probe: str, path: str) -> None:
    assert CONTAINER[probe]["httpGet"] == {"path": path, "port": "health"}


def test_no_secret_comes_with_the_chart() -> None:
    assert not [item for item in render() if item["kind"] == "Secret"]


def test_t23_metrics_are_closed_until_a_namespace_is_named() -> None:
    assert find(render(), "NetworkPolicy")["spec"]["ingress"] == []
    (rule,) = find(render("monitoring.namespace=prometheus"), "NetworkPolicy")["spec"]["ingress"]
    assert rule["from"] == [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "prometheus"}}}]
    assert rule["ports"] == [{"port": 9090, "protocol": "TCP"}]


def test_the_operator_reaches_the_api_server_the_guards_and_dns_only() -> None:
    policy = find(render("networkPolicy.apiServer.cidrs={10.0.0.1/32}"), "NetworkPolicy")["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    reached = [({port["port"] for port in rule["ports"]}, bool(rule["to"])) for rule in policy["egress"]]
    assert reached == [({443, 6443}, True), ({8081}, True), ({53}, True)]
