"""What the operator may do on a real API server: with Roles in listed namespaces, and with rights everywhere."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from tests.cluster import attempts
from tests.cluster.attempts import Reach
from tests.cluster.installation import ACCOUNT, NAMESPACE, Answer, Caller, Request, install, token, until
from tests.localcluster.api import control_plane

pytestmark = pytest.mark.cluster
LISTED = ("--set", f"namespaces={{{attempts.LISTED}}}", "--set", f"clientNamespaces={{{attempts.CLIENTS}}}")


def _installed(reach: Reach) -> Iterator[Caller]:
    with control_plane() as cluster:
        for namespace in (attempts.LISTED, attempts.UNLISTED, attempts.CLIENTS):
            cluster.kubectl("create", "namespace", namespace)
        install(cluster, *(LISTED if reach == "listed" else ()))
        if reach == "overgranted":
            subject = f"--serviceaccount={NAMESPACE}:{ACCOUNT}"
            cluster.kubectl("create", "clusterrolebinding", "too-much", "--clusterrole=cluster-admin", subject)
        attempts.populate(cluster)
        operator = Caller(cluster, token(cluster))
        canaries = list(attempts.canaries())
        until(lambda: all(map(partial(_is_fenced, operator), canaries)), "every policy of the fence answers")
        yield operator


@pytest.fixture(scope="module")
def operator_in_listed() -> Iterator[Caller]:
    yield from _installed("listed")


@pytest.fixture(scope="module")
def operator_everywhere() -> Iterator[Caller]:
    yield from _installed("everywhere")


@pytest.fixture(scope="module")
def operator_as_cluster_admin() -> Iterator[Caller]:
    yield from _installed("overgranted")


def _is_fenced(operator: Caller, canary: Request) -> bool:
    return "bartizan fence: " in operator.dry_run(canary).message


def _ids(attempt: dict[str, Any]) -> str:
    return str(attempt["name"]).replace(" ", "-")


@pytest.mark.parametrize("attempt", attempts.of("listed"), ids=_ids)
def test_in_listed_namespaces_the_operator(attempt: dict[str, Any], operator_in_listed: Caller) -> None:
    _judge(attempt, operator_in_listed.dry_run(attempts.request(attempt)))


@pytest.mark.parametrize("attempt", attempts.of("everywhere"), ids=_ids)
def test_with_rights_everywhere_the_operator(attempt: dict[str, Any], operator_everywhere: Caller) -> None:
    _judge(attempt, operator_everywhere.dry_run(attempts.request(attempt)))


@pytest.mark.parametrize("attempt", attempts.of("overgranted"), ids=_ids)
def test_whatever_rights_it_is_given_the_operator(attempt: dict[str, Any], operator_as_cluster_admin: Caller) -> None:
    _judge(attempt, operator_as_cluster_admin.dry_run(attempts.request(attempt)))


def _judge(attempt: dict[str, Any], answer: Answer) -> None:
    if attempt.get("allowed"):
        assert answer.is_success or answer.body.get("reason") == "AlreadyExists", answer
    elif attempt.get("rbac"):
        assert answer.status == 403, answer
        assert "cannot" in answer.message, answer
    else:
        assert "bartizan fence: " in answer.message, answer
        assert attempt["fence"] in answer.message, answer


def test_at_least_twenty_five_attempts_are_refused_by_each_of_rights_and_fence() -> None:
    for reason in ("rbac", "fence"):
        assert sum(reason in attempt for attempt in attempts.TABLE["attempts"]) >= 25
