"""Whatever template is accepted, the pod that comes of it holds the gate: invariants over templates bent by chance.

A template that passes is bent again and again; what the parser accepts stays bent. So many harmless wishes stand
together, and each hostile one meets many a surrounding.
"""

import copy
import json
import posixpath
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.cluster.bad_manifests import HERE, load

from bartizan.controller.builders import guard_container, hooks, pod_template
from bartizan.controller.builders.surroundings import Surroundings
from bartizan.policy import grace, names
from bartizan.policy.identity import Identity
from bartizan.policy.model import ModelDeployment
from bartizan.policy.parse import parse

IDENTITY = Identity("ml", "tiny", "uid-1", "namespace-uid-1")
SURROUNDINGS = Surroundings("guard:1", "IfNotPresent", "bartizan-system", {"a": "b"}, None, {}, "kube-system", {})
SEEDS = [load(HERE / "base.yaml"), *(load(path) for path in sorted((HERE / "good").glob("*.yaml")))]
OURS = ("bartizan-guard",)
HARMLESS_VOLUMES = {"emptyDir", "configMap", "secret", "persistentVolumeClaim", "downwardAPI", "ephemeral", "projected"}
# fmt: off
HARMLESS_CAPABILITIES = {
    "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID",
    "IPC_LOCK", "KILL", "NET_BIND_SERVICE", "SETGID", "SETUID",
}

NAMES = ["bartizan-bin", "bartizan-document", "bartizan-socket", "bartizan-state", "bartizan-guard",
         "bartizan", "Bartizan-bin", "bartizan-tmp-model",
         "models", "scratch", "model", "server", "guard", "x" * 63, "ｂartizan-bin",
         "a", "b", "c", "d", "e"]
PATHS = ["/a", "/b/c", "/d/e/", "/",
         "/run", "/run/model", "/run/model/", "/run/model/x", "/run/model/model.sock", "//run/model",
         "/run/./model", "/var/run/wide/a", "/var/run", "/tmp", "/tmp/x", "/bartizan", "/bartizan/bin",
         "/bartizan/bin/launcher",
         "/bartizan/./bin", "/bartizan//bin", "/x/../bartizan/bin", "/run/bartizan", "/run/bartizan/document", "/proc",
         "/proc/self", "/sys", "/dev", "/dev/shm", "/var/cache/model", "/var/cache", "/models", "$(X)", "/a:b"]
SECRETS = ["tiny.guard.bartizan", "tiny.chat-ui", "other.guard.bartizan", "other.chat-ui", "bartizan-root", "plain"]
WORDS = [*NAMES, *PATHS, *SECRETS, "", "--", "run", "--socket", "$(HOME)", "a\nb", "\x00", "\u202e", "64001", "true",
         "Always", "Unconfined", "Localhost", "Bidirectional", "HostToContainer", "Host", "None",
         "bartizan.dev/endpoint",
         "SYS_ADMIN", "NET_ADMIN", "SYS_PTRACE", "ALL", "KILL", "SETUID", "CAP_KILL", "TCP", "Memory"]
NUMBERS = [0, 1, -1, 64000, 64002, names.GUARD_UID, float(names.GUARD_UID), str(names.GUARD_UID), 2**31, 2**64, 1e300]
SECURITY = [{"runAsUser": names.GUARD_UID}, {"runAsUser": 0, "runAsNonRoot": False}, {"privileged": True},
            {"capabilities": {"add": ["KILL", "SETUID"], "drop": ["ALL"]}}, {"capabilities": {"drop": []}},
            {"runAsGroup": names.GUARD_UID, "allowPrivilegeEscalation": True}, {"procMount": "Unmasked"},
            {"fsGroup": names.GUARD_UID, "supplementalGroups": [0, names.GUARD_UID]}, {"supplementalGroups": [0]},
            {"appArmorProfile": {"type": "Unconfined"}}, {"seLinuxOptions": {"type": "container_engine_t"}},
            {"appArmorProfile": {"type": "Localhost", "localhostProfile": "x"}}, {"seLinuxOptions": {"user": "root"}},
            {"seccompProfile": {"type": "Unconfined"}, "runAsNonRoot": False}, {"fsGroup": 0, "runAsGroup": 0}]
