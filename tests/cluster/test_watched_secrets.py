"""With rights in listed namespaces the operator watches Secrets, too: what is done to them is put back at once."""

from collections.abc import Iterator

import pytest
from tests.cluster.operator.bench import Bench, operator_kubeconfig, until
from tests.cluster.operator.process import Operator
from tests.cluster.operator.test_secrets import CHANGES, change, is_back
from tests.cluster.plane import Plane, listed

from bartizan.controller import kinds

pytestmark = pytest.mark.cluster

LISTED, DOOMED = "watched", "watched-and-doomed"


@pytest.fixture(scope="module")
def bench(plane: Plane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """Rights in these namespaces only, and so the right to watch their Secrets."""
    with plane.lent(LISTED, DOOMED, values=listed(LISTED, DOOMED)) as cluster:
        made = Bench(cluster, plane.admin, operator_kubeconfig(cluster, tmp_path_factory.mktemp("watched")))
        yield made
        made.sweep()


@pytest.fixture(scope="module")
def operator(bench: Bench) -> Iterator[Operator]:
    with bench.operator(namespaces=f"{LISTED},{DOOMED}", watch_secrets="true") as running:
        yield running


@pytest.mark.parametrize("what", CHANGES)
def test_where_secrets_are_watched_they_are_put_back_at_once(what: str, bench: Bench, operator: Operator) -> None:
    endpoint = bench.endpoint(LISTED, "e" + str(list(CHANGES).index(what))).wait()
    for secret in (f"{endpoint.name}.chat-ui", f"{endpoint.name}.guard.bartizan"):
        if "data" in (CHANGES[what] or {}) and "guard" in secret:
            continue
        before = change(endpoint, secret, what)
        until(lambda: is_back(endpoint, secret, before), seconds=2.0)  # noqa: B023
    versions = endpoint.versions()
    endpoint.edit({"metadata": {"annotations": {"example.com/look": "again"}}})
    seen = operator.metric("bartizan_operator_reconciles_total")
    until(lambda: operator.metric("bartizan_operator_reconciles_total") > seen)
    assert endpoint.versions() == versions


def test_watched_secrets_are_not_written_while_nothing_happens(bench: Bench, operator: Operator) -> None:
    endpoint = bench.endpoint(LISTED, "calm").wait()
    until(endpoint.pods)
    written = operator.writes().get("apply Secret", 0)
    for number in range(3):
        seen = operator.metric("bartizan_operator_reconciles_total")
        endpoint.edit({"metadata": {"annotations": {"example.com/look": str(number)}}})
        until(lambda: operator.metric("bartizan_operator_reconciles_total") > seen)  # noqa: B023
    assert operator.writes().get("apply Secret", 0) == written


def test_outside_of_the_listed_namespaces_nothing_is_made(bench: Bench, operator: Operator) -> None:
    with bench.operator(namespaces=LISTED, watch_secrets="true", resync_seconds=1):
        outside = bench.endpoint(bench.namespace())
        until(lambda: outside.condition("Accepted").get("reason") == "NamespaceNotManaged")
        assert not outside.inventory()


def test_a_listed_namespace_can_be_deleted_with_its_rights(bench: Bench, operator: Operator) -> None:
    endpoint = bench.endpoint(DOOMED).wait()
    until(endpoint.pods)
    bench.admin.delete(kinds.NAMESPACE, None, DOOMED)
    until(lambda: bench.admin.get(kinds.NAMESPACE, None, DOOMED) is None, seconds=60)
