"""What a cluster needs inside of itself: DNS, run as pods are run elsewhere, so that policies apply to it."""

import subprocess
from typing import Any

import yaml
from tests.localcluster import controlplane, images
from tests.localcluster.binaries import tool
from tests.localcluster.complaints import Complaint
from tests.localcluster.record import Record

DNS_ADDRESS = "10.96.0.10"

_COREFILE = """.:5353 {
  errors
  ready :8181
  kubernetes cluster.local in-addr.arpa ip6.arpa
  cache 30
}
"""
_IDENTITY = {"name": "coredns", "namespace": "kube-system"}
_LABELS = {"k8s-app": "kube-dns"}
"""As kubeadm and others have it: policies that let DNS through select this label."""


def apply(record: Record) -> None:
    done = subprocess.run(
        [str(tool("kubectl")), f"--kubeconfig={record.places.kubeconfig}", "apply", "-f", "-"],
        input=yaml.safe_dump_all(_manifests()),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise Complaint(f"the cluster's DNS was not accepted: {done.stderr}")


def is_dns_ready(record: Record) -> bool:
    """Asks the DNS pod itself: after a crash of the node, the pod's status tells of better days."""
    ask = controlplane.admin(record)
    pods = f"{record.server}/api/v1/namespaces/kube-system/pods"
    found = ask.get_json(f"{pods}?labelSelector=k8s-app%3Dkube-dns") or {"items": []}
    names = [pod["metadata"]["name"] for pod in found["items"]]
    return any(ask.get(f"{pods}/{name}:8181/proxy/ready") is not None for name in names)


def _manifests() -> list[dict[str, Any]]:
    ports = [
        {"name": name, "port": 53, "targetPort": 5353, "protocol": protocol}
        for name, protocol in (("dns", "UDP"), ("dns-tcp", "TCP"))
    ]
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": _IDENTITY},
        *_rights(),
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": _IDENTITY, "data": {"Corefile": _COREFILE}},
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "kube-dns", "namespace": "kube-system", "labels": _LABELS},
            "spec": {"clusterIP": DNS_ADDRESS, "selector": _LABELS, "ports": ports},
        },
        _deployment(),
    ]


def _rights() -> list[dict[str, Any]]:
    group = "rbac.authorization.k8s.io"
    role = {"apiGroup": group, "kind": "ClusterRole", "name": "bartizan:coredns"}
    verbs = ["get", "list", "watch"]
    rules = [
        {"apiGroups": [""], "resources": ["services", "pods", "namespaces"], "verbs": verbs},
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": verbs},
    ]
    metadata = {"name": role["name"]}
    return [
        {"apiVersion": f"{group}/v1", "kind": "ClusterRole", "metadata": metadata, "rules": rules},
        {
            "apiVersion": f"{group}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": metadata,
            "roleRef": role,
            "subjects": [{"kind": "ServiceAccount", **_IDENTITY}],
        },
    ]


def _deployment() -> dict[str, Any]:
    container = {
        "name": "coredns",
        "image": images.COREDNS,
        "imagePullPolicy": "Never",
        "args": ["-conf", "/etc/coredns/Corefile"],
        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8181}, "periodSeconds": 1},
        "volumeMounts": [{"name": "configuration", "mountPath": "/etc/coredns", "readOnly": True}],
    }
    pod = {
        "serviceAccountName": "coredns",
        "dnsPolicy": "Default",
        "priorityClassName": "system-cluster-critical",
        "tolerations": [{"operator": "Exists"}],
        "containers": [container],
        "volumes": [{"name": "configuration", "configMap": {"name": "coredns"}}],
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _IDENTITY,
        "spec": {
            "selector": {"matchLabels": _LABELS},
            "template": {"metadata": {"labels": _LABELS}, "spec": pod},
        },
    }
