"""Which Secrets a template names: never the root key or a guard's, and never those of the endpoint's own clients.

Nor may the guard's port have one of those for its certificate, or the model see the certificate's key.

Other endpoints' clients may be meant: a model may well call another.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from bartizan.policy import names
from bartizan.policy.nodes import Node, show
from bartizan.policy.template.place import Place


def judge(spec: Node, clean: Mapping[str, Any], place: Place) -> None:
    for node in (*_of_volumes(spec, clean), *_of_containers(spec, clean)):
        name = str(node.value)
        if names.is_gates_secret(name, place.endpoint) or name == place.serving.tls_secret:
            node.refuse(f"{show(name)} is a Secret of the gate, which the model must not see; remove it")


def _of_volumes(spec: Node, clean: Mapping[str, Any]) -> Iterator[Node]:
    for position, volume in enumerate(clean.get("volumes", ())):
        node = spec.key("volumes", None).index(position, volume)
        if "secretName" in volume.get("secret", {}):
            yield node.key("secret", None).key("secretName", volume["secret"]["secretName"])
        sources = node.key("projected", None).key("sources", None)
        for index, source in enumerate(volume.get("projected", {}).get("sources", ())):
            if "name" in source.get("secret", {}):
                yield sources.index(index, source).key("secret", None).key("name", source["secret"]["name"])
    for position, pull in enumerate(clean.get("imagePullSecrets", ())):
        if "name" in pull:
            yield spec.key("imagePullSecrets", None).index(position, pull).key("name", pull["name"])


def _of_containers(spec: Node, clean: Mapping[str, Any]) -> Iterator[Node]:
    for field in ("initContainers", "containers"):
        for position, container in enumerate(clean.get(field, ())):
            yield from _of_container(spec.key(field, None).index(position, container), container)


def _of_container(node: Node, container: Mapping[str, Any]) -> Iterator[Node]:
    for position, variable in enumerate(container.get("env", ())):
        reference = variable.get("valueFrom", {}).get("secretKeyRef", {})
        if "name" in reference:
            source = node.key("env", None).index(position, variable).key("valueFrom", None)
            yield source.key("secretKeyRef", None).key("name", reference["name"])
    for position, source_of_all in enumerate(container.get("envFrom", ())):
        reference = source_of_all.get("secretRef", {})
        if "name" in reference:
            yield (
                node.key("envFrom", None)
                .index(position, source_of_all)
                .key("secretRef", None)
                .key("name", reference["name"])
            )
