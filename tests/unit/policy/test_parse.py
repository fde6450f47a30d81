"""Parsing is closed on its own: any JSON at all gives a value or problems, and what is absent means the default."""

import copy
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.cluster.bad_manifests import HERE, cases, load

from bartizan.policy.identity import Identity
from bartizan.policy.limits import Scope
from bartizan.policy.model import (
    AccessFrom,
    Client,
    Limits,
    ModelDeployment,
    NamespaceScope,
    Problem,
    RequestCaps,
    RequestLimit,
    Serving,
    Strategy,
    TokenLimit,
    Transport,
)
from bartizan.policy.nodes import ABSENT
from bartizan.policy.parse import parse
from bartizan.policy.template import pod
from bartizan.policy.tokens import ExcessOutput, Kind

EXAMPLES = Path(__file__).parents[3] / "manifests" / "examples"
IDENTITY = Identity("default", "tiny", "uid", "namespace-uid")
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.binary()
    | st.sampled_from(
        ["UnixSocket", "Loopback", "1m", "10.0.0.0/8", "a", "/run/a/b.sock", "\ud800", "\x00", "9" * 5000]
    )
)
KEYS = (
    st.text() | st.integers() | st.sampled_from(sorted(pod.POD.fields)) | st.sampled_from(sorted(pod.CONTAINER.fields))
)
ANYTHING = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner), max_leaves=20)


def base() -> Any:
    return load(HERE / "base.yaml")


def accepted(manifest: Any) -> ModelDeployment:
    result = parse(manifest, IDENTITY)
    assert isinstance(result, ModelDeployment), [str(problem) for problem in result]
    return result


def test_what_is_absent_has_its_closed_default() -> None:
    spec = accepted(base()).spec
    assert spec.replicas == 1
    assert spec.serving == Serving(Transport.UNIX_SOCKET, "model", socket_path="/run/model/model.sock")
    assert spec.access_from == AccessFrom(NamespaceScope.SAME)
    assert spec.clients == ()
    assert spec.limits == Limits(
        (RequestLimit(60, 60),),
        (TokenLimit(Kind.TOTAL, 1_000_000, 3600),),
        RequestCaps(32_000, 4_000, ExcessOutput.CLAMP, 0, 600),
        concurrent=8,
        concurrent_per_client=4,
    )
    assert spec.egress == ()
    assert spec.strategy == Strategy()


def test_null_means_absent() -> None:
    manifest = base()
    plain = accepted(manifest)
    manifest["spec"] |= dict.fromkeys(("replicas", "serving", "access", "limits", "network", "strategy", "audit"))
    manifest["spec"]["template"]["metadata"] = {"creationTimestamp": None}
    manifest["spec"]["template"]["spec"]["hostNetwork"] = None
    assert accepted(manifest) == plain


def test_reads_what_is_said() -> None:
    manifest = base()
    manifest["spec"] |= {
        "replicas": 0,
        "access": {
            "from": {"namespaces": "All", "ipBlocks": ["10.0.0.0/16"]},
            "clients": [{"name": "b", "keyEpoch": 7}, {"name": "a"}],
        },
        "limits": {
            "requests": [
                {"limit": 5, "window": "2h"},
                {"limit": 9, "window": "1d"},
                {"limit": 4, "window": "1d", "scope": "Endpoint"},
            ],
            "tokens": [{"type": "Output", "limit": 7, "window": "1m"}],
            "maxInputTokens": 1,
            "maxOutputTokens": 2,
            "excessOutput": "Reject",
            "promptOverheadTokens": 3,
            "maxStreamSeconds": 4,
            "concurrent": 2,
        },
        "strategy": {"rollingUpdate": {"maxSurge": "25%", "maxUnavailable": 0}},
    }
    spec = accepted(manifest).spec
    assert spec.replicas == 0
    assert spec.access_from == AccessFrom(NamespaceScope.ALL, ip_blocks=("10.0.0.0/16",))
    assert spec.clients == (Client("a", 1), Client("b", 7))
    requests = (RequestLimit(5, 7200), RequestLimit(9, 86_400), RequestLimit(4, 86_400, Scope.ENDPOINT))
    tokens = (TokenLimit(Kind.OUTPUT, 7, 60),)
    assert spec.limits == Limits(requests, tokens, RequestCaps(1, 2, ExcessOutput.REJECT, 3, 4), 2, 2)
    assert spec.strategy == Strategy("RollingUpdate", "25%", 0)


def test_all_problems_come_together() -> None:
    manifest = base()
    manifest["spec"] |= {"replicas": -1, "limits": {"concurrent": 0}, "serving": {"transport": "Loopback"}}
    manifest["spec"]["template"]["spec"]["hostPID"] = True
    result = parse(manifest, IDENTITY)
    assert isinstance(result, tuple)
    assert {problem.path for problem in result} >= {
        "spec.replicas",
        "spec.limits.concurrent",
        "spec.serving.port",
        "spec.template.spec.hostPID",
    }


