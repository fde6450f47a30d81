"""The template's containers, made safe: what they leave unset is set to the restricted default, what they set stays."""

from collections.abc import Iterator, Mapping
from typing import Any

from bartizan.controller.builders import hooks, probes
from bartizan.controller.builders.guard_container import BIN_VOLUME, SOCKET_VOLUME
from bartizan.controller.builders.hooks import BIN_PATH, LAUNCHER
from bartizan.policy.grace import MODEL_END_SECONDS, Grace
from bartizan.policy.model import Serving
from bartizan.policy.template.environment import DANGEROUS_SWITCHES

CACHE_VOLUME = "bartizan-cache"
CACHE_PATH = "/var/cache/model"
TEMPORARY_VOLUME = "bartizan-tmp"
TEMPORARY_SIZE = "1Gi"
CACHE_SIZE = "10Gi"
CACHE_VARIABLES = ("HOME", "XDG_CACHE_HOME")
"""Point to the writable cache where the template does not set them: a read-only root has no home."""
USER_NAME = "model"
"""Libraries that ask who they are find no entry for the user's number in most images, and fail without this."""

RESTRICTED_DEFAULTS: Mapping[str, Any] = {
    "runAsNonRoot": True,
    "privileged": False,
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}
POD_LEVEL = ("runAsNonRoot", "seccompProfile")
"""Fields that a container inherits from the pod, so that a pod's wish is not overwritten in each container."""


def build(
    container: Mapping[str, Any], serving: Serving, pod_context: Mapping[str, Any], *, grace: Grace
) -> dict[str, Any]:
    """A container of the template as it will run; the serving one is started and probed by the launcher."""
    built = {
        "imagePullPolicy": _pull_policy(container),
        **container,
        "securityContext": _security_context(container.get("securityContext", {}), pod_context),
        "volumeMounts": [*container.get("volumeMounts", ()), *_temporary_mount(container)],
        "env": _environment(container, serves=container["name"] == serving.container),
    }
    if container["name"] != serving.container:
        return built
    return _serve(built, serving, grace)


def temporary_volumes(containers: list[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """One small scratch volume for each container that mounts none at /tmp itself."""
    for container in containers:
        for mount in _temporary_mount(container):
            yield {"name": mount["name"], "emptyDir": {"sizeLimit": TEMPORARY_SIZE}}


def _serve(container: dict[str, Any], serving: Serving, grace: Grace) -> dict[str, Any]:
    mounts = [*container["volumeMounts"], {"name": BIN_VOLUME, "mountPath": BIN_PATH, "readOnly": True}]
    if not _is_mounted(container, CACHE_PATH):
        mounts.append({"name": CACHE_VOLUME, "mountPath": CACHE_PATH})
    command = [*container["command"], *container.get("args", ())]
    if serving.socket_path is not None:
        mounts.append({"name": SOCKET_VOLUME, "mountPath": serving.socket_path.rsplit("/", 1)[0]})
        end = ["--end", f"{MODEL_END_SECONDS}s"] if grace.is_bounded else []
        command = [LAUNCHER, "run", "--socket", serving.socket_path, *end, "--", *command]
    rewritten = {name: probes.rewrite(container[name], serving) for name in probes.FIELDS if name in container}
    kept = {name: value for name, value in container.items() if name not in ("args", "ports")}
    ours = {"command": command, "volumeMounts": mounts, "lifecycle": {"preStop": hooks.hold(grace)}}
    return {**kept, **rewritten, **ours}


def _environment(container: Mapping[str, Any], *, serves: bool) -> list[Mapping[str, Any]]:
    """The template's variables, and ours where it has none: `env` wins over what `envFrom` might bring in unseen."""
    given = list(container.get("env", ()))
    of_server = {**dict.fromkeys(CACHE_VARIABLES, CACHE_PATH), "USER": USER_NAME} if serves else {}
    ours = {**of_server, **dict.fromkeys(DANGEROUS_SWITCHES, "0")}
    for variable in given:
        ours.pop(variable["name"], None)
    return [*given, *({"name": name, "value": value} for name, value in ours.items())]


def _security_context(wish: Mapping[str, Any], pod_context: Mapping[str, Any]) -> dict[str, Any]:
    inherited = {name for name in POD_LEVEL if name in pod_context}
    defaults = {name: value for name, value in RESTRICTED_DEFAULTS.items() if name not in inherited}
    context = {**defaults, **wish}
    context["capabilities"] = {"drop": ["ALL"], **wish.get("capabilities", {})}
    return context


def _temporary_mount(container: Mapping[str, Any]) -> list[dict[str, Any]]:
    if _is_mounted(container, "/tmp"):  # noqa: S108 # a mount point in a container
        return []
    return [{"name": f"{TEMPORARY_VOLUME}-{container['name']}"[:63].rstrip("-"), "mountPath": "/tmp"}]  # noqa: S108 # see above


def _is_mounted(container: Mapping[str, Any], path: str) -> bool:
    return any(mount["mountPath"].rstrip("/") == path for mount in container.get("volumeMounts", ()))


def _pull_policy(container: Mapping[str, Any]) -> str:
    """As the API server would choose it, but said here, so that it is ours to repair."""
    image = container["image"]
    tag = image.rsplit("/", 1)[-1].partition(":")[2]
    return "Always" if "@" not in image and tag in ("", "latest") else "IfNotPresent"
