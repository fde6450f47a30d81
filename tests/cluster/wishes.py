"""Specs by chance, drawn from the allow-list's own tables: what the parser names, a template may hold.

A template that passes is bent again and again; what the parser accepts stays bent. So rules that no table shows (what
goes with what) are found by those who would stumble over them.
"""

import copy
import re
from collections.abc import Callable
from functools import cache, singledispatch
from typing import Any

from hypothesis import strategies as st

from bartizan.policy import addresses, names
from bartizan.policy.identity import Identity
from bartizan.policy.model import ModelDeployment
from bartizan.policy.parse import parse
from bartizan.policy.sections import access, network, strategy
from bartizan.policy.shapes import (
    Choice,
    Distinct,
    Either,
    Judge,
    Many,
    Only,
    Pairs,
    Record,
    Refused,
    Ruled,
    Switch,
    Text,
    Whole,
)
from bartizan.policy.template import metadata, pod, resources, security

# fmt: off
WORDS = ["a", "b", "c", "zone", "scratch", "model", "A", "A_B", "x.y/z", "1", "100%", "25%", "0%", "/a", "/b/c",
         "/dev/shm", "a/b", "..a/b", "metadata.name", "metadata.labels['x.y/z']", "metadata.annotations['a']",
         "metadata.labels", "status.podIP", "cpu", "memory", "ephemeral-storage", "hugepages-2Mi", "hugepages-1Gi",
         "nvidia.com/gpu", "Memory", "HugePages-2Mi", "HugePages", "registry.example.com/a:1", "ALL", "s0:c1,c2", "",
         "a" * 63, ".".join(["a" * 60] * 4), ".".join(["a" * 60] * 4) + "/" + "a" * 63]
AMOUNTS = [0, 1, 2, "0", "1", "500m", "1Gi", "4Mi", "3Mi", "2.5", 0.5, "1e3", "1.5Gi", "9" * 20, "1n", "1E",
           "1m", "1Mi", "1k", "1024Ki", "1000", "1e6", "1048576"]
CIDRS = ["0.0.0.0/0", "::/0", "10.0.0.0/8", "10.1.0.0/16", "fd00::/8", "2001:db8::/32", "64:ff9b::/96", "::/8"]
# fmt: on
FUNCTIONS: dict[Judge, st.SearchStrategy[Any]] = {
    resources.amount: st.sampled_from(AMOUNTS),
    addresses.judge_address: st.sampled_from(["10.0.0.1", "10.0.0.2", "fd00::1"]),
    addresses.judge_peer: st.sampled_from(CIDRS),
    addresses.judge_exception: st.sampled_from(CIDRS),
    addresses.judge_clients: st.sampled_from(CIDRS),
    metadata.label_key: st.sampled_from(["a", "app.kubernetes.io/name", "a" * 63]),
    metadata.annotation_key: st.sampled_from(["a", "checksum/a", "B"]),
    security.judge_user: st.sampled_from([0, 1, 64002, 2**31 - 1]),
    security.judge_group: st.sampled_from([0, 1, 64002, 2**31 - 1]),
    security.judge_group_of_all: st.sampled_from([1, 64000, 64002, 2**31 - 1]),
}


@singledispatch
def drawn(judge: Any) -> st.SearchStrategy[Any]:
    """Values that the judge's shape allows, odd ones among them."""
    return FUNCTIONS[judge]


@cache
def _text(judge: Text) -> st.SearchStrategy[Any]:
    fitting = [word for word in WORDS if re.fullmatch(judge.pattern, word)]
    fitting = [word for word in fitting if judge.shortest <= len(word) <= judge.longest]
    odd = st.from_regex(judge.pattern, fullmatch=True)
    return st.one_of(*[st.sampled_from(fitting)] * 3, odd) if fitting else odd


@drawn.register
def _(judge: Text) -> st.SearchStrategy[Any]:
    return _text(judge)


@drawn.register
def _(judge: Whole) -> st.SearchStrategy[Any]:
    edges = sorted({judge.lowest, min(judge.lowest + 1, judge.highest), judge.highest})
    return st.sampled_from(edges) | st.integers(judge.lowest, judge.highest)


