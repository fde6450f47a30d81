"""The operator's account on a real API server, as the chart gives it rights, and what must come of its attempts."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from tests.cluster import attempts
from tests.cluster.attempts import Reach
from tests.cluster.installation import ACCOUNT, NAMESPACE, Answer, Caller, Request, token, until
from tests.cluster.plane import EVERYWHERE, Plane, listed
from tests.localcluster.api import Cluster

TOO_MUCH = "too-much"
CLIENTS = ("--set", f"clientNamespaces={{{attempts.CLIENTS}}}")


@contextmanager
def account(plane: Plane, reach: Reach) -> Iterator[Caller]:
    """Ready when every policy of the fence answers."""
    values = (*listed(attempts.LISTED), *CLIENTS) if reach == "listed" else EVERYWHERE
    with (
        plane.lent(attempts.LISTED, attempts.UNLISTED, attempts.CLIENTS, values=values) as cluster,
        _granted(cluster, reach),
    ):
        attempts.populate(cluster)
        operator = Caller(cluster, token(cluster))
        canaries = list(attempts.canaries())
        until(lambda: all(map(partial(_is_fenced, operator), canaries)), "every policy of the fence answers")
        yield operator


@contextmanager
def _granted(cluster: Cluster, reach: Reach) -> Iterator[None]:
    if reach != "overgranted":
        yield
        return
    subject = f"--serviceaccount={NAMESPACE}:{ACCOUNT}"
    cluster.kubectl("create", "clusterrolebinding", TOO_MUCH, "--clusterrole=cluster-admin", subject)
    try:
        yield
    finally:
        cluster.kubectl("delete", "clusterrolebinding", TOO_MUCH)


def _is_fenced(operator: Caller, canary: Request) -> bool:
    return "bartizan fence: " in operator.dry_run(canary).message


def name(attempt: dict[str, Any]) -> str:
    return str(attempt["name"]).replace(" ", "-")


def try_out(attempt: dict[str, Any], operator: Caller) -> None:
    """Fails where the attempt comes to another end than the table says."""
    _judge(attempt, operator.dry_run(attempts.request(attempt)))


def _judge(attempt: dict[str, Any], answer: Answer) -> None:
    if attempt.get("allowed"):
        assert answer.is_success or answer.body.get("reason") == "AlreadyExists", answer
    elif attempt.get("rbac"):
        assert answer.status == 403, answer
        assert "cannot" in answer.message, answer
    else:
        assert "bartizan fence: " in answer.message, answer
        assert attempt["fence"] in answer.message, answer
