"""containerd: its configuration, and the network that it gives to pods."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.localcluster import images, machine
from tests.localcluster.components import Component
from tests.localcluster.record import Record

SOCKET = "/run/containerd/containerd.sock"


def component(record: Record) -> Component:
    path = record.places.configuration / "containerd.toml"
    networks = record.places.configuration / "cni"
    return Component(
        "containerd",
        [str(shutil.which("containerd")), f"--config={path}"],
        lambda: images.is_runtime_ready(record),
        files={
            path: _configuration(record, networks),
            networks / "10-bartizan.conflist": json.dumps(_pod_network(), indent=2),
        },
    )


def _configuration(record: Record, networks: Path) -> str:
    runtime: dict[str, Any] = {
        "sandbox_image": images.PAUSE,
        # without CAP_SYS_RESOURCE, as in many virtual machines, no sandbox would start
        "restrict_oom_score_adj": True,
        "cni": {"conf_dir": str(networks), "bin_dir": str(machine.cni_plugins())},
        "containerd": {"default_runtime_name": "runc", "runtimes": {"runc": _runc()}},
    }
    lines = [
        "version = 2",
        f"root = {json.dumps(str(record.places.data / 'containerd'))}",
        'state = "/run/containerd"',
        'disabled_plugins = ["io.containerd.internal.v1.opt"]',  # it would make a directory in /opt
        f'[grpc]\naddress = "{SOCKET}"',
        *_toml('plugins."io.containerd.grpc.v1.cri"', runtime),
    ]
    return "\n".join(lines) + "\n"


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


def _toml(table: str, values: Mapping[str, Any]) -> list[str]:
    scalars = [f"{key} = {json.dumps(value)}" for key, value in values.items() if not isinstance(value, dict)]
    nested = [
        line for key, value in values.items() if isinstance(value, dict) for line in _toml(f"{table}.{key}", value)
    ]
    return [f"[{table}]", *scalars, *nested]
