"""The model's probes: what asked a port of the pod asks the launcher, over the socket that only the pod can reach."""

from collections.abc import Mapping
from typing import Any

from bartizan.controller.builders.hooks import LAUNCHER
from bartizan.policy.model import Serving

FIELDS = ("startupProbe", "readinessProbe", "livenessProbe")
DEFAULTS: Mapping[str, int] = {"timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3}
HANDLERS = ("httpGet", "tcpSocket", "exec")


def rewrite(probe: Mapping[str, Any], serving: Serving) -> dict[str, Any]:
    """The probe with an exec handler; `exec` stays as it is, the template's parser has refused all else."""
    timing = {**DEFAULTS, **{name: value for name, value in probe.items() if name not in HANDLERS}}
    return {**timing, "exec": {"command": _command(probe, serving, timing["timeoutSeconds"])}}


def _command(probe: Mapping[str, Any], serving: Serving, timeout_seconds: int) -> list[str]:
    if "exec" in probe:
        return list(probe["exec"]["command"])
    target = ["--socket", serving.socket_path] if serving.socket_path else ["--tcp", f"127.0.0.1:{serving.port}"]
    common = [*target, "--timeout", f"{timeout_seconds}s"]
    if "tcpSocket" in probe:
        return [LAUNCHER, "probe", "tcp", *common]
    return [LAUNCHER, "probe", "http", *common, *_http_arguments(probe["httpGet"])]


def _http_arguments(request: Mapping[str, Any]) -> list[str]:
    headers = [
        argument
        for header in request.get("httpHeaders", ())
        for argument in ("--header", f"{header['name']}={header['value']}")
    ]
    return ["--path", request.get("path") or "/", *headers]
