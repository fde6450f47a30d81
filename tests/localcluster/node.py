"""What a node adds to a control plane: scheduler, containerd, kubelet, kube-proxy, policies, DNS."""

import json
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.localcluster import (
    addons,
    certificates,
    controlplane,
    images,
    machine,
    network,
    places,
    probes,
    progress,
    sandbox,
    waiting,
)
from tests.localcluster.binaries import tool
from tests.localcluster.certificates import Subject
from tests.localcluster.components import Component
from tests.localcluster.places import write_changed
from tests.localcluster.record import Level, Record

NAME = "node1"
POLICY_TABLE = "bartizan_np"
_CONTAINERD = "/run/containerd/containerd.sock"
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
        (controlplane.etcd(record), controlplane.api_server(record), _containerd(record)),
        (
            controlplane.controller_manager(record),
            controlplane.scheduler(record),
            _kubelet(record),
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
    found = controlplane.admin(record).get_json(f"{record.server}/api/v1/nodes/{NAME}") or {}
    conditions = found.get("status", {}).get("conditions", [])
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def _containerd(record: Record) -> Component:
    network_configuration = record.places.configuration / "cni"
    network_configuration.mkdir(exist_ok=True)
    _write_json(network_configuration / "10-bartizan.conflist", _pod_network())
    runtime: dict[str, Any] = {
        "sandbox_image": images.PAUSE,
        # without CAP_SYS_RESOURCE, as in many virtual machines, no sandbox would start
        "restrict_oom_score_adj": True,
        "cni": {"conf_dir": str(network_configuration), "bin_dir": str(machine.cni_plugins())},
        "containerd": {"default_runtime_name": "runc", "runtimes": {"runc": _runc()}},
    }
    lines = [
        "version = 2",
        f"root = {json.dumps(str(record.places.data / 'containerd'))}",
        'state = "/run/containerd"',
        f'[grpc]\naddress = "{_CONTAINERD}"',
        *_toml('plugins."io.containerd.grpc.v1.cri"', runtime),
    ]
    path = record.places.configuration / "containerd.toml"
    write_changed(path, "\n".join(lines) + "\n")
    return Component(
        "containerd",
        [str(shutil.which("containerd")), f"--config={path}"],
        lambda: images.is_runtime_ready(record),
    )


def _runc() -> dict[str, Any]:
    return {"runtime_type": "io.containerd.runc.v2", "options": {"SystemdCgroup": False}}


def _pod_network() -> dict[str, Any]:
    """Point-to-point links, so that all traffic between pods passes the node's forward hook."""
    addresses = {
        "type": "host-local",
        "dataDir": "/run/cni",
        "ranges": [[{"subnet": "10.244.0.0/24"}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    plugins = [{"type": "ptp", "ipMasq": False, "ipam": addresses}]
    return {"cniVersion": "1.0.0", "name": "bartizan", "plugins": plugins}


def _kubelet(record: Record) -> Component:
    serving = certificates.ensure(
        record.places.certificates,
        "kubelet",
        Subject(f"system:node:{NAME}", "system:nodes", (record.address, NAME)),
    )
    kubeconfig = controlplane.identify(record, "node", Subject(f"system:node:{NAME}", "system:nodes"))
    resolver = record.places.configuration / "resolv.conf"
    write_changed(resolver, "")
    configuration = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "containerRuntimeEndpoint": f"unix://{_CONTAINERD}",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(controlplane.authority(record).certificate)},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(serving.certificate),
        "tlsPrivateKeyFile": str(serving.key),
        "clusterDNS": [addons.DNS_ADDRESS],
        "clusterDomain": "cluster.local",
        "resolvConf": str(resolver),
        "healthzBindAddress": record.address,
        "healthzPort": record.ports["kubelet-health"],
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{sandbox.group(record.name)}",
        "enforceNodeAllocatable": [],
        "failCgroupV1": False,
        "failSwapOn": False,
        # images are loaded, not pulled: what a full disk made the kubelet delete would never come back
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {"nodefs.available": "0%", "nodefs.inodesFree": "0%", "imagefs.available": "0%"},
    }
    path = _write_json(record.places.configuration / "kubelet.json", configuration)
    return Component(
        "kubelet",
        [
            *(str(tool("kubelet")), f"--config={path}", f"--kubeconfig={kubeconfig}"),
            *(f"--hostname-override={NAME}", f"--node-ip={record.address}"),
        ],
        lambda: probes.is_healthy(f"http://{record.address}:{record.ports['kubelet-health']}/healthz"),
    )


def _kube_proxy(record: Record) -> Component:
    kubeconfig = controlplane.identify(record, "kube-proxy", Subject("system:kube-proxy"))
    configuration = {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "clientConnection": {"kubeconfig": str(kubeconfig)},
        "clusterCIDR": controlplane.POD_RANGE,
        "hostnameOverride": NAME,
        "healthzBindAddress": f"{record.address}:{record.ports['kube-proxy-health']}",
        # the connection table's limits belong to the whole machine
        "conntrack": {
            "maxPerCore": 0,
            "min": 0,
            "tcpEstablishedTimeout": "0s",
            "tcpCloseWaitTimeout": "0s",
        },
    }
    path = _write_json(record.places.configuration / "kube-proxy.json", configuration)
    return Component(
        "kube-proxy",
        [str(tool("kube-proxy")), f"--config={path}"],
        lambda: probes.is_healthy(f"http://{record.address}:{record.ports['kube-proxy-health']}/healthz"),
    )


def _enforcer(record: Record) -> Component:
    """Stop it, and you have a cluster whose network ignores policies, as quite some do."""
    arguments = ["--kubeconfig", str(record.places.kubeconfig), "--table", POLICY_TABLE]
    return Component(
        "enforcer",
        [sys.executable, "-m", "tests.localcluster.enforcer", *arguments],
        lambda: sandbox.succeeds(record, "nft", "list", "table", "inet", POLICY_TABLE),
        environment={"PYTHONPATH": os.pathsep.join([str(places.REPOSITORY)])},
    )


def _write_json(path: Path, document: Mapping[str, Any]) -> Path:
    """Kubernetes reads JSON wherever it reads YAML."""
    return write_changed(path, json.dumps(document, indent=2))


def _toml(table: str, values: Mapping[str, Any]) -> list[str]:
    scalars = [f"{key} = {json.dumps(value)}" for key, value in values.items() if not isinstance(value, dict)]
    nested = [
        line for key, value in values.items() if isinstance(value, dict) for line in _toml(f"{table}.{key}", value)
    ]
    return [f"[{table}]", *scalars, *nested]
