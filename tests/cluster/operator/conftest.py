"""Fixtures of the operator's tests: one installation for a test run (a worker's own), one operator for a module."""

from collections.abc import Iterator

import pytest
from tests.cluster.installation import install
from tests.cluster.operator.bench import Bench, Endpoint, operator_kubeconfig
from tests.cluster.operator.process import Operator
from tests.cluster.plane import Plane


@pytest.fixture(scope="session")
def bench(plane: Plane, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """For good: no other module comes after those of the operator."""
    install(plane)
    return Bench(plane, plane.admin, operator_kubeconfig(plane, tmp_path_factory.mktemp("operator")))


@pytest.fixture(scope="module", autouse=True)
def _tidy(bench: Bench) -> Iterator[None]:
    """Set up before any operator and so torn down after it."""
    yield
    bench.sweep()


@pytest.fixture(scope="module")
def operator(bench: Bench) -> Iterator[Operator]:
    """With a resync so rare that whatever happens in a test is an event's doing."""
    with bench.operator() as running:
        yield running


@pytest.fixture
def namespace(bench: Bench) -> str:
    return bench.namespace()


@pytest.fixture
def endpoint(bench: Bench, operator: Operator, namespace: str) -> Endpoint:
    """A plain ModelDeployment that the operator has brought about."""
    return bench.endpoint(namespace).wait()
