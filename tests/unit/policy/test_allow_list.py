"""The allow-list knows every field that Kubernetes has, and lets harmless templates pass whole."""

import time
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client
from tests.cluster.bad_manifests import HERE, load, place

from bartizan.policy import names
from bartizan.policy.identity import Identity
from bartizan.policy.model import ModelDeployment, Problem, Weakness
from bartizan.policy.parse import parse
from bartizan.policy.shapes import Record
from bartizan.policy.template import allow_list, arguments, pod, probe, security, volumes

IDENTITY = Identity("default", "tiny", "uid", "namespace-uid")
GOOD = sorted((HERE / "good").glob("*.yaml"))
FIRST = "spec.template.spec.containers[0]"


def judged(changes: dict[str, Any]) -> ModelDeployment | tuple[Problem, ...]:
    manifest = load(HERE / "base.yaml")
    for spot, value in changes.items():
        place(manifest, spot, value)
    return parse(manifest, IDENTITY)


def read(**changes: Any) -> ModelDeployment:
    """The base manifest with these spots changed."""
    result = judged(changes)
    assert isinstance(result, ModelDeployment), [str(problem) for problem in result]
    return result


@pytest.mark.parametrize(
    ("kind", "known"),
    [
        (client.V1PodSpec, pod.POD.fields),
        (client.V1Container, pod.CONTAINER.fields),
        (client.V1Container, pod.INIT_CONTAINER.fields),
        (client.V1Probe, probe.PROBE.fields),
        (client.V1PodSecurityContext, security.POD.fields),
        (client.V1SecurityContext, security.CONTAINER.fields),
        (client.V1Volume, {"name", *volumes.SOURCES}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_every_field_of_kubernetes_is_allowed_or_refused_by_name(kind: Any, known: Any) -> None:
    assert set(kind.attribute_map.values()) <= set(known)


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
def test_good_templates_pass_whole(path: Path) -> None:
    manifest = load(path)
    result = parse(manifest, Identity("default", manifest["metadata"]["name"], "uid", "namespace-uid"))
    assert isinstance(result, ModelDeployment), [str(problem) for problem in result]
    wish = manifest["spec"]["template"]
    assert result.spec.template.spec == wish["spec"]
    assert result.spec.template.labels == wish.get("metadata", {}).get("labels", {})
    assert result.spec.template.annotations == wish.get("metadata", {}).get("annotations", {})


OWN = f"{FIRST}.securityContext"
PODS = "spec.template.spec.securityContext"
UNCONFINED = {"type": "Unconfined"}
WEAK = [
    (OWN, {"runAsNonRoot": False}, "runAsNonRoot"),
    (OWN, {"readOnlyRootFilesystem": False}, "readOnlyRootFilesystem"),
    (OWN, {"allowPrivilegeEscalation": True}, "allowPrivilegeEscalation"),
    (OWN, {"seccompProfile": UNCONFINED}, "seccompProfile"),
    (OWN, {"appArmorProfile": UNCONFINED}, "appArmorProfile"),
    (OWN, {"capabilities": {"add": ["SETUID"]}}, "capabilities.add"),
    (PODS, {"runAsNonRoot": False}, "runAsNonRoot"),
    (PODS, {"seccompProfile": UNCONFINED}, "seccompProfile"),
]


@pytest.mark.parametrize(("holder", "context", "field"), WEAK)
def test_what_is_weaker_shows_with_field_and_container(holder: str, context: dict[str, Any], field: str) -> None:
    weaknesses = read(**{holder: context}).spec.template.weaknesses
    assert [(weakness.container, weakness.field) for weakness in weaknesses] == [("model", f"{holder}.{field}")]
    assert all(isinstance(weakness, Weakness) and weakness.why for weakness in weaknesses)


def test_root_in_so_many_words_is_two_weaknesses() -> None:
    template = read(**{f"{FIRST}.securityContext": {"runAsUser": 0, "runAsNonRoot": False}}).spec.template
    assert {weakness.why for weakness in template.weaknesses} == {"allows root", "runs as root"}


def test_a_containers_own_word_outweighs_the_pods() -> None:
    changes = {
        "spec.template.spec.securityContext": {"runAsNonRoot": False, "runAsUser": 0},
        f"{FIRST}.securityContext": {"runAsNonRoot": True, "runAsUser": 1000},
    }
    assert read(**changes).spec.template.weaknesses == ()


def test_the_restricted_profiles_own_capability_is_no_weakness() -> None:
    context = {"capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}}
    assert read(**{f"{FIRST}.securityContext": context}).spec.template.weaknesses == ()


def test_no_capability_reaches_beyond_the_container() -> None:
    beyond = {"SYS_ADMIN", "NET_ADMIN", "NET_RAW", "SYS_PTRACE", "DAC_READ_SEARCH", "SYS_MODULE", "BPF", "SYS_RAWIO"}
    assert not beyond & set(security.CAPABILITIES)


@pytest.mark.parametrize("uid", [names.GUARD_UID])
def test_nobody_else_runs_as_the_guard(uid: int) -> None:
    manifest = load(HERE / "base.yaml")
    place(manifest, "spec.template.spec.initContainers", [{"name": "a", "image": "x"}])
    place(manifest, "spec.template.spec.initContainers[0].securityContext", {"runAsUser": uid})
    assert isinstance(parse(manifest, IDENTITY), tuple)


def test_the_weight_is_about_the_size_and_takes_any_depth() -> None:
    deep: Any = "x"
    for _ in range(100_000):
        deep = [deep]
    assert allow_list.weigh(deep) > allow_list.MOST_BYTES
    assert allow_list.weigh({"a": "b" * 100, "c": [1, True]}) < 200


def test_dangerous_variables_may_be_switched_off() -> None:
    off = [{"name": "VLLM_SERVER_DEV_MODE", "value": "0"}]
    assert read(**{f"{FIRST}.env": off}).spec.template.spec["containers"][0]["env"] == off


@pytest.mark.parametrize(
    "command",
    [
        ["llama-server", "--host", "/run/model/model.sock"],
        ["gunicorn", "--bind=unix:/run/model/model.sock", "app"],
        ["gunicorn", "--bind", "unix:///run/model/model.sock"],
        ["sh", "-c", "exec vllm serve m --uds '/run/model/model.sock'"],
        ["serve", "--host", "$(HOST)"],
        ["tritonserver", "--model-control-mode=none"],
        ["vllm", "serve", "m", "--enable-auto-tool-choice"],
    ],
    ids=" ".join,
)
def test_commands_that_agree_with_the_socket_pass(command: list[str]) -> None:
    assert read(**{f"{FIRST}.command": command}).spec.template.spec["containers"][0]["command"] == command


def test_a_flag_may_stand_in_the_command_and_its_value_in_the_arguments() -> None:
    changes = {f"{FIRST}.command": ["serve", "--uds"], f"{FIRST}.args": ["/run/model/model.sock"]}
    assert read(**changes).spec.serving.container == "model"


@pytest.mark.parametrize(
    "command",
    [
        ["serve", "--host=127.0.0.1", "--port", "8000"],
        ["ollama", "--host", "127.0.0.1:8000"],
        ["gunicorn", "-b", "127.0.0.1:8000", "app"],
        ["llama-server", "-b", "2048", "--host", "localhost"],
        ["serve", "--host", "$(HERE)", "--port=$(PORT)"],
        ["sh", "-c", "serve $LISTEN"],
        ["env", "UVICORN_HOST=127.0.0.1", "uvicorn", "app"],
    ],
    ids=" ".join,
)
def test_commands_that_agree_with_loopback_pass(command: list[str]) -> None:
    variables = {"HERE": "127.0.0.1", "PORT": "8000", "LISTEN": "--host $(HERE) --port $(PORT)"}
    env = [{"name": name, "value": value} for name, value in variables.items()]
    spec = read(**LOOPBACK, **{f"{FIRST}.command": command, f"{FIRST}.env": env}).spec
    assert spec.serving.port == 8000
    assert spec.template.weaknesses == ()


LOOPBACK = {"spec.serving": {"transport": "Loopback", "port": 8000}}


def test_a_server_that_names_no_address_is_a_weakness() -> None:
    found = read(**LOOPBACK, **{f"{FIRST}.command": ["serve", "--port", "8000"]}).spec.template.weaknesses
    assert found == (Weakness("model", f"{FIRST}.command", arguments.NO_ADDRESS),)
    by_variable = [{"name": "OLLAMA_HOST", "value": "127.0.0.1:8000"}]
    assert (
        read(**LOOPBACK, **{f"{FIRST}.command": ["ollama"], f"{FIRST}.env": by_variable}).spec.template.weaknesses == ()
    )


@pytest.mark.parametrize("host", ["$(HOST)", "$HOST", "$$0", "$(HOST):8000"])
def test_an_address_that_cannot_be_read_is_a_weakness(host: str) -> None:
    found = read(**LOOPBACK, **{f"{FIRST}.command": ["serve", "--host", host]}).spec.template.weaknesses
    assert found == (Weakness("model", f"{FIRST}.command[1]", arguments.UNREAD_ADDRESS),)


def test_t79_variables_of_variables_do_not_grow_without_end() -> None:
    env = [{"name": "A0", "value": "--host "}]
    env += [{"name": f"A{number}", "value": f"$(A{number - 1})" * 9} for number in range(1, 200)]
    began = time.process_time()
    judged({f"{FIRST}.env": env, f"{FIRST}.args": ["$(A2) $(A3) $(A150) " * 700]})
    assert time.process_time() - began < 2.0


def test_tables_hold_judges_only() -> None:
    assert isinstance(pod.POD, Record)
    assert all(callable(judge) for table in (pod.POD, pod.CONTAINER, security.POD) for judge in table.fields.values())
