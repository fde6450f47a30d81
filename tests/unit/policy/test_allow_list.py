"""The allow-list knows every field that Kubernetes has, and lets harmless templates pass whole."""

from pathlib import Path
from typing import Any

import pytest
from kubernetes import client
from tests.cluster.bad_manifests import HERE, load, place

from bartizan.policy import names
from bartizan.policy.model import Identity, ModelDeployment, Weakness
from bartizan.policy.parse import parse
from bartizan.policy.shapes import Record
from bartizan.policy.template import allow_list, pod, probe, security, volumes

IDENTITY = Identity("default", "tiny", "uid", "namespace-uid")
GOOD = sorted((HERE / "good").glob("*.yaml"))
FIRST = "spec.template.spec.containers[0]"


def read(**changes: Any) -> ModelDeployment:
    """The base manifest with these spots changed."""
    manifest = load(HERE / "base.yaml")
    for spot, value in changes.items():
        place(manifest, spot, value)
    result = parse(manifest, IDENTITY)
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
    [["serve"], ["serve", "--host=127.0.0.1", "--port", "8000"], ["ollama", "--host", "127.0.0.1:8000"]],
    ids=" ".join,
)
def test_commands_that_agree_with_loopback_pass(command: list[str]) -> None:
    changes = {"spec.serving": {"transport": "Loopback", "port": 8000}, f"{FIRST}.command": command}
    assert read(**changes).spec.serving.port == 8000


def test_tables_hold_judges_only() -> None:
    assert isinstance(pod.POD, Record)
    assert all(callable(judge) for table in (pod.POD, pod.CONTAINER, security.POD) for judge in table.fields.values())
