"""Models as they come: on a loopback port, as root, slow to start, with every kind of probe, with a tokenizer."""

from pathlib import Path

import pytest
from tests.e2e.endpoint import CONTAINER, LOOPBACK, SPEC, is_ready, restarts, until
from tests.e2e.ground import Ground
from tests.unit.guard import tokenizers_made

pytestmark = [pytest.mark.node, pytest.mark.needs("operator")]

PORT = 8000
SLOW = "import runpy, sys, time; time.sleep(6); runpy.run_module('modelserver', run_name='__main__')"


def test_a_model_on_a_loopback_port_is_probed_and_answers(ground: Ground) -> None:
    probes = {
        "startupProbe": {"tcpSocket": {"port": PORT}, "periodSeconds": 1, "failureThreshold": 30},
        "readinessProbe": {"httpGet": {"path": "/health", "port": PORT}, "periodSeconds": 1},
        "livenessProbe": {"httpGet": {"path": "/health", "port": PORT}, "periodSeconds": 2},
    }
    serving = {"transport": "Loopback", "port": PORT}
    endpoint = ground.endpoint("loopback", container={"command": LOOPBACK, **probes}, serving=serving).wait()
    (model,) = endpoint.pod()["spec"]["containers"]
    assert all("launcher" in model[name]["exec"]["command"][0] for name in probes)
    assert "answer: hello" in ground.client(endpoint).run("ask.py", "hello")


def test_a_model_that_runs_as_root_serves_and_is_shown_as_weaker(ground: Ground) -> None:
    root = {"securityContext": {"runAsUser": 0, "runAsNonRoot": False}}
    endpoint = ground.endpoint("root", container=root).wait()
    hardened = endpoint.condition("Hardened")
    assert hardened["status"] == "False"
    assert "runAsUser" in hardened["message"]
    assert "answer: hello" in ground.client(endpoint).run("ask.py", "hello")


def test_a_model_that_starts_slowly_is_waited_for_and_not_restarted(ground: Ground) -> None:
    arguments = ["--socket", "/run/model/model.sock", "--model", "demo", "--log", "-"]
    container = {
        "command": ["python3", "-c", SLOW, *arguments],
        "startupProbe": {"httpGet": {"path": "/health", "port": PORT}, "periodSeconds": 1, "failureThreshold": 60},
        "livenessProbe": {"httpGet": {"path": "/health", "port": PORT}, "periodSeconds": 1, "failureThreshold": 2},
    }
    endpoint = ground.endpoint("slow", container=container)
    until(lambda: endpoint.pods() and endpoint.pod()["status"].get("podIP"), "a pod")
    until(lambda: endpoint.guard_status().get("reason") == "SocketAbsent", "the guard waits for the socket")
    assert not is_ready(endpoint.pod())
    endpoint.wait()
    assert restarts(endpoint.pod(), "model") == 0
    assert restarts(endpoint.pod(), "bartizan-guard") == 0


def test_a_models_tokenizer_counts_what_bytes_do_not_decide(ground: Ground, tmp_path: Path) -> None:
    words = tokenizers_made.words(tmp_path / "tokenizer.json").read_text()
    volume = {"name": "words", "configMap": {"name": "words"}}
    ground.apply(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "words"}, "data": {"words.json": words}}
    )
    template = {"spec": {"volumes": [volume], "containers": [CONTAINER | {"image": ground.stage.images.model}]}}
    limits = SPEC["limits"] | {"maxInputTokens": 60, "tokenizer": {"volume": "words", "path": "words.json"}}
    endpoint = ground.endpoint("counted", template=template, limits=limits).wait("Ready", "InSync", "LimitsExact")
    client = ground.client(endpoint)
    assert "answer: a a a" in client.run("ask.py", tokenizers_made.said(50)), "more bytes than tokens"
    assert "BadRequestError 400" in client.run("ask.py", tokenizers_made.said(52)), "61 tokens: 52, a role and 8"
