"""Where pods may run: node selection, affinity, tolerations, spreading; none of it touches the gate."""

from bartizan.policy import selectors
from bartizan.policy.shapes import LABEL, LABEL_KEY, LABEL_VALUE, Choice, Many, Pairs, Record, Text, Whole
from bartizan.policy.template.security import UNKNOWN

_WEIGHT = Whole(1, 100)
_NODE_REQUIREMENT = Record(
    {
        "key": LABEL_KEY,
        "operator": Choice(("In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt")),
        "values": Many(Text(253, shortest=0), 64),
    },
    required=("key", "operator"),
    unknown=UNKNOWN,
)
_NODE_TERM = Record(
    {"matchExpressions": Many(_NODE_REQUIREMENT, 32), "matchFields": Many(_NODE_REQUIREMENT, 8)}, unknown=UNKNOWN
)
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
_NODE_AFFINITY = Record(
    {
        _REQUIRED: Record({"nodeSelectorTerms": Many(_NODE_TERM, 16)}, required=("nodeSelectorTerms",)),
        _PREFERRED: Many(Record({"weight": _WEIGHT, "preference": _NODE_TERM}, required=("weight", "preference")), 16),
    },
    unknown=UNKNOWN,
)
_POD_TERM = Record(
    {
        "labelSelector": selectors.SHAPE,
        "namespaces": Many(LABEL, 32),
        "namespaceSelector": selectors.SHAPE,
        "topologyKey": LABEL_KEY,
        "matchLabelKeys": Many(LABEL_KEY, 16),
        "mismatchLabelKeys": Many(LABEL_KEY, 16),
    },
    required=("topologyKey",),
    unknown=UNKNOWN,
)
_POD_AFFINITY = Record(
    {
        _REQUIRED: Many(_POD_TERM, 16),
        _PREFERRED: Many(
            Record({"weight": _WEIGHT, "podAffinityTerm": _POD_TERM}, required=("weight", "podAffinityTerm")), 16
        ),
    },
    unknown=UNKNOWN,
)

AFFINITY = Record(
    {"nodeAffinity": _NODE_AFFINITY, "podAffinity": _POD_AFFINITY, "podAntiAffinity": _POD_AFFINITY}, unknown=UNKNOWN
)
NODE_SELECTOR = Pairs(LABEL_KEY, LABEL_VALUE, 32)
TOLERATIONS = Many(
    Record(
        {
            "key": LABEL_KEY,
            "operator": Choice(("Exists", "Equal", "Gt", "Lt")),
            "value": LABEL_VALUE,
            "effect": Choice(("NoSchedule", "PreferNoSchedule", "NoExecute")),
            "tolerationSeconds": Whole(0, 2**31 - 1),
        },
        unknown=UNKNOWN,
    ),
    64,
)
_POLICY = Choice(("Honor", "Ignore"))
SPREAD = Many(
    Record(
        {
            "maxSkew": Whole(1, 1000),
            "topologyKey": LABEL_KEY,
            "whenUnsatisfiable": Choice(("DoNotSchedule", "ScheduleAnyway")),
            "labelSelector": selectors.SHAPE,
            "minDomains": Whole(1, 1000),
            "nodeAffinityPolicy": _POLICY,
            "nodeTaintsPolicy": _POLICY,
            "matchLabelKeys": Many(LABEL_KEY, 16),
        },
        required=("maxSkew", "topologyKey", "whenUnsatisfiable"),
        unknown=UNKNOWN,
    ),
    16,
)
