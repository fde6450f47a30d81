"""Names and mounts across the pod: unique, known, and out of the way of what the operator adds."""

import posixpath
from collections.abc import Iterator, Mapping
from typing import Any

from bartizan.policy.nodes import Node, show
from bartizan.policy.template.place import Place

RESERVED_PREFIX = "bartizan"
OWN_DIRECTORY = "/bartizan"
SHUT_DIRECTORIES = ("/proc", "/sys", "/dev", "/run/bartizan", "/run/secrets/kubernetes.io", OWN_DIRECTORY)
"""The last but one is where clients of the API server look for a token: none of the template's making may lie there."""
OPEN_WITHIN_SHUT = ("/dev/shm",)  # noqa: S108 # a mount point in a container
"""Model servers need a large one: mount an emptyDir with medium Memory there."""
GROUPS = ("initContainers", "containers")


def judge(spec: Node, clean: Mapping[str, Any], place: Place) -> None:
    volumes = _judge_names(((spec.key("volumes", None), clean.get("volumes", ())),))
    _judge_names(tuple((spec.key(group, None), clean.get(group, ())) for group in GROUPS))
    for node, container in _containers(spec, clean):
        _judge_mounts(node.key("volumeMounts", None), container, volumes, place)


def _judge_names(lists: tuple[tuple[Node, Any], ...]) -> set[str]:
    """The names in these lists together; twice the same or one like ours is a problem."""
    seen: set[str] = set()
    for node, items in lists:
        for position, item in enumerate(items):
            name = item.get("name", "")
            spot = node.index(position, item).key("name", name)
            if name.startswith(RESERVED_PREFIX):
                spot.refuse(f"{show(name)} is reserved; choose a name that does not start with {RESERVED_PREFIX}")
            if name and name in seen:
                spot.refuse(f"{show(name)} stands twice; choose another name")
            seen.add(name)
    return seen - {""}


def _containers(spec: Node, clean: Mapping[str, Any]) -> Iterator[tuple[Node, Mapping[str, Any]]]:
    for group in GROUPS:
        for position, container in enumerate(clean.get(group, ())):
            yield spec.key(group, None).index(position, container), container


def _judge_mounts(node: Node, container: Mapping[str, Any], volumes: set[str], place: Place) -> None:
    taken: set[str] = set()
    for position, mount in enumerate(container.get("volumeMounts", ())):
        spot = node.index(position, mount)
        name, path = mount.get("name", ""), mount.get("mountPath", "")
        if name and name not in volumes:
            spot.key("name", name).refuse(f"{show(name)} is not a volume of the template; add it under volumes")
        complaint = _complain(path, place) if path else ""
        if complaint:
            spot.key("mountPath", path).refuse(f"{show(path)} {complaint}")
        if path and _real(path.rstrip("/")) in taken:
            spot.key("mountPath", path).refuse(f"{show(path)} is mounted at twice; choose another path")
        taken.add(_real(path.rstrip("/")))


def _complain(path: str, place: Place) -> str:
    normal = posixpath.normpath("/" + path.lstrip("/"))
    if path not in (normal, f"{normal}/") or normal == "/":
        return "is not a plain path below /; write it without '..', '.' and '//'"
    if any(_is_within(_real(normal), shut) for shut in SHUT_DIRECTORIES) and not any(
        _is_within(normal, open_path) for open_path in OPEN_WITHIN_SHUT
    ):
        return "would cover a directory of the kernel, of Kubernetes or of the operator; mount it elsewhere"
    socket_directory = posixpath.dirname(place.serving.socket_path or "")
    if socket_directory and _overlap(normal, socket_directory):
        return f"would cover {socket_directory}, where model and guard meet; mount it elsewhere"
    return ""


def _overlap(one: str, other: str) -> bool:
    """Whether one lies within the other, as they are written or where links of the image lead."""
    return any(
        _is_within(left, right) or _is_within(right, left)
        for left in {one, _real(one)}
        for right in {other, _real(other)}
    )


def _real(path: str) -> str:
    """In nearly every image /var/run is a link to /run."""
    return path.removeprefix("/var") if _is_within(path, "/var/run") else path


def _is_within(path: str, directory: str) -> bool:
    return path == directory or path.startswith(f"{directory}/")
