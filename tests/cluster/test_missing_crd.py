"""The operator in a cluster that does not know its resource: it says so, and waits, at the start and later."""

from pathlib import Path

import pytest
from tests.cluster import installation, operator_process
from tests.cluster.installation import until
from tests.cluster.operator_process import OperatorProcess, apply, exists
from tests.cluster.plane import Plane

from bartizan.controller import kinds

pytestmark = pytest.mark.cluster

CRDS = Path(__file__).parents[2] / "crds"
HERE = "unknown"


def test_a_missing_crd_is_said_and_waited_for(plane: Plane, tmp_path: Path) -> None:
    with plane.lent(HERE, values=("--set", "crds.install=false")) as bare:
        bare.kubectl("--namespace", installation.NAMESPACE, "delete", "deployment", installation.ACCOUNT)
        with operator_process.run(operator_process.kubeconfig(bare, tmp_path), tmp_path) as operator:
            operator.wait_for("custom resource definition missing", subject="modeldeployments.bartizan.dev")
            assert operator.ask("health", "/readyz")[0] == 503
            bare.kubectl("apply", "-f", str(CRDS))
            operator.wait_until_ready()
            apply(bare, "late", HERE)
            until(lambda: exists(bare, kinds.DEPLOYMENT, "late", HERE), "the workload")
            _take_crd_away_and_bring_it_back(bare, operator)
            assert operator.process.poll() is None


def _take_crd_away_and_bring_it_back(bare: Plane, operator: OperatorProcess) -> None:
    said = len(operator.said("custom resource definition missing"))
    bare.kubectl("delete", "crd", "modeldeployments.bartizan.dev", "--timeout=60s")
    operator.wait_until(
        lambda: len(operator.said("custom resource definition missing")) > said, "it says so", seconds=60
    )
    assert operator.ask("health", "/livez") == (200, "ok\n"), "a restart would change nothing"
    bare.kubectl("apply", "-f", str(CRDS))
    operator.wait_until_ready(seconds=60)
    apply(bare, "again", HERE)
    until(lambda: exists(bare, kinds.DEPLOYMENT, "again", HERE), "the workload", seconds=60)
