"""The control plane that a worker's modules share: lent to one of them at a time, and bare of Bartizan in between."""

import http
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Self

from tests.cluster import installation
from tests.cluster.installation import until
from tests.cluster.operator.admin import MERGE, Admin, Live, RefusedError
from tests.localcluster.api import Cluster

from bartizan.controller import kinds
from bartizan.controller.kinds import Kind

DEFINITION = Kind("apiextensions.k8s.io/v1", "customresourcedefinitions", "CustomResourceDefinition", namespaced=False)
DEFINITION_NAME = "modeldeployments.bartizan.dev"
METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
NO_CACHE = "--cache-dir=/dev/null"
"""For kubectl where it looks for a category: what it remembers of this server may be from before the CRD was there."""
EVERYWHERE: Sequence[str] = ()
"""The chart's values for rights in all namespaces."""


def listed(*namespaces: str) -> Sequence[str]:
    """The chart's values for rights in these namespaces."""
    return ("--set", f"namespaces={{{','.join(namespaces)}}}")


@dataclass(frozen=True)
class Plane(Cluster):
    admin: Admin = field(kw_only=True)
    """Asks at no cost, which kubectl does not: what is waited for is asked for many times a second."""

    @contextmanager
    def lent(self, *namespaces: str, values: Sequence[str] | None = None) -> Iterator[Self]:
        """With these namespaces, and the chart where there are values for it."""
        for name in namespaces:
            until(lambda name=name: self._has_gone(name), "a former module's namespace has gone", seconds=60)  # type: ignore[misc]
            self.admin.create(kinds.NAMESPACE, None, {"metadata": {"name": name}})
        for name in namespaces:
            until(lambda name=name: self._takes_pods(name), "the namespace has its account")  # type: ignore[misc]
        try:
            if values is not None:
                installation.install(self, *values)
            yield self
        finally:
            self.clear(namespaces)

    def _takes_pods(self, namespace: str) -> bool:
        """Pods are refused until a controller has made the namespace's account."""
        return self.admin.get(kinds.SERVICE_ACCOUNT, namespace, "default") is not None

    def _has_gone(self, namespace: str) -> bool:
        return self.admin.get(kinds.NAMESPACE, None, namespace) is None

    def clear(self, namespaces: Sequence[str]) -> None:
        """Leaves nothing to the module that comes after; no operator runs now, so finalizers are taken off by hand."""
        for release in installation.helm(self, "list", "--short").split():
            installation.helm(self, "uninstall", release)
        for kind in (kinds.MODEL_DEPLOYMENT, kinds.NETWORK_POLICY):
            release_all(self.admin, kind)
        for name in namespaces:
            self.admin.delete(kinds.NAMESPACE, None, name)
        self.admin.delete(DEFINITION, None, DEFINITION_NAME)
        until(lambda: self.admin.get(DEFINITION, None, DEFINITION_NAME) is None, "the CRD has gone")
        self.admin.delete(kinds.SECRET, installation.NAMESPACE, "bartizan-root")


def release_all(admin: Admin, kind: Kind, namespace: str | None = None) -> None:
    """Deletes all objects of the kind, whatever finalizers they have."""
    for metadata in _metadata(admin, kind, namespace):
        path = kind.path(metadata["namespace"], metadata["name"])
        with _absent_or_not():
            admin.send("DELETE", path, accept=METADATA)
            admin.send("PATCH", path, {"metadata": {"finalizers": None}}, content_type=MERGE, accept=METADATA)


def _metadata(admin: Admin, kind: Kind, namespace: str | None) -> list[Live]:
    """Without the rest, which may be nested too deeply to be read here."""
    items: list[Live] = []
    with _absent_or_not():
        items = admin.send("GET", kind.path(namespace), accept=METADATA_LIST)["items"] or []
    return [item["metadata"] for item in items]


@contextmanager
def _absent_or_not() -> Iterator[None]:
    """The object may have gone, and a kind may be unknown."""
    try:
        yield
    except RefusedError as error:
        if error.status != http.HTTPStatus.NOT_FOUND:
            raise
