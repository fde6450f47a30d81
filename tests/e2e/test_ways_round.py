"""Ways round the guard, of tenants, of insiders with edit rights, of the node: none leads to the model."""

import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
from tests.e2e import company
from tests.e2e.endpoint import LOOPBACK, Endpoint, until
from tests.e2e.ground import Ground
from tests.e2e.player import Player
from tests.localcluster.api import tool

from bartizan.policy import names

pytestmark = [pytest.mark.node, pytest.mark.needs("network")]

GUARDS_PORTS = [names.GUARD_PORT, names.STATUS_PORT, names.METRICS_PORT]
MODELS_PORT = 8000
LIKELY_PORTS = [*GUARDS_PORTS, MODELS_PORT, 80, 443, 1234, 3000, 5000, 7860, 8001, 8888, 11434, 29500]
"""Where model servers, their tools and their consoles like to listen; every port is tried where policies are off."""


@pytest.fixture(scope="module")
def endpoint(ground: Ground) -> Endpoint:
    return ground.endpoint("walled").wait()


@pytest.fixture(scope="module")
def loopback(ground: Ground) -> Endpoint:
    """The weaker transport: the model listens on 127.0.0.1."""
    serving = {"transport": "Loopback", "port": MODELS_PORT}
    return ground.endpoint("loopback", container={"command": LOOPBACK}, serving=serving).wait()


@pytest.fixture(scope="module")
def stranger(ground: Ground) -> Player:
    return ground.stranger()


@pytest.fixture(scope="module")
def neighbour(ground: Ground) -> Player:
    return ground.neighbour()


@pytest.fixture(params=["endpoint", "loopback"])
def target(request: pytest.FixtureRequest) -> Endpoint:
    """Both transports, where both must hold."""
    found: Endpoint = request.getfixturevalue(request.param)
    return found


def is_locked(player: Player, target: Endpoint) -> bool:
    """Whoever comes to the guard without a key is refused."""
    return player.call(f"{target.address}:{names.GUARD_PORT}", "/v1/models").startswith("401")


def test_t01_ports_are_open_only_to_whom_the_policy_names(
    target: Endpoint, stranger: Player, neighbour: Player, ground: Ground
) -> None:
    ports = [*GUARDS_PORTS, MODELS_PORT]
    until(lambda: neighbour.knock(target.address, ports) == [names.GUARD_PORT], "neighbours find the guard alone")
    assert stranger.knock(target.address, ports) == []
    scraper = ground.scraper()
    assert scraper.knock(target.address, ports) == [names.METRICS_PORT]


def test_t04_a_pod_in_the_nodes_network_finds_the_guard_and_not_the_model(target: Endpoint, ground: Ground) -> None:
    intruder = ground.stranger("e2e-on-host", hostNetwork=True)
    assert set(intruder.knock(target.address, LIKELY_PORTS)) <= set(GUARDS_PORTS)
    assert is_locked(intruder, target)


def test_t06_another_service_leads_to_the_guard_at_most(target: Endpoint, ground: Ground, neighbour: Player) -> None:
    insider(ground, "side-door", target, type="ClusterIP", ports=[port(80, MODELS_PORT), port(81, names.GUARD_PORT)])
    host = f"side-door.{ground.namespace}.svc"
    until(lambda: neighbour.call(f"{host}:81").startswith("401"), "the guard answers through it, and wants a key")
    assert neighbour.call(f"{host}:80").startswith("no answer")


def test_t07_a_node_port_leads_to_the_guard_at_most(target: Endpoint, ground: Ground, neighbour: Player) -> None:
    ports = [port(80, MODELS_PORT) | {"nodePort": 31080}, port(81, names.GUARD_PORT) | {"nodePort": 31081}]
    insider(ground, "node-door", target, type="NodePort", ports=ports)
    host = ground.stage.get("nodes")["items"][0]["status"]["addresses"][0]["address"]
    until(lambda: neighbour.call(f"{host}:31081").startswith("401"), "the guard answers through it, and wants a key")
    assert neighbour.call(f"{host}:31080").startswith("no answer")


def test_t09_an_open_policy_beside_ours_opens_no_way_to_the_model(
    target: Endpoint, ground: Ground, stranger: Player
) -> None:
    with policy(ground, "wide-open", ingress=[{}], egress=[{}]):
        until(lambda: stranger.knock(target.address, GUARDS_PORTS) == GUARDS_PORTS, "policies add up")
        assert stranger.knock(target.address, LIKELY_PORTS) == GUARDS_PORTS
        assert is_locked(stranger, target)


@pytest.mark.needs("operator", "network")
def test_t10_an_edited_policy_is_put_back(endpoint: Endpoint, stranger: Player) -> None:
    before = endpoint.find("netpol")["spec"]
    wide = '{"spec": {"ingress": [{}], "egress": [{}]}}'
    endpoint.kubectl("patch", "netpol", endpoint.name, "--type=merge", "-p", wide)
    until(lambda: endpoint.find("netpol")["spec"] == before, "as it was", seconds=10)
    until(lambda: stranger.knock(endpoint.address, GUARDS_PORTS) == [], "shut again", seconds=10)
    until(lambda: any("NetworkPolicy" in text for text in endpoint.events("DriftRepaired")), "an event", seconds=10)


