"""The kubelet: a stock one, but for what a machine without an image registry and with other tenants needs."""

import json
from pathlib import Path
from typing import Any

from tests.localcluster import addons, certificates, controlplane, probes, runtime, sandbox
from tests.localcluster.binaries import tool
from tests.localcluster.certificates import Pair, Subject
from tests.localcluster.components import Component
from tests.localcluster.record import Record

NODE = "node1"

_BEHAVIOUR: dict[str, Any] = {
    "apiVersion": "kubelet.config.k8s.io/v1beta1",
    "kind": "KubeletConfiguration",
    "containerRuntimeEndpoint": f"unix://{runtime.SOCKET}",
    "clusterDNS": [addons.DNS_ADDRESS],
    "clusterDomain": "cluster.local",
    "cgroupDriver": "cgroupfs",
    "enforceNodeAllocatable": [],
    "failCgroupV1": False,
    "failSwapOn": False,
    # images are loaded, not pulled: what a full disk made the kubelet delete would never come back
    "imageGCHighThresholdPercent": 100,
    "evictionHard": {"nodefs.available": "0%", "nodefs.inodesFree": "0%", "imagefs.available": "0%"},
}


def component(record: Record) -> Component:
    subject = Subject(f"system:node:{NODE}", "system:nodes", (record.address, NODE))
    serving = certificates.ensure(record.places.certificates, "kubelet", subject)
    kubeconfig = controlplane.identify(record, "node", Subject(f"system:node:{NODE}", "system:nodes"))
    configuration = {**_BEHAVIOUR, **_surroundings(record), **_access(record, serving)}
    path = record.places.configuration / "kubelet.json"
    arguments = [
        *(str(tool("kubelet")), f"--config={path}", f"--kubeconfig={kubeconfig}"),
        *(f"--hostname-override={NODE}", f"--node-ip={record.address}"),
    ]
    health = f"http://{record.address}:{record.ports['kubelet-health']}/healthz"
    return Component(
        "kubelet",
        arguments,
        lambda: probes.is_healthy(health),
        files={path: json.dumps(configuration, indent=2), _resolver(record): ""},
    )


def _resolver(record: Record) -> Path:
    """Empty: a pod that asks for the node's DNS gets none, whatever the machine has."""
    return record.places.configuration / "resolv.conf"


def _surroundings(record: Record) -> dict[str, Any]:
    return {
        "resolvConf": str(_resolver(record)),
        "healthzBindAddress": record.address,
        "healthzPort": record.ports["kubelet-health"],
        "cgroupRoot": f"/{sandbox.group(record.name)}",
    }


def _access(record: Record, serving: Pair) -> dict[str, Any]:
    """Who may ask the kubelet, and with what it answers: as kubeadm sets it."""
    return {
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(controlplane.authority(record).certificate)},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(serving.certificate),
        "tlsPrivateKeyFile": str(serving.key),
    }
