"""The template's reading, top to bottom: size, tables, rules across fields, weaknesses."""

from collections.abc import Iterator, Mapping, Sequence

from bartizan.policy import grace
from bartizan.policy.model import Template, Weakness
from bartizan.policy.nodes import Clean, Node
from bartizan.policy.shapes import Record
from bartizan.policy.template import arguments, environment, metadata, mounts, pod, probe, references, weaknesses
from bartizan.policy.template.place import Place
from bartizan.policy.template.security import UNKNOWN

MOST_BYTES = 64 * 1024
"""Far above any sane template, far below what a Deployment, its ReplicaSets and revisions may hold."""

_SHAPE = Record({"metadata": metadata.SHAPE, "spec": pod.POD}, required=("spec",), unknown=UNKNOWN)


def judge(node: Node, place: Place) -> Template:
    """The template if no problem is noted; its spec holds nothing that a table does not name."""
    if weigh(node.value) > MOST_BYTES:
        node.refuse(f"has more than {MOST_BYTES} bytes; move data to a ConfigMap or a volume")
        return Template({}, {}, {})
    clean = _SHAPE(node)
    spec = clean.get("spec", {})
    spec_node = node.key("spec", spec)
    _judge_across(spec_node, spec, place)
    described = clean.get("metadata", {})
    return Template(
        labels=described.get("labels", {}),
        annotations=described.get("annotations", {}),
        spec=spec,
        weaknesses=(*weaknesses.find(spec), *_find_in_serving(spec_node, spec, place)),
    )


def _find_in_serving(spec_node: Node, spec: Clean, place: Place) -> Iterator[Weakness]:
    for position, container in enumerate(spec.get("containers", ())):
        if container.get("name") == place.serving.container:
            node = spec_node.key("containers", None).index(position, container)
            yield from arguments.find_weaknesses(node, container, place)


def _judge_across(spec_node: Node, spec: Clean, place: Place) -> None:
    _judge_grace(spec_node, spec, place)
    mounts.judge(spec_node, spec, place)
    references.judge(spec_node, spec, place)
    weaknesses.judge_root(spec_node, spec)
    for group in mounts.GROUPS:
        for position, container in enumerate(spec.get(group, ())):
            node = spec_node.key(group, None).index(position, container)
            environment.judge_dangers(node, container)
            if group == "containers":
                probe.judge_targets(node, container, place)
                _judge_serving(node, container, place)


def _judge_grace(spec_node: Node, spec: Clean, place: Place) -> None:
    """A shorter one would cut streams at every roll-out that the limits allow."""
    wish, needed = spec.get("terminationGracePeriodSeconds"), grace.needed(place.max_stream_seconds)
    if wish is not None and wish < needed:
        spec_node.key("terminationGracePeriodSeconds", wish).refuse(
            f"{wish} is below {needed}, in which a stream of spec.limits.maxStreamSeconds ({place.max_stream_seconds}) "
            "can end before its pod does; remove it for just that, raise it, or lower spec.limits.maxStreamSeconds"
        )


def _judge_serving(node: Node, container: Clean, place: Place) -> None:
    if container.get("name") != place.serving.container:
        return
    if not container.get("command"):
        node.key("command", None).refuse(
            "is missing; the launcher starts the server and cannot see the image's entry point, so write it here"
        )
    arguments.judge(node, container, place)


def container_names(template: object) -> tuple[str, ...]:
    """The names of the template's containers as far as they can be read, before anything is judged."""
    spec = template.get("spec") if isinstance(template, Mapping) else None
    containers = spec.get("containers") if isinstance(spec, Mapping) else None
    if not isinstance(containers, Sequence) or isinstance(containers, str | bytes):
        return ()
    found = (container.get("name") for container in containers[:64] if isinstance(container, Mapping))
    return tuple(name for name in found if isinstance(name, str))


def weigh(value: object) -> int:
    """About the bytes of the value as JSON, without recursion; counting stops above the bound."""
    total, waiting = 0, [value]
    while waiting and total <= MOST_BYTES:
        item = waiting.pop()
        if isinstance(item, Mapping):
            total += 2 + len(item)
            waiting.extend((*item.keys(), *item.values()))
        elif isinstance(item, Sequence) and not isinstance(item, str | bytes):
            total += 2 + len(item)
            waiting.extend(item)
        else:
            total += len(item.encode("utf-8", "surrogatepass")) if isinstance(item, str) else 8
    return total
