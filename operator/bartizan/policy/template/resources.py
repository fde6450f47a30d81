"""Resources of a container: amounts, and which devices may be asked for."""

from bartizan.policy.nodes import Absent, Node, show
from bartizan.policy.shapes import Choice, Many, Pairs, Record, Refused, Text
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
    "|".join((r"cpu|memory|ephemeral-storage", r"hugepages-[0-9]+[KMG]i", *DEVICES)),
    "is not on the allow-list for resources, since a network device would walk round the network policy; "
    "ask for cpu, memory, ephemeral-storage, huge pages or an accelerator such as nvidia.com/gpu",
)
_AMOUNT = Text(
    32,
    r"[0-9]+(\.[0-9]*)?([eE][0-9]{1,2}|[numkKMGTPE]|[KMGTPE]i)?",
    'is not an amount; write for example 500m, 2 or "16Gi"',
)


def amount(node: Node) -> str | int | Absent:
    """A Kubernetes quantity that is not negative; YAML reads `0.5` as a number, so numbers do, too."""
    value = node.value
    if isinstance(value, str):
        return _AMOUNT(node)
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < HIGHEST_NUMBER:
        return node.refuse(f'{show(value)} is not an amount; write for example 500m, 2 or "16Gi"')
    return value if isinstance(value, int) else f"{value:.3f}"


SHAPE = Record(
    {
        "limits": Pairs(NAME, amount, 16),
        "requests": Pairs(NAME, amount, 16),
        "claims": Refused("a claim may attach a network device; ask for accelerators under limits"),
    },
    unknown=UNKNOWN,
)
RESIZE = Many(
    Record({"resourceName": Choice(("cpu", "memory")), "restartPolicy": Choice(("NotRequired", "RestartContainer"))}), 4
)
