"""Probes: which kinds there may be; on the serving container they are sent over the socket instead of the pod's IP."""

from collections.abc import Mapping
from typing import Any

from bartizan.policy.nodes import Node, show
from bartizan.policy.shapes import Choice, Either, Judge, Many, Record, Refused, Text, Whole
from bartizan.policy.template.place import Place
from bartizan.policy.template.security import UNKNOWN

FIELDS = ("startupProbe", "readinessProbe", "livenessProbe")
HANDLERS = ("httpGet", "tcpSocket", "exec", "grpc")
_DAY = 86_400

_PORT = Either(Whole(1, 65535), Text(15, r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", "is not a port's name; write the number"))
_HOST = Refused("it would send the kubelet elsewhere; remove it, the probe goes to the model's own socket")
_HEADER = Record(
    {
        "name": Text(128, r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", "is not a header's name; use letters, digits and '-'"),
        "value": Text(512, r"[\t -~]*", "is not a header's value; keep to printable ASCII", shortest=0),
    },
    required=("name", "value"),
)
ARGUMENT = Text(16_384, shortest=0, private=True)
ARGUMENTS = Many(ARGUMENT, 256)
PROBE = Record(
    {
        "httpGet": Record(
            {
                "path": Text(1024, r"/[!-~]*", "is not a path; start it with '/' and keep to printable ASCII"),
                "port": _PORT,
                "scheme": Choice(("HTTP",), "the model speaks plain HTTP to its guard; write HTTP or remove it"),
                "httpHeaders": Many(_HEADER, 16),
                "host": _HOST,
            },
            required=("port",),
            unknown=UNKNOWN,
        ),
        "tcpSocket": Record({"port": _PORT, "host": _HOST}, required=("port",), unknown=UNKNOWN),
        "exec": Record({"command": Many(ARGUMENT, 256, 1, "name a program")}, required=("command",), unknown=UNKNOWN),
        "grpc": Refused("the launcher probes over HTTP and TCP; use httpGet, tcpSocket or exec"),
        "initialDelaySeconds": Whole(0, _DAY),
        "periodSeconds": Whole(1, _DAY),
        "timeoutSeconds": Whole(1, 3600),
        "successThreshold": Whole(1, 100),
        "failureThreshold": Whole(1, 100_000),
        "terminationGracePeriodSeconds": Whole(1, 7200),
    },
    unknown=UNKNOWN,
    one_of=HANDLERS,
)


ON_INIT: dict[str, Judge] = dict.fromkeys(
    FIELDS, Refused("an init container ends before it could be probed; remove it")
)
ON_CONTAINER: dict[str, Judge] = dict.fromkeys(FIELDS, PROBE)


def judge_targets(container: Node, clean: Mapping[str, Any], place: Place) -> None:
    """Only the serving container has a socket to probe; over loopback its port is the one that spec.serving names."""
    serves = clean.get("name") == place.serving.container
    for field in FIELDS:
        probe = container.key(field, clean.get(field, {}))
        _judge_thresholds(probe, field)
        for handler in ("httpGet", "tcpSocket"):
            target = clean.get(field, {}).get(handler)
            if target is not None and not serves:
                probe.key(handler, target).refuse(
                    "asks a port of the pod, and only the guard has one; use exec on containers beside the model"
                )
            elif target is not None:
                _judge_port(probe.key(handler, target).key("port", target.get("port")), place)


def _judge_port(port: Node, place: Place) -> None:
    wanted = place.serving.port
    if wanted and port.value is not None and port.value != wanted:
        port.refuse(f"{show(port.value)} is not spec.serving.port; write {wanted}")


def _judge_thresholds(probe: Node, field: str) -> None:
    clean = probe.value if isinstance(probe.value, Mapping) else {}
    if field != "readinessProbe" and clean.get("successThreshold", 1) != 1:
        probe.key("successThreshold", None).refuse(f"must be 1 for a {field}; remove it")
    if field == "readinessProbe" and "terminationGracePeriodSeconds" in clean:
        probe.key("terminationGracePeriodSeconds", None).refuse("has no meaning for a readinessProbe; remove it")
