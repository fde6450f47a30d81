"""The table of what is tried with the operator's token (chart_attempts.yaml), as requests to an API server."""

from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any, Literal

import yaml
from tests.cluster.installation import Request
from tests.localcluster.api import Cluster

from bartizan.controller import kinds
from bartizan.policy import names

Manifest = dict[str, Any]
Reach = Literal["listed", "everywhere", "overgranted"]

TABLE = yaml.safe_load((Path(__file__).parent / "chart_attempts.yaml").read_text())
LISTED = "team-a"
UNLISTED = "team-b"
CLIENTS = "clients"
ENDPOINT_LABELS = {names.MANAGED_BY_LABEL: names.MANAGED_BY, names.ENDPOINT_LABEL: "llama"}
UNOWNED = {"ModelDeployment"}
CONTENT_TYPES = {"patch": "application/merge-patch+json", "apply": "application/apply-patch+yaml"}


def of(reach: Reach) -> list[dict[str, Any]]:
    """The attempts that hold with rights in listed namespaces, everywhere, or beyond what the chart gives."""
    default = "" if reach == "overgranted" else reach
    return [attempt for attempt in TABLE["attempts"] if attempt.get("only", default) == reach]


def request(attempt: dict[str, Any]) -> Request:
    if "request" in attempt:
        method, path = attempt["request"].split(" ", 1)
        content_type = attempt.get("type", CONTENT_TYPES["patch"] if method == "PATCH" else "application/json")
        return Request(method, path, attempt.get("body"), content_type, attempt.get("headers", {}))
    return _request_by_verb(attempt)


def _request_by_verb(attempt: dict[str, Any]) -> Request:
    verb, change = attempt["verb"], attempt.get("change", {})
    namespace = attempt.get("namespace", LISTED)
    manifest = incarnation(attempt["object"], attempt.get("which", "new"), namespace)
    is_whole = verb in {"create", "update", "apply"}
    sent = merge(_as_wanted(manifest, attempt), change) if is_whole else change
    kind = kinds.of(manifest["apiVersion"], manifest["kind"])
    path = kind.path(namespace, None if verb == "create" else manifest["metadata"]["name"])
    path += "?fieldManager=bartizan&force=true" if verb == "apply" else ""
    content_type = attempt.get("type", CONTENT_TYPES.get(verb, "application/json"))
    method = {"create": "POST", "update": "PUT", "delete": "DELETE"}.get(verb, "PATCH")
    return Request(method, path, None if verb == "delete" else sent, content_type)


def _as_wanted(manifest: Manifest, attempt: dict[str, Any]) -> Manifest:
    """What the operator would write over it: its own manifest under the name of what is there."""
    wanted = incarnation(attempt["object"], "new", manifest["metadata"]["namespace"])
    return merge(wanted, {"metadata": {"name": manifest["metadata"]["name"]}})


def incarnation(kind: str, which: str, namespace: str) -> Manifest:
    """One object of the table as the operator made it, as a stranger did, or as a tenant changed it."""
    base = merge(deepcopy(TABLE["objects"][kind]), {"metadata": {"namespace": namespace}})
    if which == "stranger":
        return merge(base, {"metadata": {"name": f"stranger.{kind.lower()}".replace(".", "-"), "finalizers": None}})
    if kind not in UNOWNED:
        base = merge(base, {"metadata": {"labels": ENDPOINT_LABELS}})
    if which == "ours":
        return base
    name = f"llama.{which}" if kind == "Secret" else f"{which}-{kind.lower()}"  # the fence reads Secrets' names
    changed = merge(base, {"metadata": {"name": name}})
    return merge(changed, TABLE.get(which, {}).get(kind, {}))


def populate(cluster: Cluster) -> None:
    """Puts everything that the table speaks of into the cluster, as its administrator."""
    items = [incarnation(kind, which, LISTED) for kind in TABLE["objects"] for which in ("ours", "stranger")]
    items += [incarnation(kind, which, LISTED) for which in ("tampered", "stripped") for kind in TABLE[which]]
    items += [incarnation("NetworkPolicy", "ours", UNLISTED)]
    root = {
        "name": "bartizan-root",
        "namespace": "bartizan-system",
        "labels": {names.MANAGED_BY_LABEL: names.MANAGED_BY},
    }
    items += [{"apiVersion": "v1", "kind": "Secret", "metadata": root, "data": {"root": "eA=="}}]
    cluster.kubectl("create", "--filename=-", stdin=yaml.safe_dump_all(items))


def canaries() -> Iterator[Request]:
    """One request for each policy of the fence that it refuses as soon as the API server knows it."""
    seen = set()
    for attempt in TABLE["attempts"]:
        kind = attempt.get("object")
        if "fence" in attempt and kind not in seen and "only" not in attempt:
            seen.add(kind)
            yield request(attempt)


def merge(target: Manifest, change: Manifest) -> Manifest:
    """JSON merge patch (RFC 7386)."""
    merged = dict(target)
    for name, value in change.items():
        if value is None:
            merged.pop(name, None)
        elif isinstance(value, dict) and isinstance(merged.get(name), dict):
            merged[name] = merge(merged[name], value)
        else:
            merged[name] = value
    return merged