@drawn.register
def _(_judge: Switch) -> st.SearchStrategy[Any]:
    return st.booleans()


@drawn.register
def _(judge: Choice) -> st.SearchStrategy[Any]:
    return st.sampled_from(judge.options)


@drawn.register
def _(judge: Only) -> st.SearchStrategy[Any]:
    return st.just(judge.value)


@drawn.register
def _(judge: Record) -> st.SearchStrategy[Any]:
    open_fields = {name: inner for name, inner in judge.fields.items() if not isinstance(inner, Refused)}
    fields = {name: st.deferred(lambda inner=inner: drawn(inner)) for name, inner in open_fields.items()}  # type: ignore[misc] # a default binds the loop's value
    required = {name: fields[name] for name in judge.required}
    optional = {name: field for name, field in fields.items() if name not in (*judge.required, *judge.one_of)}
    plain = st.fixed_dictionaries(required, optional=optional)
    chosen = [st.fixed_dictionaries({name: fields[name]}) for name in judge.one_of if name in fields]
    return st.builds(lambda one, rest: {**rest, **one}, st.one_of(chosen), plain) if chosen else plain


@drawn.register
def _(judge: Many) -> st.SearchStrategy[Any]:
    return st.lists(drawn(judge.judge), min_size=judge.fewest, max_size=min(3, judge.most))


@drawn.register
def _(judge: Distinct) -> st.SearchStrategy[Any]:
    return drawn(judge.entries)


@drawn.register
def _(judge: Ruled) -> st.SearchStrategy[Any]:
    return drawn(judge.shape)


@drawn.register
def _(judge: Pairs) -> st.SearchStrategy[Any]:
    return st.dictionaries(drawn(judge.name), drawn(judge.value), max_size=3)


@drawn.register
def _(judge: Either) -> st.SearchStrategy[Any]:
    return drawn(judge.whole) | drawn(judge.text)


Way = tuple[Any, ...]
SPEC = ("template", "spec")
LEFT_ALONE = ("name", "command", "args")
"""Of containers: what the endpoint is found by."""


def aims(spec: dict[str, Any]) -> list[tuple[Way, Judge]]:
    """Every field that a table names, with its judge."""
    found: list[tuple[Way, Judge]] = [((*SPEC, name), judge) for name, judge in pod.POD.fields.items()]
    for group, table in (("containers", pod.CONTAINER), ("initContainers", pod.INIT_CONTAINER)):
        for position in range(len(spec["template"]["spec"].get(group, ()))):
            way = (*SPEC, group, position)
            found += [((*way, name), judge) for name, judge in table.fields.items() if name not in LEFT_ALONE]
    found += [(("template", "metadata", name), metadata.SHAPE.fields[name]) for name in ("labels", "annotations")]
    found += [(("strategy",), strategy.judge), (("network",), network.judge), (("access", "from"), access.FROM)]
    return [aim for aim in found if not isinstance(aim[1], Refused) and aim[0][-1] != "containers"]


def bent(spec: dict[str, Any], draw: Callable[..., Any]) -> dict[str, Any]:
    changed = copy.deepcopy(spec)
    way, judge = draw(st.sampled_from(aims(spec)))
    target: Any = changed
    for step in way[:-1]:
        target = target.setdefault(step, {}) if isinstance(target, dict) else target[step]
    target[way[-1]] = draw(drawn(judge))
    return changed


def read(spec: dict[str, Any]) -> ModelDeployment | None:
    manifest = {"apiVersion": names.API_VERSION, "kind": names.KIND, "metadata": {"name": "tiny"}, "spec": spec}
    result = parse(manifest, Identity("default", "tiny", "uid", "namespace-uid"))
    return result if isinstance(result, ModelDeployment) else None


@st.composite
def accepted(draw: Any, seeds: list[dict[str, Any]], most_changes: int) -> ModelDeployment:
    spec = copy.deepcopy(draw(st.sampled_from(seeds)))
    for _ in range(most_changes):
        candidate = bent(spec, draw)
        spec = candidate if read(candidate) is not None else spec
    result = read(spec)
    assert result is not None
    return result
