"""Resources of a container: amounts, and which devices may be asked for."""

import re
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from bartizan.policy.nodes import Absent, Node, show
from bartizan.policy.shapes import Choice, Distinct, Many, Pairs, Record, Refused, Ruled, Text
from bartizan.policy.template.security import UNKNOWN

DEVICES = (
    r"nvidia\.com/(gpu(\.shared)?|mig-[a-z0-9.-]+)",
    r"amd\.com/gpu",
    r"gpu\.intel\.com/(i915|xe)",
    r"habana\.ai/gaudi",
    r"google\.com/tpu",
    r"aws\.amazon\.com/neuron(core|device)?",
    r"huawei\.com/Ascend[A-Za-z0-9]+",
)
"""Accelerators by their device plugins' names. Network devices (RDMA, SR-IOV) walk round network policies."""

HIGHEST_NUMBER = 2**53
"""Beyond it JSON readers no longer agree on a number."""

NAME = Text(
    128,
    "|".join((r"cpu|memory|ephemeral-storage", r"hugepages-[1-9][0-9]{0,5}[KMG]i", *DEVICES)),
    "is not on the allow-list for resources, since a network device would walk round the network policy; "
    "ask for cpu, memory, ephemeral-storage, huge pages or an accelerator such as nvidia.com/gpu",
)
LEAST_NUMBER = 0.001
"""A thousandth: of a processor, Kubernetes tells no smaller part."""
_AMOUNT = Text(
    32,
    r"[0-9]+(\.[0-9]*)?([eE][0-9]{1,2}|[numkMGTPE]|[KMGTPE]i)?",
    'is not an amount; write for example 500m, 2 or "16Gi"',
)


def amount(node: Node) -> str | int | Absent:
    """A Kubernetes quantity that is not negative; YAML reads `0.5` as a number, so numbers do, too."""
    value = node.value
    if isinstance(value, str):
        return _AMOUNT(node)
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < HIGHEST_NUMBER:
        return node.refuse(f'{show(value)} is not an amount; write for example 500m, 2 or "16Gi"')
    if 0 < value < LEAST_NUMBER:
        return node.refuse(f"{show(value)} is less than a thousandth; write for example 1m")
    return value if isinstance(value, int) else f"{value:.3f}".rstrip("0").rstrip(".")


_UNITS = {"n": -9, "u": -6, "m": -3, "k": 3, "K": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}


def figure(quantity: str | int) -> Fraction:
    """The number that an amount stands for."""
    number, exponent, unit, binary = _PARTS.fullmatch(str(quantity)).groups()  # type: ignore[union-attr] # an amount fits
    power = int(exponent or 0) + (0 if binary else _UNITS.get(unit or "", 0))
    return Fraction(number) * Fraction(10) ** power * (1024 ** (_UNITS[unit] // 3) if binary else 1)


_PARTS = re.compile(r"([0-9]+(?:\.[0-9]*)?)(?:[eE]([0-9]{1,2})|([numkKMGTPE])(i)?)?")
_RESOURCES = Record(
    {
        "limits": Pairs(NAME, amount, 16),
        "requests": Pairs(NAME, amount, 16),
        "claims": Refused("a claim may attach a network device; ask for accelerators under limits"),
    },
    unknown=UNKNOWN,
)
HUGE = "hugepages-"
SHARED = ("cpu", "memory", "ephemeral-storage")
"""May be asked for without a limit, and in fractions; devices and huge pages may not."""


BYTES = ("memory", "ephemeral-storage")


def _judge(node: Node, clean: Mapping[str, Any]) -> None:
    limits, requests = clean.get("limits", {}), clean.get("requests", {})
    for part, amounts in (("limits", limits), ("requests", requests)):
        for name, given in amounts.items():
            complaint = _complain(name, given)
            if complaint:
                node.key(part, None).key(name, given).refuse(f"{show(given)} {complaint}")
    if any(name.startswith(HUGE) for name in (*limits, *requests)) and not {"cpu", "memory"} & {*limits, *requests}:
        node.refuse("asks for huge pages alone; ask for cpu or memory, too")
    _judge_requests(node, limits, requests)


def _complain(name: str, given: str | int) -> str:
    """What is wrong with one amount by itself."""
    number = figure(given)
    page = name.removeprefix(HUGE)
    if page != name and number % figure(page):
        return f"is not a multiple of a page, {page}; give one"
    if name not in SHARED and number.denominator != 1:
        return "is not a whole number; give one"
    if name in BYTES and number.denominator != 1 and not re.search("[kKMGTPE]", str(given)):
        return "is not a whole number of bytes; write for example 16Gi"
    return ""


def _judge_requests(node: Node, limits: Mapping[str, Any], requests: Mapping[str, Any]) -> None:
    for name, request in requests.items():
        spot = node.key("requests", None).key(name, request)
        limit = limits.get(name)
        if limit is None and name not in SHARED:
            spot.refuse("needs the same amount under limits; add it there")
        elif limit is not None and not _fits(name, figure(request), figure(limit)):
            spot.refuse(f"{show(request)} does not fit the limit of {show(limit)}; lower it or raise the limit")


def _fits(name: str, request: Fraction, limit: Fraction) -> bool:
    return request <= limit if name in SHARED else request == limit


RESOURCES = Ruled(_RESOURCES, _judge)
_RESIZE = Record(
    {"resourceName": Choice(("cpu", "memory")), "restartPolicy": Choice(("NotRequired", "RestartContainer"))},
    required=("resourceName", "restartPolicy"),
)
RESIZE = Distinct(Many(_RESIZE, 4), ("resourceName",))
