"""What a node adds to a control plane: scheduler, containerd, kubelet, kube-proxy, policies, DNS."""

import json
import sys
from collections.abc import Sequence

from tests.localcluster import (
    addons,
    controlplane,
    images,
    kubelet,
    machine,
    network,
    places,
    probes,
    progress,
    runtime,
    sandbox,
    waiting,
)
from tests.localcluster.binaries import tool
from tests.localcluster.certificates import Subject
from tests.localcluster.components import Component
from tests.localcluster.record import Level, Record

POLICY_TABLE = "bartizan_np"
_PORTS = {
    "etcd": 2379,
    "etcd-peer": 2380,
    "kube-apiserver": 6443,
    "kube-controller-manager": 10257,
    "kube-scheduler": 10259,
    "kubelet-health": 10248,
    "kube-proxy-health": 10256,
}
"""The components' usual ports: nothing else listens in the node's own network."""


def new_record(name: str) -> Record:
    sandbox.await_place()
    machine.prepare()
    gateway, address = network.free_addresses()
    return Record(name, Level.NODE, address, _PORTS, gateway=gateway)


def stages(record: Record) -> Sequence[Sequence[Component]]:
    return (
        (controlplane.etcd(record), controlplane.api_server(record), runtime.component(record)),
        (
            controlplane.controller_manager(record),
            controlplane.scheduler(record),
            kubelet.component(record),
            _kube_proxy(record),
            _enforcer(record),
        ),
    )


def after_stage(record: Record, number: int) -> None:
    if number == 0:
        with progress.step(f"{record.name}: pause and DNS images"):
            images.ensure_own(record)
        addons.apply(record)
        return
    with progress.step(f"{record.name}: node and DNS are ready"):
        waiting.until(
            lambda: _is_node_ready(record) and addons.is_dns_ready(record),
            seconds=90,
            complaint=lambda: f"the node or its DNS is not ready; see {record.places.logs}",
        )


def _is_node_ready(record: Record) -> bool:
    found = controlplane.admin(record).get_json(f"{record.server}/api/v1/nodes/{kubelet.NODE}") or {}
    conditions = found.get("status", {}).get("conditions", [])
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def _kube_proxy(record: Record) -> Component:
    kubeconfig = controlplane.identify(record, "kube-proxy", Subject("system:kube-proxy"))
    configuration = {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "clientConnection": {"kubeconfig": str(kubeconfig)},
        "clusterCIDR": controlplane.POD_RANGE,
        "hostnameOverride": kubelet.NODE,
        "healthzBindAddress": f"{record.address}:{record.ports['kube-proxy-health']}",
        # the connection table's limits belong to the whole machine
        "conntrack": {
            "maxPerCore": 0,
            "min": 0,
            "tcpEstablishedTimeout": "0s",
            "tcpCloseWaitTimeout": "0s",
        },
    }
    path = record.places.configuration / "kube-proxy.json"
    health = f"{record.address}:{record.ports['kube-proxy-health']}"
    return Component(
        "kube-proxy",
        [str(tool("kube-proxy")), f"--config={path}"],
        lambda: probes.is_healthy(f"http://{health}/healthz"),
        files={path: json.dumps(configuration, indent=2)},
    )


def _enforcer(record: Record) -> Component:
    """Stop it, and you have a cluster whose network ignores policies, as quite some do."""
    arguments = ["--kubeconfig", str(record.places.kubeconfig), "--table", POLICY_TABLE]
    return Component(
        "enforcer",
        [sys.executable, "-m", "tests.localcluster.enforcer", *arguments],
        lambda: sandbox.succeeds(record, "nft", "list", "table", "inet", POLICY_TABLE),
        environment={"PYTHONPATH": str(places.REPOSITORY)},
    )