SOURCES: list[dict[str, Any]] = [
           {"emptyDir": {}}, {"secret": {"secretName": "tiny.guard.bartizan"}}, {"hostPath": {"path": "/"}},
           {"projected": {"sources": [{"secret": {"name": "tiny.guard.bartizan"}}]}}, {"csi": {"driver": "d"}},
           {"projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}},
           {"persistentVolumeClaim": {"claimName": "p"}},
           {"secret": {"secretName": "plain", "name": "tiny.guard.bartizan"}}]
ENVIRONMENT: list[dict[str, Any]] = []
ENVIRONMENT += [{"name": name, "value": "/run/model"} for name in ("PATH", "LD_PRELOAD", "PYTHONPATH", "BARTIZAN_X")]
ENVIRONMENT += [{"name": "KEY", "valueFrom": {"secretKeyRef": {"name": name, "key": "document.jws"}}}
                for name in SECRETS]

word, path = st.sampled_from(WORDS), st.sampled_from(PATHS)
mount = st.fixed_dictionaries(
    {"name": st.sampled_from(NAMES), "mountPath": path},
    optional={"subPath": word, "readOnly": st.booleans(), "mountPropagation": word, "subPathExpr": word},
)
probe = st.fixed_dictionaries({}, optional={
    "exec": st.fixed_dictionaries({"command": st.lists(word, max_size=3)}),
    "httpGet": st.fixed_dictionaries(
        {"port": st.sampled_from([8080, 8000, "http"]), "path": path}, optional={"host": word}),
    "tcpSocket": st.just({"port": 8081}),
})
container = st.fixed_dictionaries({"name": st.sampled_from(NAMES), "image": st.just("x:1")}, optional={
    "command": st.lists(word, max_size=4), "args": st.lists(word, max_size=4),
    "volumeMounts": st.lists(mount, max_size=3), "securityContext": st.sampled_from(SECURITY),
    "restartPolicy": word, "env": st.lists(st.sampled_from(ENVIRONMENT), max_size=2), "livenessProbe": probe,
    "ports": st.just([{"containerPort": 8080}]), "lifecycle": st.just({"preStop": {"exec": {"command": ["x"]}}}),
})
volume = st.builds(lambda name, source: {"name": name, **source}, st.sampled_from(NAMES), st.sampled_from(SOURCES))
anything = st.one_of(
    word, path, st.sampled_from(NUMBERS), st.booleans(), st.none(), mount, container, volume, probe,
    st.sampled_from(SECURITY), st.lists(st.one_of(mount, container, volume, word), max_size=3),
    st.sampled_from([{}, [], [{}], {"name": "x"}]),
)
FIELDS = ["securityContext", "volumeMounts", "volumes", "initContainers", "containers", "env", "envFrom", "command",
          "args", "hostNetwork", "hostPID", "shareProcessNamespace", "serviceAccountName",
          "automountServiceAccountToken",
          "hostUsers", "runtimeClassName", "nodeName", "dnsConfig", "hostAliases", "terminationGracePeriodSeconds",
          "metadata", "labels", "annotations", "socketPath", "transport", "port", "container", "readinessProbe"]
# fmt: on


def spots(value: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in the template and in `serving` where something may be set, or added under a name or at an end."""
    if isinstance(value, dict):
        for key in [*value, *(field for field in FIELDS if field not in value)]:
            yield (*way, key)
            yield from spots(value.get(key), (*way, key))
    elif isinstance(value, list):
        for index in range(len(value) + 1):
            yield (*way, index)
            yield from spots(value[index] if index < len(value) else None, (*way, index))


FITTING: dict[str, st.SearchStrategy[Any]] = {
    "volumeMounts": mount,
    "volumes": volume,
    "containers": container,
    "initContainers": container,
    "env": st.sampled_from(ENVIRONMENT),
    "command": word,
    "args": word,
}


def value_for(way: tuple[Any, ...]) -> st.SearchStrategy[Any]:
    """Mostly something of the kind that belongs there, now and then anything at all."""
    if way[-1] in FITTING:
        return st.one_of(st.lists(FITTING[way[-1]], max_size=3), anything)
    if way[-1] == "securityContext":
        return st.sampled_from(SECURITY)
    return st.one_of(FITTING.get(way[-2], anything), anything) if len(way) > 1 else anything


def is_aim(way: tuple[Any, ...]) -> bool:
    """Where a pod or a container really has such a field."""
    field = way[:-1] if isinstance(way[-1], int) else way
    owner = field[-3:-2] if len(field) > 4 else ()
    is_of_pod = field[:-1] == ("template", "spec")
    return field[-1] in (*FITTING, "securityContext") and (is_of_pod or owner in (("containers",), ("initContainers",)))


def bent(spec: dict[str, Any], data: st.DataObject) -> dict[str, Any]:
    changed = copy.deepcopy(spec)
    places = [way for way in spots(changed) if way[0] in ("template", "serving") and len(way) > 1]
    aims = [way for way in places if is_aim(way)]
    chosen = data.draw(st.sampled_from(data.draw(st.sampled_from([places, aims, aims]))))
    value = data.draw(value_for(chosen))
    *way, last = chosen
    target: Any = changed
    for step in way:
        target = target.setdefault(step, {}) if isinstance(target, dict) else target[step]
    if isinstance(target, list):
        target[last : last + 1] = [value]
    else:
        target[last] = value
    return changed


def read(spec: dict[str, Any]) -> ModelDeployment | None:
    manifest = {"apiVersion": names.API_VERSION, "kind": names.KIND, "metadata": {"name": "tiny"}, "spec": spec}
    result = parse(manifest, IDENTITY)
    return result if isinstance(result, ModelDeployment) else None


def render(deployment: ModelDeployment) -> dict[str, Any]:
    return pod_template.build(deployment, SURROUNDINGS, document_key="key", not_before=7)


@settings(max_examples=80, suppress_health_check=list(HealthCheck))
@given(seed=st.sampled_from(SEEDS), data=st.data())
def test_whatever_is_accepted_the_gate_holds(seed: dict[str, Any], data: st.DataObject) -> None:
    spec = {"serving": {}, **copy.deepcopy(seed["spec"])}
    for _ in range(data.draw(st.integers(1, 25))):
        candidate = bent(spec, data)
        if read(candidate) is not None:
            spec = candidate
    accepted = read(spec)
    assert accepted is not None
    hold(accepted, render(accepted))


@pytest.mark.parametrize("seed", SEEDS, ids=lambda seed: str(seed["metadata"]["name"]))
def test_the_seeds_hold_too(seed: dict[str, Any]) -> None:
    accepted = read(seed["spec"])
    assert accepted is not None
    hold(accepted, render(accepted))


@pytest.mark.parametrize("seed", SEEDS, ids=lambda seed: str(seed["metadata"]["name"]))
def test_every_hostile_wish_alone_is_refused_or_harmless(seed: dict[str, Any]) -> None:
    accepted = 0
    for change in wishes(seed["spec"]["template"]["spec"]):
        spec = copy.deepcopy(seed["spec"])
        spec["template"]["spec"] |= change
        deployment = read(spec)
        if deployment is not None:
            accepted += 1
            hold(deployment, render(deployment))
    assert accepted > 10


def wishes(pod: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Each hostile thing at each place of the pod's spec where such things stand, as a change of its fields."""
    volumes = pod.get("volumes", [])
    for name in NAMES:
        for group in ("initContainers", "containers"):
            yield {group: [*pod.get(group, []), {"name": name, "image": "x"}]}
        for source in SOURCES:
            yield {"volumes": [*volumes, {"name": name, **source}]}
    for field in FIELDS:
        yield from ({field: value} for value in (True, "x", names.GUARD_UID, *SECURITY))
    more = {"volumes": [*volumes, {"name": "more", "emptyDir": {}}]}
    for group in ("initContainers", "containers"):
        for index, item in enumerate(pod.get(group, [])):
            for change in _of_a_container(item):
                yield {**more, group: [*pod[group][:index], {**item, **change}, *pod[group][index + 1 :]]}


def _of_a_container(item: dict[str, Any]) -> Iterator[dict[str, Any]]:
    mounts = item.get("volumeMounts", [])
    for place in PATHS:
        yield {"volumeMounts": [*mounts, {"name": "more", "mountPath": place}]}
        yield {"volumeMounts": [*mounts, {"name": "more", "mountPath": "/more", "subPath": place}]}
    for name in NAMES:
        yield {"volumeMounts": [*mounts, {"name": name, "mountPath": "/more"}]}
        yield {"name": name}
    yield from ({"securityContext": context} for context in SECURITY)
    yield from ({"env": [*item.get("env", []), variable]} for variable in ENVIRONMENT)


def hold(deployment: ModelDeployment, template: dict[str, Any]) -> None:
    """Every invariant, over the whole pod."""
    spec = template["spec"]
    theirs = [*spec["initContainers"][1:], *spec["containers"]]
    _hold_our_containers(deployment, spec)
    _hold_the_guards_confinement(spec)
    _hold_our_volumes(spec)
    _hold_the_pod(template)
    for item in theirs:
        _hold_a_container(item, spec["securityContext"])
        _hold_its_mounts(item, deployment)
    json.dumps(template, allow_nan=False).encode("utf-8")


def _hold_our_containers(deployment: ModelDeployment, spec: dict[str, Any]) -> None:
    wish = deployment.spec.template.spec.get("terminationGracePeriodSeconds")
    ending = grace.choose(deployment.spec.limits.caps.max_stream_seconds, wish)
    arguments = guard_container.arguments(deployment, ending, document_key="key", not_before=7)
    assert spec["initContainers"][0] == guard_container.guard(deployment, SURROUNDINGS, arguments=arguments)
    assert not any("$(" in argument for argument in arguments)
    everyone = [*spec["initContainers"], *spec["containers"]]
    found = [item["name"] for item in everyone]
    assert len(set(found)) == len(found)
    assert [name for name in found if name.startswith("bartizan")] == list(OURS)
    assert [item["name"] for item in everyone if "restartPolicy" in item] == ["bartizan-guard"]
    assert [item["name"] for item in everyone if "ports" in item] == ["bartizan-guard"]


def _hold_the_guards_confinement(spec: dict[str, Any]) -> None:
    """The restricted profile, by what the guard says and by what it would inherit from the pod."""
    pod, own = spec["securityContext"], spec["initContainers"][0]["securityContext"]
    context = {**pod, **own}
    assert (context["runAsUser"], context["runAsGroup"]) == (names.GUARD_UID, names.GUARD_UID)
    assert (context["runAsNonRoot"], context["privileged"], context["allowPrivilegeEscalation"]) == (True, False, False)
    assert context["capabilities"] == {"drop": ["ALL"]}
    assert context["readOnlyRootFilesystem"] is True
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert context.get("appArmorProfile", {"type": "RuntimeDefault"}) == {"type": "RuntimeDefault"}
    assert not context.get("seLinuxOptions", {}).keys() - {"level"}
    assert not {0, names.GUARD_UID} & {context["fsGroup"], *context.get("supplementalGroups", ())}
    assert "sysctls" not in context


def _hold_our_volumes(spec: dict[str, Any]) -> None:
    found = [item["name"] for item in spec["volumes"]]
    assert len(set(found)) == len(found)
    by_name = {item["name"]: item for item in spec["volumes"]}
    assert by_name["bartizan-bin"] == {"name": "bartizan-bin", "emptyDir": {"sizeLimit": "32Mi"}}
    assert by_name["bartizan-state"] == {"name": "bartizan-state", "emptyDir": {"sizeLimit": "1Mi"}}
    assert by_name["bartizan-document"]["secret"]["secretName"] == "tiny.guard.bartizan"
    for item in spec["volumes"]:
        assert len(item.keys() - {"name"} & HARMLESS_VOLUMES) == len(item) - 1 == 1
        text = json.dumps(item)
        assert "serviceAccountToken" not in text
        assert item["name"] == "bartizan-document" or "guard.bartizan" not in text
        assert '"secretName": "tiny.' not in text or item["name"] == "bartizan-document"


def _hold_the_pod(template: dict[str, Any]) -> None:
    spec = template["spec"]
    for field in ("hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace", "automountServiceAccountToken"):
        assert spec[field] is False
    assert (spec["serviceAccountName"], spec["dnsPolicy"], spec["restartPolicy"]) == ("tiny", "ClusterFirst", "Always")
    shut = {"nodeName", "dnsConfig", "ephemeralContainers", "serviceAccount", "resourceClaims", "hostname"}
    assert not spec.keys() & shut
    assert "sysctls" not in spec["securityContext"]
    assert template["metadata"]["labels"].items() >= names.managed_labels("tiny", "uid-1").items()
    assert not [key for key in template["metadata"]["annotations"] if "cni" in key or "bartizan" in key]


def _hold_a_container(item: dict[str, Any], pod: dict[str, Any]) -> None:
    context = item["securityContext"]
    user = context.get("runAsUser", pod["runAsUser"])
    assert type(user) is int
    assert user != names.GUARD_UID
    assert user != 0 or context.get("runAsNonRoot", pod["runAsNonRoot"]) is False
    assert context["privileged"] is False
    assert context.get("procMount", "Default") == "Default"
    assert "ALL" in context["capabilities"]["drop"]
    assert set(context["capabilities"].get("add", ())) <= HARMLESS_CAPABILITIES
    hook = item.get("lifecycle", {}).get("preStop", {}).get("exec", {}).get("command", [hooks.LAUNCHER])
    assert hook[0] == hooks.LAUNCHER, "a hook of the template's own would run outside the order of the pod's end"
    assert not item.keys() & {"volumeDevices", "terminationMessagePath"}
    for field in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert not item.get(field, {}).keys() & {"httpGet", "tcpSocket", "grpc"}
    given = json.dumps([item.get("env", ()), item.get("envFrom", ())])
    assert "guard.bartizan" not in given
    assert '"tiny.' not in given


def _hold_its_mounts(item: dict[str, Any], deployment: ModelDeployment) -> None:
    serving = deployment.spec.serving
    ours = {"bartizan-bin": "/bartizan/bin"}
    if serving.socket_path:
        ours["bartizan-socket"] = posixpath.dirname(serving.socket_path)
    serves = item["name"] == serving.container
    mounts = item["volumeMounts"]
    wanted = set(ours.items()) if serves else set()
    assert {(entry["name"], entry["mountPath"]) for entry in mounts if entry["name"] in
            (*ours, "bartizan-document", "bartizan-socket", "bartizan-state")} == wanted  # fmt: skip
    assert all(entry.get("readOnly") for entry in mounts if entry["name"] == "bartizan-bin")
    places = [posixpath.normpath(entry["mountPath"]) for entry in mounts]
    assert len(set(places)) == len(places)
    for entry, place in zip(mounts, places, strict=True):
        assert entry.get("mountPropagation", "None") == "None"
        assert ".." not in entry.get("subPath", "").split("/")
        for kept in ours.values() if not entry["name"].startswith("bartizan") else ():
            assert not f"{place}/".startswith(f"{kept}/"), place
            assert not f"{kept}/".startswith(f"{place}/"), place
