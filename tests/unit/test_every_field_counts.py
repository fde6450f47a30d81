"""No field of the API exists that nothing enforces: each, set otherwise, changes what the endpoint owns.

The fields are walked in the CRD itself, so a new one without a case here fails.
"""

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.cluster.bad_manifests import place
from tests.unit.controller import worlds

from bartizan.cli import render
from bartizan.controller.builders import guard_document, trusted_issuers
from bartizan.controller.builders.guard_document import Reach
from bartizan.controller.cluster_keys import KeySet
from bartizan.controller.identities import Identities
from bartizan.policy.issuers import IssuerSetting
from bartizan.policy.issuers import parse as parse_issuers
from bartizan.policy.jwks import VerifyKey
from bartizan.policy.model import Authentication, ModelDeployment, Proof
from bartizan.policy.parse import parse

CRD = Path(__file__).parents[2] / "crds" / "bartizan.dev_modeldeployments.yaml"
SCHEMA = yaml.safe_load(CRD.read_text())["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]

SELECTOR = {"from": {"namespaces": "Selector", "selector": {"matchLabels": {"a": "b"}}}}
IMAGES = {"spec.serving": {"media": {"types": ["image/png"], "tokens": 100}}}
TOKENIZER = {
    "spec.limits": {"tokenizer": {"volume": "a"}},
    "spec.template.spec.volumes": [{"name": name, "configMap": {"name": name}} for name in ("a", "b")],
}
TIERED = {
    "spec.access": {"clients": [{"name": "a", "tier": "x"}, {"name": "b", "tier": "y"}, {"name": "c"}]},
    "spec.limits": {
        "requests": [{"limit": 9, "window": "1m"}, {"limit": 2, "window": "1m", "tier": "x"}],
        "tokens": [{"type": "Total", "window": "1m", **of} for of in ({"limit": 9}, {"limit": 2, "tier": "y"})],
        "store": "limits",
        "refusedWithoutStore": ["x", "y"],
    },
}
LOOPBACK = {"transport": "Loopback", "port": 8000}
KEYS = KeySet("https://cluster", (VerifyKey("key-1", ("RS256",), "AAAA"),))
CONTAINERS = [{"name": name, "image": "x", "command": ["serve"]} for name in ("model", "other")]


def egress(**peer: Any) -> list[dict[str, Any]]:
    return [{"to": [peer], "ports": [{"port": 443}]}]


def expressions(operator: str, *values: str, key: str = "a") -> dict[str, Any]:
    return {"matchExpressions": [{"key": key, "operator": operator, **({"values": list(values)} if values else {})}]}


Case = tuple[dict[str, Any], dict[str, Any]]


def of_selector(path: str, spot: str, given: dict[str, Any]) -> dict[str, Case]:
    """Cases of one label selector, which stands at `spot` once `given` is set."""
    one, other = expressions("In", "b"), expressions("In", "c")
    return {
        f"{path}.matchLabels": ({**given, spot: {"matchLabels": {"a": "b"}}}, {spot: {"matchLabels": {"a": "c"}}}),
        f"{path}.matchExpressions[].key": ({**given, spot: one}, {spot: expressions("In", "b", key="z")}),
        f"{path}.matchExpressions[].operator": ({**given, spot: one}, {spot: expressions("Exists")}),
        f"{path}.matchExpressions[].values": ({**given, spot: one}, {spot: other}),
    }


PEER = "network.egress[].to[]"
TO = "spec.network.egress[0].to[0]"
PORTS = "spec.network.egress[0].ports[0]"
CLIENT = "spec.access.clients[0]"
PROOFS = [{"type": "APIKey"}, {"type": "ServiceAccount"}]
ACCOUNTS = {
    "spec.access": {
        "from": {"namespaces": "All"},
        "clients": [{"name": "a", "serviceAccount": {"name": "x"}}],
        "authentication": PROOFS,
    }
}
JWTS = {
    "clients": [{"name": "a", "jwt": {"issuer": "corp", "subject": "alice"}}],
    "authentication": [{"type": "JWT", "issuer": "corp"}],
}
ANY_EGRESS = {"spec.network": {"egress": egress(podSelector={"matchLabels": {"a": "b"}})}}
CASES: dict[str, Case] = {
    "model.name": ({}, {"spec.model.name": "other"}),
    "template.metadata": ({}, {"spec.template.metadata": {"labels": {"a": "b"}}}),
    "template.spec": ({}, {"spec.template.spec.priorityClassName": "high"}),
    "replicas": ({}, {"spec.replicas": 2}),
    "serving.protocol": ({}, {"spec.serving": {"protocol": "Anthropic"}}),
    "serving.allowFields": ({}, {"spec.serving": {"allowFields": ["top_k"]}}),
    "serving.capabilities": ({}, {"spec.serving.capabilities": ["Tools"]}),
    "serving.media.types": (IMAGES, {"spec.serving.media.types": ["image/gif"]}),
    "serving.media.maxBytes": (IMAGES, {"spec.serving.media.maxBytes": 9}),
    "serving.media.tokens": (IMAGES, {"spec.serving.media.tokens": 9}),
    "serving.transport": ({}, {"spec.serving": LOOPBACK}),
    "serving.socketPath": ({}, {"spec.serving": {"socketPath": "/run/other/a.sock"}}),
    "serving.port": ({"spec.serving": LOOPBACK}, {"spec.serving.port": 8001}),
    "serving.container": (
        {"spec.template.spec.containers": CONTAINERS, "spec.serving": {"container": "model"}},
        {"spec.serving": {"container": "other"}},
    ),
    "serving.tls.secretName": ({}, {"spec.serving": {"tls": {"secretName": "pair"}}}),
    "access.from.namespaces": ({}, {"spec.access": {"from": {"namespaces": "All"}}}),
    "access.from.ipBlocks": ({}, {"spec.access": {"from": {"ipBlocks": ["10.0.0.0/8"]}}}),
    **of_selector("access.from.selector", "spec.access.from.selector", {"spec.access": SELECTOR}),
    "access.clients[].name": ({"spec.access": {"clients": [{"name": "a"}]}}, {"spec.access.clients[0].name": "b"}),
    "access.clients[].keyEpoch": (
        {"spec.access": {"clients": [{"name": "a"}]}},
        {"spec.access.clients[0].keyEpoch": 2},
    ),
    "access.clients[].tier": (TIERED, {"spec.access.clients[2].tier": "x"}),
    "access.clients[].serviceAccount.name": (ACCOUNTS, {f"{CLIENT}.serviceAccount.name": "other"}),
    "access.clients[].serviceAccount.namespace": (ACCOUNTS, {f"{CLIENT}.serviceAccount.namespace": "team-b"}),
    "access.clients[].jwt.issuer": (
        {"spec.access": {**JWTS, "authentication": [{"type": "JWT", "issuer": name} for name in ("corp", "lab")]}},
        {f"{CLIENT}.jwt.issuer": "lab"},
    ),
    "access.clients[].jwt.subject": ({"spec.access": JWTS}, {f"{CLIENT}.jwt.subject": "bob"}),
    "access.clients[].jwt.groups": (
        {"spec.access": {**JWTS, "clients": [{"name": "a", "jwt": {"issuer": "corp", "groups": ["x"]}}]}},
        {f"{CLIENT}.jwt.groups": ["y"]},
    ),
    "access.authentication[].issuer": (
        {"spec.access": {"authentication": [{"type": "JWT", "issuer": "corp"}]}},
        {"spec.access.authentication[0].issuer": "lab"},
    ),
    "access.authentication[].type": ({}, {"spec.access": {"authentication": PROOFS}}),
    "limits.requests[].limit": ({}, {"spec.limits": {"requests": [{"limit": 7, "window": "1m"}]}}),
    "limits.requests[].window": ({}, {"spec.limits": {"requests": [{"limit": 60, "window": "2m"}]}}),
    "limits.requests[].scope": (
        {"spec.limits": {"requests": [{"limit": 60, "window": "1m"}, {"limit": 60, "window": "1h"}]}},
        {"spec.limits.requests[1].scope": "Endpoint"},
    ),
    "limits.requests[].tier": (TIERED, {"spec.limits.requests[1].tier": "y"}),
    "limits.tokens[].tier": (TIERED, {"spec.limits.tokens[1].tier": "x"}),
    "limits.refusedWithoutStore": (TIERED, {"spec.limits.refusedWithoutStore": ["x"]}),
    "limits.tokens[].type": ({}, {"spec.limits": {"tokens": [{"type": "Input", "limit": 1000000, "window": "1h"}]}}),
    "limits.tokens[].limit": ({}, {"spec.limits": {"tokens": [{"type": "Total", "limit": 7, "window": "1h"}]}}),
    "limits.tokens[].window": ({}, {"spec.limits": {"tokens": [{"type": "Total", "limit": 1000000, "window": "2h"}]}}),
    "limits.tokens[].scope": (
        {"spec.limits": {"tokens": [{"type": kind, "limit": 60, "window": "1m"} for kind in ("Input", "Output")]}},
        {"spec.limits.tokens[1].scope": "Endpoint"},
    ),
    "limits.maxInputTokens": ({}, {"spec.limits": {"maxInputTokens": 9}}),
    "limits.maxOutputTokens": ({}, {"spec.limits": {"maxOutputTokens": 9}}),
    "limits.excessOutput": ({}, {"spec.limits": {"excessOutput": "Reject"}}),
    "limits.promptOverheadTokens": ({}, {"spec.limits": {"promptOverheadTokens": 9}}),
    "limits.maxStreamSeconds": ({}, {"spec.limits": {"maxStreamSeconds": 9}}),
    "limits.concurrent": ({}, {"spec.limits": {"concurrent": 9}}),
    "limits.concurrentPerClient": ({}, {"spec.limits": {"concurrentPerClient": 3}}),
    "limits.queue.size": ({"spec.limits": {"queue": {"size": 2, "seconds": 3}}}, {"spec.limits.queue.size": 4}),
    "limits.queue.seconds": ({"spec.limits": {"queue": {"size": 2, "seconds": 3}}}, {"spec.limits.queue.seconds": 4}),
    "limits.store": ({}, {"spec.limits": {"store": "limits"}}),
    "limits.tokenizer.volume": (TOKENIZER, {"spec.limits.tokenizer.volume": "b"}),
    "limits.tokenizer.path": (TOKENIZER, {"spec.limits.tokenizer.path": "other.json"}),
    f"{PEER}.ipBlock.cidr": (
        {"spec.network": {"egress": egress(ipBlock={"cidr": "10.0.0.0/8"})}},
        {f"{TO}.ipBlock.cidr": "10.0.0.0/9"},
    ),
    f"{PEER}.ipBlock.except": (
        {"spec.network": {"egress": egress(ipBlock={"cidr": "10.0.0.0/8"})}},
        {f"{TO}.ipBlock.except": ["10.1.0.0/16"]},
    ),
    **of_selector(f"{PEER}.namespaceSelector", f"{TO}.namespaceSelector", ANY_EGRESS),
    **of_selector(f"{PEER}.podSelector", f"{TO}.podSelector", ANY_EGRESS),
    "network.egress[].ports[].protocol": (ANY_EGRESS, {f"{PORTS}.protocol": "UDP"}),
    "network.egress[].ports[].port": (ANY_EGRESS, {f"{PORTS}.port": 80}),
    "network.egress[].ports[].endPort": (ANY_EGRESS, {f"{PORTS}.endPort": 444}),
    "audit.whenUnavailable": ({}, {"spec.audit": {"whenUnavailable": "Continue"}}),
    "strategy.type": ({}, {"spec.strategy": {"type": "Recreate"}}),
    "strategy.rollingUpdate.maxSurge": ({}, {"spec.strategy": {"rollingUpdate": {"maxSurge": 2}}}),
    "strategy.rollingUpdate.maxUnavailable": ({}, {"spec.strategy": {"rollingUpdate": {"maxUnavailable": 1}}}),
}


def leaves(schema: dict[str, Any], path: str = "") -> Iterator[str]:
    """Paths of all fields below which the schema says no more."""
    properties = schema.get("properties") or {}
    if path in ("template.metadata", "template.spec") or not (properties or "items" in schema):
        yield path
    for name, child in properties.items():
        yield from leaves(child, f"{path}.{name}".lstrip("."))
    if items := schema.get("items"):
        yield from leaves(items, f"{path}[]") if items.get("properties") else iter((path,))


def issuer_setting(name: str) -> IssuerSetting:
    (setting,) = parse_issuers(json.dumps([{"name": name, "url": f"https://{name}.example"}]))
    return setting


def made(*changes: dict[str, Any]) -> str:
    """All that the endpoint would own, and what its guards would enforce, as text."""
    manifest = {"metadata": {"name": "llama"}, "spec": copy.deepcopy(BASE)}
    for change in changes:
        for spot, value in copy.deepcopy(change).items():
            place(manifest, spot, value)
    wish = parse(manifest, worlds.IDENTITY)
    assert isinstance(wish, ModelDeployment), [str(problem) for problem in wish]
    epochs = {client.name: client.key_epoch for client in wish.spec.key_clients}
    uids = {account: f"uid of {account}" for client in wish.spec.clients if (account := client.service_account)}
    cluster = KEYS if Authentication(Proof.SERVICE_ACCOUNT) in wish.spec.proofs else None
    named = (way.issuer for way in wish.spec.proofs if way.type is Proof.JWT)
    learnt = tuple((setting, KEYS) for setting in map(issuer_setting, named))
    issuers = trusted_issuers.build(wish, Identities(cluster, uids, learnt))
    document = guard_document.build(wish, worlds.ROOT, epochs, replicas=1, reach=Reach(issuers))
    return json.dumps([list(render.manifests(wish, worlds.SURROUNDINGS)), repr(document)])


BASE = {
    "model": {"name": "tiny"},
    "template": {"spec": {"containers": [{"name": "model", "image": "x", "command": ["serve"]}]}},
}


def test_every_field_of_the_api_has_a_case() -> None:
    assert set(leaves(SCHEMA)) == set(CASES)


@pytest.mark.parametrize("path", CASES)
def test_every_field_changes_what_the_endpoint_owns(path: str) -> None:
    given, change = CASES[path]
    assert made(given) == made(given)
    assert made(given) != made(given, change)


EXAMPLES = sorted((CRD.parents[1] / "manifests" / "examples").glob("*.yaml"))


def written(value: Any, path: str = "") -> Iterator[str]:
    """Paths of all fields that a spec sets, spelt as `leaves` spells them."""
    yield path
    if isinstance(value, dict):
        for name, child in value.items():
            yield from written(child, f"{path}.{name}".lstrip("."))
    if isinstance(value, list):
        for item in value:
            yield from written(item, f"{path}[]")


def specs(path: Path) -> list[dict[str, Any]]:
    found = [one for one in yaml.safe_load_all(path.read_text()) if one["kind"] == "ModelDeployment"]
    return [one["spec"] for one in found]


def test_every_field_stands_in_an_example() -> None:
    shown = {path for file in EXAMPLES for spec in specs(file) for path in written(spec)}
    assert set(leaves(SCHEMA)) - shown == set()


def test_the_full_example_lacks_what_it_says_it_lacks() -> None:
    (full,) = specs(CRD.parents[1] / "manifests" / "examples" / "full.yaml")
    assert set(leaves(SCHEMA)) - set(written(full)) == {"serving.port"}
