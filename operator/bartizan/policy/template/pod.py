"""The pod spec's table: every field of a pod and of its containers that is known, allowed or refused."""

from bartizan.policy import addresses, grace
from bartizan.policy.shapes import (
    SUBDOMAIN,
    Choice,
    Distinct,
    Judge,
    Many,
    Only,
    Record,
    Refused,
    Switch,
    Text,
    Whole,
)
from bartizan.policy.template import environment, probe, resources, scheduling, security, volumes
from bartizan.policy.template.security import UNKNOWN

CONTAINER_NAME = Text(
    50,
    r"[a-z0-9]([-a-z0-9]*[a-z0-9])?",
    "is not a container's name; use at most 50 lower-case letters, digits and '-'",
)
"""Shorter than Kubernetes allows: a volume of ours carries the name after a prefix."""
_PATH = Text(512, r"/[^\x00-\x1f]*", "is not a path; start it with '/'")
_IMAGE = Text(1024, r"[!-~]+", "is not an image; write it without spaces")

_CONTAINER: dict[str, Judge] = {
    "name": CONTAINER_NAME,
    "image": _IMAGE,
    "imagePullPolicy": Choice(("Always", "IfNotPresent", "Never")),
    "command": probe.ARGUMENTS,
    "args": probe.ARGUMENTS,
    "workingDir": _PATH,
    "env": environment.VARIABLES,
    "envFrom": environment.FROM,
    "resources": resources.RESOURCES,
    "resizePolicy": resources.RESIZE,
    "volumeMounts": volumes.MOUNTS,
    "securityContext": security.CONTAINER,
    "terminationMessagePolicy": Choice(("File", "FallbackToLogsOnError")),
    "terminationMessagePath": Refused("the kubelet would mount a file there; remove it, /dev/termination-log is used"),
    "ports": Refused("the guard's port is the pod's only one, and probes go over the socket; remove it"),
    "lifecycle": Refused("the launcher and the guard order the pod's end; do the work in the container's own command"),
    "restartPolicy": Refused("the guard must start before all that runs on; list it under containers"),
    "restartPolicyRules": Refused("the guard and the model restart alike; remove it"),
    "volumeDevices": Refused("raw devices are not for endpoints; use a persistentVolumeClaim with a file system"),
    "stdin": Only(False, "nobody types into an endpoint; remove it"),
    "stdinOnce": Only(False, "nobody types into an endpoint; remove it"),
    "tty": Only(False, "nobody types into an endpoint; remove it"),
}
_NEEDED = ("name", "image")
CONTAINER = Record({**_CONTAINER, **probe.ON_CONTAINER}, required=_NEEDED, unknown=UNKNOWN)
INIT_CONTAINER = Record({**_CONTAINER, **probe.ON_INIT}, required=_NEEDED, unknown=UNKNOWN)

_ALIAS = Record({"ip": addresses.judge_address, "hostnames": Many(SUBDOMAIN, 16)}, required=("ip", "hostnames"))
_ACCOUNT = Refused("the endpoint has an account of its own, without rights; remove it")
_HOST = "the pod would share the node's, where no network policy and no guard holds; remove it"
_NAME = Refused("an endpoint is found by its Service; remove it")
_CLAIM = Refused("a claim may attach a network device; ask for accelerators through the container's resources")

POD = Record(
    {
        "containers": Many(CONTAINER, 16, 1, "name the container that serves the model"),
        "initContainers": Many(INIT_CONTAINER, 16),
        "volumes": volumes.SHAPE,
        "securityContext": security.POD,
        "imagePullSecrets": Distinct(Many(Record({"name": SUBDOMAIN}, required=("name",)), 16), ("name",)),
        "nodeSelector": scheduling.NODE_SELECTOR,
        "affinity": scheduling.AFFINITY,
        "tolerations": scheduling.TOLERATIONS,
        "topologySpreadConstraints": scheduling.SPREAD,
        "schedulerName": SUBDOMAIN,
        "priorityClassName": SUBDOMAIN,
        "preemptionPolicy": Choice(("Never", "PreemptLowerPriority")),
        "runtimeClassName": SUBDOMAIN,
        "terminationGracePeriodSeconds": Whole(
            grace.needed(1), grace.needed(grace.LONGEST_STREAM_SECONDS), "streams end before their pod does"
        ),
        "hostUsers": Switch(),
        "hostAliases": Distinct(Many(_ALIAS, 16), ("ip",)),
        "os": Record({"name": Choice(("linux",), "endpoints run on Linux; write linux")}, required=("name",)),
        "restartPolicy": Choice(("Always",), "an endpoint runs on; write Always or remove it"),
        "dnsPolicy": Choice(("ClusterFirst",), "other resolvers carry data out; write ClusterFirst or remove it"),
        "automountServiceAccountToken": Only(False, "the model gets no token for the API server; remove it"),
        "enableServiceLinks": Only(False, "they tell the model of other Services; remove it"),
        "hostNetwork": Only(False, _HOST),
        "hostPID": Only(False, _HOST),
        "hostIPC": Only(False, _HOST),
        "shareProcessNamespace": Only(False, "the model could see and end the guard; remove it"),
        "setHostnameAsFQDN": Only(False, "an endpoint is found by its Service; remove it"),
        "serviceAccountName": _ACCOUNT,
        "serviceAccount": _ACCOUNT,
        "nodeName": Refused("it walks round the scheduler; use nodeSelector or affinity"),
        "dnsConfig": Refused("other resolvers carry data out; name peers under spec.network.egress"),
        "hostname": _NAME,
        "hostnameOverride": _NAME,
        "subdomain": _NAME,
        "activeDeadlineSeconds": Refused("an endpoint runs on; remove it"),
        "evictionResponders": Refused("others could hold up the pod's end; remove it"),
        "ephemeralContainers": Refused("they are for debugging a running pod; remove it"),
        "readinessGates": Refused("Ready is the guard's word; remove it"),
        "schedulingGates": Refused("the pod would wait for a controller that the operator does not know; remove it"),
        "schedulingGroup": Refused("pods of an endpoint are placed one by one; remove it"),
        "workloadRef": Refused("pods of an endpoint are placed one by one; remove it"),
        "overhead": Refused("the RuntimeClass sets it; remove it"),
        "priority": Refused("the PriorityClass sets it; write priorityClassName"),
        "resourceClaims": _CLAIM,
        "resources": Refused("the guard would have to share them; set resources on the containers"),
    },
    required=("containers",),
    unknown=UNKNOWN,
)
