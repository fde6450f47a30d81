"""An OpenID Connect issuer that the chart names: its people come in, with a real issuer, API server and guard."""

import json
from pathlib import Path

import pytest
from tests.cluster.operator.bench import Bench, until
from tests.cluster.operator.test_service_accounts import guarding, reason, status, told
from tests.issuer.minting import signing_key
from tests.issuer.server import IssuerServer, serving
from tests.unit.guard import running
from tests.unit.guard.accounts import corp_claims

pytestmark = pytest.mark.cluster

WAYS = [{"type": "JWT", "issuer": "corp"}]
CLIENTS = [
    {"name": "alice", "jwt": {"issuer": "corp", "subject": "alice@corp"}},
    {"name": "staff", "jwt": {"issuer": "corp", "groups": ["staff"]}},
]


def setting(server: IssuerServer) -> str:
    """As the chart puts it into the operator's environment."""
    private = {"ca": server.authority, "allowPrivate": ["127.0.0.0/8", "::1/128"]}
    return json.dumps([{"name": "corp", "url": server.url, "audience": "models", "groupsClaim": "groups", **private}])


def test_an_issuers_people_come_in_and_its_withdrawn_key_goes(bench: Bench, namespace: str, tmp_path: Path) -> None:
    first, second = signing_key("corp-1"), signing_key("corp-2", "ES256")
    with running.model(tmp_path) as model, serving(tmp_path) as server:
        server.publish(first)
        with bench.operator(issuers=setting(server)) as operator:
            endpoint = bench.endpoint(namespace, access={"clients": CLIENTS, "authentication": WAYS}).wait()
            assert endpoint.condition("ClientsResolved")["reason"] == "AllClientsResolved"
            assert operator.metric("bartizan_operator_issuer_keys", issuer="corp") == 1

            with guarding(endpoint, tmp_path, model) as guard:
                made = corp_claims(iss=server.url)
                hour = {**made, "exp": made["iat"] + 3600}
                assert status(guard, first.sign(hour)) == 200
                assert status(guard, first.sign({**hour, "sub": "bob@corp", "groups": ["staff"]})) == 200
                assert reason(guard, first.sign({**hour, "sub": "bob@corp"})) == "TokenSubjectUnknown"
                assert reason(guard, first.sign({**hour, "aud": "others"})) == "TokenAudienceWrong"
                assert reason(guard, second.sign(hour)) == "TokenKeyUnknown"
                assert reason(guard, first.sign(made)) == "TokenLifetimeExcessive"
        server.publish(second)
        with bench.operator(issuers=setting(server)):
            endpoint.edit({"metadata": {"annotations": {"example.com/look": "1"}}})
            until(lambda: [key["kid"] for key in told(endpoint)["keys"]] == ["corp-2"])


def test_an_issuer_that_is_not_the_charts_is_never_asked(bench: Bench, namespace: str, tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        server.publish(signing_key())
        with bench.operator() as operator:
            endpoint = bench.endpoint(namespace, access={"clients": CLIENTS, "authentication": WAYS}).wait()
            found = endpoint.condition("ClientsResolved")
            assert (found["status"], found["reason"]) == ("False", "ClientsUnresolved")
            assert "issuer corp is none of the chart's issuers" in found["message"]
            assert operator.is_ready()
        assert server.asked == []