def test_a_manifest_of_another_kind_is_refused() -> None:
    result = parse({**base(), "apiVersion": "serving.example.com/v1", "kind": "InferenceService", "data": {}}, IDENTITY)
    assert isinstance(result, tuple)
    assert {problem.path for problem in result} == {"apiVersion", "kind", "data"}


def test_the_value_shares_nothing_with_the_manifest() -> None:
    manifest = base()
    result = accepted(manifest)
    before = copy.deepcopy(result)
    manifest["spec"]["template"]["spec"]["containers"][0]["command"].append("--host=0.0.0.0")
    manifest["spec"]["template"]["spec"]["hostNetwork"] = True
    assert result == before


def test_a_template_beyond_its_bound_is_refused_before_it_is_read() -> None:
    manifest = base()
    manifest["spec"]["template"]["metadata"] = {"annotations": {f"a{number}": "x" * 1000 for number in range(66)}}
    result = parse(manifest, IDENTITY)
    assert result == (Problem("spec.template", "has more than 65536 bytes; move data to a ConfigMap or a volume"),)


def test_a_template_that_holds_itself_is_refused() -> None:
    manifest = base()
    manifest["spec"]["template"]["spec"]["affinity"] = manifest["spec"]["template"]
    assert isinstance(parse(manifest, IDENTITY), tuple)


@pytest.mark.parametrize(
    "hostile",
    [
        {"spec": {f"container{number}": 1 for number in range(4000)}},
        {"spec": {"containers": [{"name": "model", "image": "x", "env": [{f"n{n}": 1} for n in range(250)]}] * 16}},
        {"spec": {"containers": [{"command": ["--host x " * 1800] * 4, "name": "model"}]}},
        {"metadata": {"annotations": {f"{number}.{'a-' * 20}/x": "" for number in range(900)}}, "spec": {}},
        {"spec": {"volumes": [{"name": "a", "x": 1}] * 2500}},
    ],
    ids=range(5),
)
def test_t79_a_hostile_template_costs_little_and_says_little(hostile: Any) -> None:
    manifest = base()
    manifest["spec"]["template"] = hostile
    began = time.process_time()
    result = parse(manifest, IDENTITY)
    assert time.process_time() - began < 2.0
    assert isinstance(result, tuple)
    assert len(result) <= 101
    assert sum(len(str(problem)) for problem in result) < 32_768


def test_variables_values_never_show_in_problems() -> None:
    manifest = base()
    container = manifest["spec"]["template"]["spec"]["containers"][0]
    container["env"] = [{"name": "TOKEN", "value": "hunter2\x00"}, {"name": "VLLM_API_KEY", "value": "hunter2"}]
    container["command"] = ["serve", "hunter2\x00"]
    result = parse(manifest, IDENTITY)
    assert isinstance(result, tuple)
    assert len(result) == 3
    assert "hunter2" not in " ".join(map(str, result))


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.stem)
def test_examples_are_accepted(path: Path) -> None:
    found = [manifest for manifest in yaml.safe_load_all(path.read_text()) if manifest["kind"] == "ModelDeployment"]
    assert found
    for manifest in found:
        assert isinstance(parse(manifest, Identity("default", manifest["metadata"]["name"], "u", "n")), ModelDeployment)


def spots(value: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place of a manifest."""
    yield way
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield from spots(child, (*way, key))


def put(manifest: Any, way: tuple[Any, ...], value: Any) -> Any:
    if not way:
        return value
    changed = copy.deepcopy(manifest)
    target = changed
    for step in way[:-1]:
        target = target[step]
    target[way[-1]] = value
    return changed


SEEDS = [case.manifest for case in cases()] + [
    manifest
    for path in sorted(EXAMPLES.glob("*.yaml"))
    for manifest in yaml.safe_load_all(path.read_text())
    if manifest["kind"] == "ModelDeployment"
]


@given(ANYTHING)
def test_no_spec_raises(spec: Any) -> None:
    result = parse({"spec": spec}, IDENTITY)
    assert isinstance(result, tuple)
    assert result


@settings(max_examples=400)
@given(st.data())
def test_no_change_of_any_manifest_raises(data: st.DataObject) -> None:
    seed = data.draw(st.sampled_from(SEEDS))
    way = data.draw(st.sampled_from(sorted(spots(seed), key=str)))
    result = parse(put(seed, way, data.draw(ANYTHING)), IDENTITY)
    if isinstance(result, ModelDeployment):
        assert is_plain(result.spec.template.spec)
    else:
        assert result
        assert all(problem.message and "\n" not in str(problem) for problem in result)


def is_plain(value: Any) -> bool:
    """JSON and nothing else, with no hole left by a refusal."""
    if isinstance(value, dict):
        return all(isinstance(name, str) and is_plain(item) for name, item in value.items())
    if isinstance(value, list):
        return all(is_plain(item) for item in value)
    return isinstance(value, str | int | bool) and value is not ABSENT
