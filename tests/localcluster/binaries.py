"""Which binary stands behind a tool's name: the user's own, else one that we build."""

import os
from pathlib import Path

from tests.localcluster import gobuild
from tests.localcluster.complaints import Complaint


def tool(name: str) -> Path:
    """The path of ``kube-apiserver``, ``etcd``, ``kubectl``, ``helm`` …; builds it if it must.

    Honours envtest's conventions: ``TEST_ASSET_KUBE_APISERVER`` names one binary, ``KUBEBUILDER_ASSETS`` a directory.
    """
    return _brought(name) or _built(name)


def _brought(name: str) -> Path | None:
    named = os.environ.get("TEST_ASSET_" + name.upper().replace("-", "_"))
    if named:
        if not os.access(named, os.X_OK):
            raise Complaint(f"TEST_ASSET for {name} points at {named}, which cannot be executed")
        return Path(named)
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    if assets and os.access(Path(assets) / name, os.X_OK):
        return Path(assets) / name
    return None


def _built(name: str) -> Path:
    for program in gobuild.PROGRAMS:
        if name in program.names:
            return gobuild.build(program) / name
    known = ", ".join(sorted(known for program in gobuild.PROGRAMS for known in program.names))
    raise Complaint(f"no tool is called {name!r}; there are {known}")
