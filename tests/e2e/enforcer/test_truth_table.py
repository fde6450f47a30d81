"""Every NetworkPolicy of the table, loaded into a real nft table, tried by real connections."""

import select
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.e2e.enforcer import lab as laboratory
from tests.e2e.enforcer.flows import all_flows, come_through, is_expected
from tests.e2e.enforcer.lab import ADDRESSES, Lab, standing_in
from tests.localcluster.enforcer.ruleset import render

pytestmark = pytest.mark.node

CASES = yaml.safe_load((Path(__file__).parent / "truth_table.yaml").read_text())


def pod(namespace: str, name: str, **spec: Any) -> dict[str, Any]:
    metadata = {"namespace": namespace, "name": name, "labels": {"app": name}}
    return {"metadata": metadata, "spec": spec, "status": {"phase": "Running", "podIP": ADDRESSES[name]}}


def port(name: str, number: int, protocol: str = "TCP") -> dict[str, Any]:
    return {"ports": [{"name": name, "containerPort": number, "protocol": protocol}]}


MODEL = pod(
    "ml",
    "model",
    containers=[port("http", 8080), port("dns", 5353, "UDP")],
    initContainers=[port("guard", 9090) | {"restartPolicy": "Always"}, port("ghost", 8081)],
)
PODS = [MODEL, pod("ml", "peer", containers=[port("http", 8081)]), pod("web", "chat"), pod("web", "rogue")]
NAMESPACES = [{"metadata": {"name": name, "labels": {"team": name}}} for name in ("ml", "web")]


def policy(case: dict[str, Any]) -> dict[str, Any]:
    spec = {key: value for key, value in case.items() if key not in {"namespace", "deleted"}}
    metadata = {"namespace": case.get("namespace", "ml"), "name": "case"}
    if case.get("deleted"):
        metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    return {"metadata": metadata, "spec": spec}


def table(policies: list[dict[str, Any]]) -> str:
    return render([policy(each) for each in policies], PODS, NAMESPACES, table="policies")


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with laboratory.running() as running:
        yield running


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_flows_come_through_as_the_policies_say(lab: Lab, case: dict[str, Any]) -> None:
    lab.load(table(case["policies"]))
    flows = list(all_flows())
    expected = {flow for flow in flows if is_expected(flow, case["reachable"])}
    arrived = come_through(lab, flows, expected)
    assert sorted(map(str, arrived - expected)) == [], "came through against the policies"
    assert sorted(map(str, expected - arrived)) == [], "was stopped against the policies"


def accepted(lab: Lab) -> socket.socket:
    listener = lab.listeners["model", "tcp", 8080]
    assert select.select([listener], [], [], 5)[0]
    connection, _ = listener.accept()
    connection.settimeout(5)
    return connection


def test_an_open_connection_stalls_when_a_new_policy_forbids_it(lab: Lab) -> None:
    lab.load(table([]))
    with standing_in("chat"):
        client = socket.create_connection((ADDRESSES["model"], 8080), timeout=5)
    server = accepted(lab)
    with client, server:
        client.send(b"before")
        assert server.recv(16) == b"before"
        lab.load(table([{"podSelector": {"matchLabels": {"app": "model"}}}]))
        client.send(b"after")
        server.settimeout(0.5)
        with pytest.raises(TimeoutError):
            server.recv(16)
