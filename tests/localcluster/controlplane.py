"""etcd, API server, controller manager and scheduler: their flags and how each shows that it is ready."""

from collections.abc import Sequence
from pathlib import Path

from tests.localcluster import certificates, kubeconfigs, probes
from tests.localcluster.binaries import tool
from tests.localcluster.certificates import Pair, Subject
from tests.localcluster.components import Component
from tests.localcluster.kubeconfigs import Access
from tests.localcluster.probes import Caller
from tests.localcluster.record import Level, Record

POD_RANGE = "10.244.0.0/16"
SERVICE_RANGE = "10.96.0.0/16"
PORTS = ("etcd", "etcd-peer", "kube-apiserver", "kube-controller-manager")
"""The components that need a port of their own on the host at the level of a control plane."""

_NAMES = (
    "localhost",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
)


def authority(record: Record) -> Pair:
    return certificates.ensure_authority(record.places.certificates)


def admin(record: Record) -> Caller:
    client = certificates.ensure(record.places.certificates, "admin", Subject("bartizan-admin", "system:masters"))
    return Caller(authority(record).certificate, client)


def identify(record: Record, name: str, subject: Subject) -> Path:
    """A kubeconfig for one component's own identity."""
    client = certificates.ensure(record.places.certificates, name, subject)
    path = record.places.configuration / f"{name}.kubeconfig"
    access = Access(record.name, record.server, authority(record).certificate, client)
    return kubeconfigs.write(path, access)


def write_kubeconfig(record: Record) -> None:
    access = Access(record.name, record.server, authority(record).certificate, admin(record).client)
    kubeconfigs.write(record.places.kubeconfig, access)


def etcd(record: Record) -> Component:
    client = f"http://{record.address}:{record.ports['etcd']}"
    peer = f"http://{record.address}:{record.ports['etcd-peer']}"
    flags = {
        "name": "default",
        "data-dir": record.places.data / "etcd",
        "listen-client-urls": client,
        "advertise-client-urls": client,
        "listen-peer-urls": peer,
        "initial-advertise-peer-urls": peer,
        "initial-cluster": f"default={peer}",
        "unsafe-no-fsync": "true",  # the data need not survive a power cut, and commits get faster
        "log-level": "warn",
    }
    return Component("etcd", _command("etcd", flags), lambda: probes.is_healthy(f"{client}/health"))


def api_server(record: Record) -> Component:
    flags = {
        "etcd-servers": f"http://{record.address}:{record.ports['etcd']}",
        "bind-address": record.address,
        "advertise-address": record.address,
        "secure-port": record.ports["kube-apiserver"],
        **_credentials(record),
        "kubelet-preferred-address-types": "InternalIP",
        "service-cluster-ip-range": SERVICE_RANGE,
        "authorization-mode": "Node,RBAC",
        "enable-admission-plugins": "NodeRestriction",
        # Endpoints may not hold a loopback address, so without a node nothing is published
        "endpoint-reconciler-type": "lease" if record.level is Level.NODE else "none",
        "allow-privileged": "true",
        "profiling": "false",
        "shutdown-delay-duration": "0s",
    }
    ask = admin(record)
    return Component(
        "kube-apiserver",
        _command("kube-apiserver", flags),
        lambda: ask.get(f"{record.server}/readyz") is not None,
    )


def _credentials(record: Record) -> dict[str, object]:
    pki = record.places.certificates
    root = authority(record)
    names = (record.address, "10.96.0.1", *_NAMES)
    serving = certificates.ensure(pki, "kube-apiserver", Subject("kube-apiserver", addresses=names))
    to_kubelet = certificates.ensure(pki, "kubelet-client", Subject("kube-apiserver", "system:masters"))
    token_key = certificates.ensure_key(pki / "service-accounts.key")
    return {
        "tls-cert-file": serving.certificate,
        "tls-private-key-file": serving.key,
        "client-ca-file": root.certificate,
        "kubelet-certificate-authority": root.certificate,
        "kubelet-client-certificate": to_kubelet.certificate,
        "kubelet-client-key": to_kubelet.key,
        "service-account-issuer": "https://kubernetes.default.svc.cluster.local",
        "service-account-key-file": token_key,
        "service-account-signing-key-file": token_key,
    }


def controller_manager(record: Record) -> Component:
    root = authority(record)
    kubeconfig = identify(record, "kube-controller-manager", Subject("system:kube-controller-manager"))
    flags = {
        **_delegated(kubeconfig),
        "bind-address": record.address,
        "secure-port": record.ports["kube-controller-manager"],
        "leader-elect": "false",
        "use-service-account-credentials": "true",
        "service-account-private-key-file": record.places.certificates / "service-accounts.key",
        "root-ca-file": root.certificate,
        "cluster-signing-cert-file": root.certificate,
        "cluster-signing-key-file": root.key,
        "allocate-node-cidrs": "true",
        "cluster-cidr": POD_RANGE,
        "service-cluster-ip-range": SERVICE_RANGE,
        "profiling": "false",
    }
    if record.level is Level.CONTROL_PLANE:
        # Without a node no pod is ever scheduled, and every twenty seconds this one calls those failed that are ending.
        flags["controllers"] = "*,-pod-garbage-collector-controller"
    ask = admin(record)
    first_work = f"{record.server}/api/v1/namespaces/default/serviceaccounts/default"
    return Component(
        "kube-controller-manager",
        _command("kube-controller-manager", flags),
        lambda: (
            probes.is_healthy(record.url("kube-controller-manager") + "/healthz") and ask.get(first_work) is not None
        ),
    )


def scheduler(record: Record) -> Component:
    kubeconfig = identify(record, "kube-scheduler", Subject("system:kube-scheduler"))
    flags = {
        **_delegated(kubeconfig),
        "bind-address": record.address,
        "secure-port": record.ports["kube-scheduler"],
        "leader-elect": "false",
        "profiling": "false",
    }
    return Component(
        "kube-scheduler",
        _command("kube-scheduler", flags),
        lambda: probes.is_healthy(record.url("kube-scheduler") + "/healthz"),
    )


def stages(record: Record) -> Sequence[Sequence[Component]]:
    """What starts together; a stage waits until the one before it is ready."""
    return ((etcd(record), api_server(record)), (controller_manager(record),))


def _delegated(kubeconfig: Path) -> dict[str, object]:
    return {
        "kubeconfig": kubeconfig,
        "authentication-kubeconfig": kubeconfig,
        "authorization-kubeconfig": kubeconfig,
        # at the usual 20 requests a second a controller manager takes 4 s to start its controllers
        "kube-api-qps": 500,
        "kube-api-burst": 1000,
        "authentication-skip-lookup": "true",  # there is no aggregation layer to look up
    }


def _command(name: str, flags: dict[str, object]) -> list[str]:
    return [str(tool(name)), *(f"--{flag}={value}" for flag, value in flags.items())]
