"""ServiceAccounts as clients, with the real thing on both sides: the API server's tokens and keys, and a guard."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jwt
import pytest
from tests.cluster.operator.bench import Bench, Endpoint, until
from tests.cluster.operator.process import Operator
from tests.unit.guard import running
from tests.unit.guard.running import Guard, chat

from bartizan.controller import kinds

pytestmark = pytest.mark.cluster

PROOFS = [{"type": "APIKey"}, {"type": "ServiceAccount"}]
RUNNER = [{"name": "batch", "serviceAccount": {"name": "runner"}}]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[running.Model]:
    with running.model(tmp_path_factory.mktemp("model")) as started:
        yield started


@pytest.fixture
def endpoint(bench: Bench, operator: Operator, namespace: str) -> Endpoint:
    make(bench, namespace)
    return bench.endpoint(namespace, access={"clients": RUNNER, "authentication": PROOFS}).wait()


def make(bench: Bench, namespace: str, name: str = "runner") -> str:
    """The UID of a new account."""
    made = bench.admin.create(kinds.SERVICE_ACCOUNT, namespace, {"metadata": {"name": name}})
    return str(made["metadata"]["uid"])


def token(endpoint: Endpoint, name: str = "runner", *, seconds: int = 3600, namespace: str = "", **spec: Any) -> str:
    """From the API server's TokenRequest, as a kubelet asks for one; made for this endpoint unless `spec` says else."""
    wish = {"audiences": [f"bartizan.dev/{endpoint.namespace}/{endpoint.name}"], "expirationSeconds": seconds, **spec}
    path = kinds.SERVICE_ACCOUNT.path(namespace or endpoint.namespace, name, subresource="token")
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": wish}
    return str(endpoint.admin.send("POST", path, body)["status"]["token"])


@contextmanager
def guarding(endpoint: Endpoint, folder: Path, model: running.Model) -> Iterator[Guard]:
    """A guard as it stands in the endpoint's pods: with the arguments that the operator gave it, and its document."""
    (container,) = endpoint.must_own("Deployment")["spec"]["template"]["spec"]["initContainers"][:1]
    kept = ("--namespace", "--name", "--uid", "--document-key", "--document-not-before")
    flags = [item for item in container["args"] if item.partition("=")[0] in (*kept, "--namespace-uid")]
    (folder / "document").write_text(endpoint.document())
    with running.guard(folder, model.upstream, *flags, given=None) as guard:
        yield guard


def status(guard: Guard, text: str) -> int:
    return guard.ask(chat(model="echo"), key=text).status


def reason(guard: Guard, text: str) -> str:
    answer = guard.ask(chat(model="echo"), key=text)
    assert answer.status == 401
    return str(guard.audited(answer.headers["X-Request-Id"])[0]["reason"])


def told(endpoint: Endpoint) -> dict[str, Any]:
    """The document's one issuer."""
    payload = jwt.decode(endpoint.document(), options={"verify_signature": False})
    (issuer,) = payload["issuers"]
    return dict(issuer)


def test_a_token_of_the_api_servers_lets_its_account_in(
    endpoint: Endpoint, tmp_path: Path, model: running.Model
) -> None:
    assert endpoint.condition("ClientsResolved")["reason"] == "AllClientsResolved"
    with guarding(endpoint, tmp_path, model) as guard:
        answer = guard.ask(chat(model="echo"), key=token(endpoint))
        assert answer.status == 200
        decision = guard.audited(answer.headers["X-Request-Id"])[0]
        assert (decision["client"], decision["issuer"]) == ("batch", "ServiceAccount")
        assert decision["subject"] == f"system:serviceaccount:{endpoint.namespace}:runner"


def test_t56_every_other_token_of_the_api_servers_is_refused(
    bench: Bench, endpoint: Endpoint, tmp_path: Path, model: running.Model
) -> None:
    make(bench, endpoint.namespace, "stranger")
    elsewhere = bench.namespace()
    make(bench, elsewhere)
    audience = f"bartizan.dev/{endpoint.namespace}/{endpoint.name}"
    with guarding(endpoint, tmp_path, model) as guard:
        refused = {
            "for the API server": (token(endpoint, audiences=[]), "TokenAudienceWrong"),
            "for another endpoint": (token(endpoint, audiences=[f"{audience}-2"]), "TokenAudienceWrong"),
            "for the API server, too": (
                token(endpoint, audiences=[audience, "https://kubernetes.default.svc"]),
                "TokenAudienceWrong",
            ),
            "that lives for two hours": (token(endpoint, seconds=7200), "TokenLifetimeExcessive"),
            "of another account": (token(endpoint, "stranger"), "TokenSubjectUnknown"),
            "of another namespace": (token(endpoint, namespace=elsewhere), "TokenSubjectUnknown"),
        }
        assert {name: reason(guard, text) for name, (text, _) in refused.items()} == {
            name: expected for name, (_, expected) in refused.items()
        }


def test_t55_an_account_that_is_deleted_and_made_anew_is_let_in_by_its_new_tokens_alone(
    bench: Bench, endpoint: Endpoint, tmp_path: Path, model: running.Model
) -> None:
    former = token(endpoint)
    with guarding(endpoint, tmp_path, model) as guard:
        assert status(guard, former) == 200
        bench.admin.delete(kinds.SERVICE_ACCOUNT, endpoint.namespace, "runner")
        endpoint.edit({"metadata": {"annotations": {"example.com/look": "1"}}})
        until(lambda: not told(endpoint)["clients"], seconds=40)
        guard.write(endpoint.document())
        running.eventually(lambda: status(guard, former) == 401, "the account has gone")
        uid = make(bench, endpoint.namespace)
        endpoint.edit({"metadata": {"annotations": {"example.com/look": "2"}}})
        until(lambda: [client["uid"] for client in told(endpoint)["clients"]] == [uid], seconds=40)
        guard.write(endpoint.document())
        running.eventually(lambda: status(guard, token(endpoint)) == 200, "the new account may come in")
        assert reason(guard, former) == "TokenAccountReplaced"


def test_an_account_of_another_namespace_comes_in_where_that_may(
    bench: Bench, operator: Operator, namespace: str, tmp_path: Path, model: running.Model
) -> None:
    other = bench.namespace()
    make(bench, other)
    clients = [{"name": "batch", "serviceAccount": {"namespace": other, "name": "runner"}}]
    chosen = {"namespaces": "Selector", "selector": {"matchLabels": {"kubernetes.io/metadata.name": other}}}
    access = {"from": chosen, "clients": clients, "authentication": PROOFS}
    endpoint = bench.endpoint(namespace, access=access).wait()
    with guarding(endpoint, tmp_path, model) as guard:
        assert status(guard, token(endpoint, namespace=other)) == 200


def test_an_account_that_is_not_there_is_named_with_the_remedy(
    bench: Bench, operator: Operator, namespace: str
) -> None:
    endpoint = bench.endpoint(namespace, access={"clients": RUNNER, "authentication": PROOFS}).wait()
    found = endpoint.condition("ClientsResolved")
    assert (found["status"], found["reason"]) == ("False", "ClientsUnresolved")
    assert f"ServiceAccount {namespace}/runner does not exist; make it" in found["message"]
    make(bench, namespace)
    until(lambda: endpoint.condition("ClientsResolved")["status"] == "True", seconds=40)
