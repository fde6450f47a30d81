"""From a manifest to a ModelDeployment: closed on its own, whatever schema did or did not run before.

A field that is absent has its closed default, one that is unknown or of a wrong type is a problem, and all problems
come back together. Nothing raises: any JSON at all gives one or the other.
"""

import re
from collections.abc import Mapping
from typing import Any

from bartizan.policy import names
from bartizan.policy.identity import Identity
from bartizan.policy.model import ModelDeployment, Problem, Serving, Spec
from bartizan.policy.nodes import Node, show
from bartizan.policy.protocols import Protocol
from bartizan.policy.sections import access, audit, limits, network, proofs, serving, strategy, tiers, tokenizer
from bartizan.policy.shapes import OWN_NAME, Record, Text, Whole, entries
from bartizan.policy.template import allow_list
from bartizan.policy.template.place import Place

DEFAULT_REPLICAS = 1
MOST_REPLICAS = 100
MOST_PROBLEMS = 100
TAKEN_NAME = "default"
"""The endpoint's own ServiceAccount bears its name."""
MODEL_NAME = Text(
    128,
    r"[A-Za-z0-9]([-A-Za-z0-9._/:@]*[A-Za-z0-9])?",
    "is not a model's name; use letters, digits and any of '-._/:@' between them",
)

_SPEC = Record(
    {
        "model": Record({"name": MODEL_NAME}, required=("name",)),
        "template": lambda node: node.value,
        "replicas": Whole(0, MOST_REPLICAS),
        "serving": serving.judge,
        "access": access.judge,
        "limits": limits.judge,
        "network": network.judge,
        "audit": audit.judge,
        "strategy": strategy.judge,
    },
    required=("model", "template"),
    unknown="is not a field of a ModelDeployment; remove it",
)
_TOP_LEVEL = ("apiVersion", "kind", "metadata", "spec", "status")


def parse(manifest: Mapping[str, Any], identity: Identity) -> ModelDeployment | tuple[Problem, ...]:
    """The accepted ModelDeployment, or everything that is wrong with it."""
    problems: list[Problem] = []
    root = Node("", manifest, problems)
    _judge_name(root, identity)
    spec_node = _spec_node(root)
    section = _SPEC(spec_node)
    wish = section.get("template")
    containers = allow_list.container_names(wish)
    served = serving.build(spec_node.key("serving", None), section.get("serving", {}), containers)
    proofs.judge_accounts(spec_node.key("access", None), section.get("access", {}), namespace=identity.namespace)
    tiers.judge(spec_node, section.get("access", {}), section.get("limits", {}))
    _judge_model_name(spec_node, section, served)
    _judge_tls(spec_node, served, identity)
    place = Place(identity.name, served, limits.max_stream_seconds(section.get("limits", {})))
    template = allow_list.judge(spec_node.key("template", {} if wish is None else wish), place)
    limits_node = spec_node.key("limits", None).key("tokenizer", None)
    tokenizer.judge_volume(limits_node, section.get("limits", {}).get("tokenizer", {}), template.spec)
    if problems:
        return _listed(problems)
    spec = Spec(
        model_name=section["model"]["name"],
        template=template,
        replicas=section.get("replicas", DEFAULT_REPLICAS),
        serving=served,
        access_from=access.build_from(section.get("access", {})),
        proofs=proofs.ways(section.get("access", {})),
        clients=access.build_clients(section.get("access", {}), namespace=identity.namespace),
        limits=limits.build(section.get("limits", {})),
        egress=network.build(section.get("network", {})),
        audit_may_fail=audit.build(section.get("audit", {})),
        strategy=strategy.build(section.get("strategy", {})),
    )
    return ModelDeployment(identity, spec)


def _judge_tls(spec_node: Node, served: Serving, identity: Identity) -> None:
    if served.tls_secret is not None and names.is_gates_secret(served.tls_secret, identity.name):
        spot = spec_node.key("serving", None).key("tls", None).key("secretName", served.tls_secret)
        spot.refuse(f"{show(served.tls_secret)} is a Secret of the gate; name one of type kubernetes.io/tls")


def _listed(problems: list[Problem]) -> tuple[Problem, ...]:
    """Each once, and not so many that nobody could read or store them."""
    unique = tuple(dict.fromkeys(problems))
    if len(unique) <= MOST_PROBLEMS:
        return unique
    rest = Problem("spec", f"has {len(unique) - MOST_PROBLEMS} more problems; mend these first")
    return (*unique[:MOST_PROBLEMS], rest)


def _judge_name(root: Node, identity: Identity) -> None:
    spot = Node("metadata.name", identity.name, root.problems)
    if OWN_NAME(spot) == TAKEN_NAME:
        spot.refuse(f"{show(TAKEN_NAME)} is the name of a ServiceAccount in every namespace; choose another")


def _judge_model_name(spec: Node, section: Mapping[str, Any], served: Serving) -> None:
    """KServe's paths name the model: what clients would write in two ways in a path is no name there."""
    name = section.get("model", {}).get("name", "")
    if served.protocol is Protocol.KSERVE_V2 and not re.fullmatch(r"[-A-Za-z0-9._]*", name):
        spec.key("model", None).key("name", name).refuse(
            f"{show(name)} stands in the path with protocol KServeV2; use letters, digits, '-', '.' and '_' only"
        )


def _spec_node(root: Node) -> Node:
    """The spec, after a look at what stands beside it."""
    found = entries(root)
    for name, child in found.items():
        if name not in _TOP_LEVEL:
            child.refuse("is not a field of a ModelDeployment; remove it")
    for name, wanted in (("apiVersion", names.API_VERSION), ("kind", names.KIND)):
        if name in found and found[name].value != wanted:
            found[name].refuse(f"{show(found[name].value)} is not {wanted}; write {wanted}")
    return found.get("spec", root.key("spec", {}))
