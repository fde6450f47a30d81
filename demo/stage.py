"""Sets the stage: a cluster, the images, the operator by Helm, the example, and the pods that play clients."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.localcluster import lifecycle, record
from tests.localcluster.api import Cluster, node, tool
from tests.localcluster.progress import step
from tests.localcluster.record import Level

ROOT = Path(__file__).resolve().parents[1]
CLUSTER = "demo"
SYSTEM = "bartizan-system"
NAMESPACE = "bartizan-demo"
STRANGERS = "bartizan-strangers"
MONITORING = "bartizan-monitoring"


@dataclass(frozen=True)
class Images:
    """Names by content, so that no node ever runs an older build under the same name."""

    bartizan: str
    model: str


@dataclass(frozen=True)
class Stage:
    """A cluster on which the operator runs."""

    cluster: Cluster
    images: Images
    managed: tuple[str, ...] = (NAMESPACE,)
    """The namespaces that may hold endpoints."""

    def environment(self) -> dict[str, str]:
        """For commands that the user could type: their programs on the path, the cluster as the current one."""
        folders = {str(tool("kubectl").parent), str(tool("helm").parent), str(Path(sys.executable).parent)}
        path = os.pathsep.join([*sorted(folders), os.environ["PATH"]])
        return {**os.environ, "PATH": path, "KUBECONFIG": str(self.cluster.kubeconfig)}

    def kubectl(self, *arguments: str) -> str:
        return self.cluster.kubectl(*arguments)

    def get(self, *arguments: str) -> dict[str, Any]:
        """One object, or a list, as JSON."""
        found: dict[str, Any] = json.loads(self.cluster.kubectl("get", *arguments, "-o", "json"))
        return found


@contextmanager
def stage() -> Iterator[Stage]:
    """The demo's cluster, which stays up, with the operator on it."""
    with _cluster() as cluster:
        yield set_up(cluster)


def set_up(cluster: Cluster, *more_namespaces: str) -> Stage:
    """Images and operator on a cluster that is up; `more_namespaces` may hold endpoints, too."""
    ready = Stage(cluster, _images(cluster), (NAMESPACE, *more_namespaces))
    for namespace in (*ready.managed, STRANGERS, MONITORING):
        ensure_namespace(ready, namespace)
    install(ready)
    return ready


@contextmanager
def _cluster() -> Iterator[Cluster]:
    if os.environ.get("USE_EXISTING_CLUSTER", "").lower() not in {"1", "true"}:
        if record.read(CLUSTER) is None:
            lifecycle.sweep()
        lifecycle.up(CLUSTER, Level.NODE, owned=False)
    with node(CLUSTER) as cluster:
        yield cluster


def _images(cluster: Cluster) -> Images:
    """Builds and loads what is not there yet; on one's own cluster the images come from where it can pull them."""
    if not cluster.is_ours:
        return Images(_given("BARTIZAN_IMAGE"), _given("BARTIZAN_DEMO_MODEL_IMAGE"))
    build = [sys.executable, str(ROOT / "images/build")]
    built = subprocess.run(build, stdout=subprocess.PIPE, text=True, check=True)
    lines = [line.split() for line in built.stdout.splitlines()]
    present = cluster.kubectl("get", "nodes", "-o", "jsonpath={.items[*].status.images[*].names}")
    for name, archive, *_ in lines:
        if name not in present:
            with step(f"loading {name}"):
                cluster.load_image(Path(archive))
    names = [line[0] for line in lines]
    return Images(bartizan=_only(names, "bartizan:"), model=_only(names, "bartizan-demo-model:"))


def _only(names: list[str], part: str) -> str:
    return next(name for name in names if f"/{part}" in name)


def _given(variable: str) -> str:
    image = os.environ.get(variable)
    if not image:
        raise SystemExit(
            f"{variable} is not set: with USE_EXISTING_CLUSTER=1 name the images that your cluster can pull; "
            f"`images/build` builds them, `docker load` and `kind load docker-image` or a push bring them there"
        )
    return image


def install(ready: Stage, **changes: str) -> None:
    """Installs the operator or upgrades it, with these values beside the stage's own (`a__b` stands for `a.b`)."""
    repository, _, tag = ready.images.bartizan.rpartition(":")
    values = {
        "namespaces": f"{{{','.join(ready.managed)}}}",
        "image.repository": repository,
        "image.tag": tag,
        "monitoring.namespace": MONITORING,
        **{name.replace("__", "."): value for name, value in changes.items()},
    }
    settings = [argument for name, value in values.items() for argument in ("--set", f"{name}={value}")]
    command = ["helm", "upgrade", "--install", "bartizan", "charts/bartizan", "-n", SYSTEM, "--create-namespace"]
    with step("installing the operator with Helm"):
        subprocess.run(
            [*command, *settings, "--wait", "--timeout", "120s"],
            cwd=ROOT,
            env=ready.environment(),
            check=True,
            stdout=subprocess.DEVNULL,
        )


def ensure_namespace(ready: Stage, namespace: str) -> None:
    manifest = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
    ready.cluster.kubectl("apply", "-f", "-", stdin=json.dumps(manifest))
