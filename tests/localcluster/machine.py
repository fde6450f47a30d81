"""What a machine must have and must not have to become a node, and how what is missing gets installed."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.localcluster import progress
from tests.localcluster.complaints import Complaint
from tests.localcluster.record import Level

_PROGRAMS = {
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "nft": "nftables",
    "conntrack": "conntrack",
    "ip": "iproute2",
    "nsenter": "util-linux",
    "unshare": "util-linux",
    "mount": "mount",
}
"""Each program, and the Debian package that has it."""

_PLUGIN_DIRECTORIES = ("/opt/cni/bin", "/usr/lib/cni", "/usr/libexec/cni")
_PLUGINS = ("ptp", "host-local", "loopback")
_PLUGINS_PACKAGE = "containernetworking-plugins"


def check(level: Level) -> None:
    """Say what stands against a cluster of ``level`` on this machine."""
    remedy = "bring your own cluster with USE_EXISTING_CLUSTER=1"
    if sys.platform != "linux":
        raise Complaint(f"a local cluster needs Linux; {remedy}")
    if level is Level.CONTROL_PLANE:
        return
    if os.geteuid() != 0:
        raise Complaint(f"a node needs root; run as root, or {remedy}")
    other = _other_kubelet()
    if other and not os.environ.get("BARTIZAN_BESIDE_KUBELET"):
        raise Complaint(
            f"this machine is a node of another cluster (kubelet, pid {other}), which would lose CPU and memory "
            "to a second one; use that cluster with USE_EXISTING_CLUSTER=1, or set BARTIZAN_BESIDE_KUBELET=1"
        )
    missing = [] if shutil.which("apt-get") else _missing_packages()
    if missing:
        raise Complaint(f"a node needs {', '.join(missing)} (Debian's names); install them, or {remedy}")


def prepare() -> None:
    """Install what a node needs and the machine lacks."""
    _install(_missing_packages())
    left = _missing_packages()
    if left:
        raise Complaint(f"{', '.join(left)} did not bring what it should; see the PATH and run up again")


def cni_plugins() -> Path:
    for directory in map(Path, _PLUGIN_DIRECTORIES):
        if all((directory / plugin).exists() for plugin in _PLUGINS):
            return directory
    raise Complaint(f"no CNI plugins in any of {', '.join(_PLUGIN_DIRECTORIES)}; install {_PLUGINS_PACKAGE}")


def _missing_packages() -> list[str]:
    missing = {package for program, package in _PROGRAMS.items() if not shutil.which(program)}
    try:
        cni_plugins()
    except Complaint:
        missing.add(_PLUGINS_PACKAGE)
    return sorted(missing)


def _install(packages: list[str]) -> None:
    if not packages or not shutil.which("apt-get"):
        return
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    # a package that starts its own service would put a second containerd beside ours
    with progress.step(f"installing {' '.join(packages)}"), _no_services():
        for arguments in (
            ["update", "--quiet"],
            ["install", "--yes", "--quiet", "--no-install-recommends", *packages],
        ):
            done = subprocess.run(["apt-get", *arguments], env=environment, capture_output=True, text=True, check=False)
            if done.returncode and arguments[0] == "install":
                raise Complaint(f"apt-get {' '.join(arguments)} failed:\n{done.stderr[-1500:]}")


@contextmanager
def _no_services() -> Iterator[None]:
    """Debian asks this file before it starts a service; one that is there already stays as it is."""
    policy = Path("/usr/sbin/policy-rc.d")
    if policy.exists():
        yield
        return
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    try:
        yield
    finally:
        policy.unlink()


def _other_kubelet() -> int | None:
    """A kubelet of the machine itself; those of kind and minikube live in process namespaces of their own."""
    own = Path("/proc/self/ns/pid").readlink()
    for entry in Path("/proc").iterdir():
        try:
            if (entry / "comm").read_text().strip() == "kubelet" and (entry / "ns/pid").readlink() == own:
                return int(entry.name)
        except (OSError, ValueError):
            continue
    return None