def test_t13_no_pod_is_older_than_its_policy(target: Endpoint) -> None:
    policy_made = target.find("netpol")["metadata"]["creationTimestamp"]
    assert policy_made <= target.pod()["metadata"]["creationTimestamp"]


@pytest.mark.alone("network")
def test_t15_a_network_that_ignores_policies_opens_no_way_to_the_model(
    endpoint: Endpoint, loopback: Endpoint, ground: Ground, stranger: Player
) -> None:
    """Both transports in one test, since everybody else waits for as long as there is no law."""
    with lawless(ground):
        for target in (endpoint, loopback):
            opened = partial(stranger.knock, target.address, GUARDS_PORTS)
            until(lambda opened=opened: opened() == GUARDS_PORTS, "policies are ignored")  # type: ignore[misc]
            assert stranger.scan(target.address) == GUARDS_PORTS
            assert is_locked(stranger, target)
            assert stranger.call(f"{target.address}:{names.GUARD_PORT}", "/control/release").startswith("404")


def test_t16_port_forward_finds_the_guard_and_not_a_socket(endpoint: Endpoint) -> None:
    with forwarded(endpoint, names.GUARD_PORT) as local:
        assert ask(local).startswith(b"HTTP/1.1 401")
    with forwarded(endpoint, MODELS_PORT) as local:
        assert ask(local) == b""


def test_t21_the_model_reaches_nothing(target: Endpoint, ground: Ground, neighbour: Player) -> None:
    api = ground.stage.get("svc", "kubernetes", "-n", "default")["spec"]["clusterIP"]
    peer = ground.stage.get("pod", neighbour.name, "-n", neighbour.namespace)["status"]["podIP"]
    dns = ground.stage.get("svc", "kube-dns", "-n", "kube-system")["spec"]["clusterIP"]
    for host, number in ((api, 443), (dns, 53), (peer, 22), ("169.254.169.254", 80)):
        connect = f"import socket; socket.create_connection(({host!r}, {number}), 0.5)"
        with pytest.raises(subprocess.CalledProcessError) as failed:
            target.kubectl("exec", target.pod()["metadata"]["name"], "-c", "model", "--", "python3", "-c", connect)
        assert "TimeoutError" in failed.value.stderr or "timed out" in failed.value.stderr, failed.value.stderr


def test_t23_status_and_metrics_say_nothing_of_keys_and_prompts(endpoint: Endpoint, ground: Ground) -> None:
    app = ground.client(endpoint)
    prompt = "a-prompt-that-nobody-else-writes"
    app.run("ask.py", prompt)
    metrics = ground.scraper().call(f"{endpoint.address}:{names.METRICS_PORT}", "/metrics", "--lines", "10000")
    log = endpoint.kubectl("logs", endpoint.pod()["metadata"]["name"], "-c", "bartizan-guard")
    secret = endpoint.key().partition(".")[2]
    for text in (metrics, log, str(endpoint.guard_status())):
        assert prompt not in text
        assert secret not in text


def port(number: int, target: int) -> dict[str, Any]:
    return {"name": f"p{number}", "port": number, "targetPort": target}


def insider(ground: Ground, name: str, target: Endpoint, **spec: Any) -> None:
    """A Service of somebody who may edit in the namespace, pointing at the endpoint's pods."""
    metadata = {"name": name, "namespace": ground.namespace}
    selector = {names.ENDPOINT_LABEL: target.name}
    ground.apply({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"selector": selector, **spec}})


@contextmanager
def policy(ground: Ground, name: str, **spec: Any) -> Iterator[None]:
    """A NetworkPolicy of an insider, for all pods of the namespace."""
    metadata = {"name": name, "namespace": ground.namespace}
    body = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"], **spec}
    ground.apply({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": body})
    try:
        yield
    finally:
        ground.kubectl("delete", "netpol", name)


@contextmanager
def lawless(ground: Ground) -> Iterator[None]:
    if not ground.stage.cluster.is_ours:
        pytest.skip("the network of a cluster that you brought is not ours to break")
    with company.alone(company.NETWORK):
        ground.stage.cluster.stop("enforcer")
        try:
            yield
        finally:
            ground.stage.cluster.start("enforcer")


@contextmanager
def forwarded(target: Endpoint, number: int) -> Iterator[int]:
    """A local port that kubectl forwards to that port of the pod."""
    command = [str(tool("kubectl")), f"--kubeconfig={target.stage.cluster.kubeconfig}", "port-forward"]
    command += ["-n", target.namespace, target.pod()["metadata"]["name"], f":{number}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout
        try:
            yield int(process.stdout.readline().partition("127.0.0.1:")[2].split(" ")[0])
        finally:
            process.kill()


def ask(local: int) -> bytes:
    """What comes back to a plain request; empty when the connection is closed without a word."""
    try:
        with socket.create_connection(("127.0.0.1", local), 5) as connection:
            connection.sendall(b"GET /v1/models HTTP/1.1\r\nHost: model\r\n\r\n")
            return connection.recv(100)
    except ConnectionError:
        return b""
