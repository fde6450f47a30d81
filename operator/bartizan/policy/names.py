"""Every name that Bartizan writes into a cluster: API group, labels, annotations, ports and names of owned objects."""

from bartizan.policy.protocols import BASE_PATHS, Protocol

GROUP = "bartizan.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
KIND = "ModelDeployment"
PLURAL = "modeldeployments"

FIELD_MANAGER = "bartizan"
STATUS_FIELD_MANAGER = "bartizan-status"

FINALIZER = f"{GROUP}/gate"
"""On the ModelDeployment: the workload ends before the object does. On the NetworkPolicy: it outlives the pods."""

MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
MANAGED_BY = "bartizan"
ENDPOINT_LABEL = f"{GROUP}/endpoint"
"""The ModelDeployment's name, on every owned object and on its pods."""
ENDPOINT_UID_LABEL = f"{GROUP}/endpoint-uid"
"""The ModelDeployment's UID: a re-created object of the same name owns nothing of its predecessor's."""
CLIENT_LABEL = f"{GROUP}/client"

DOCUMENT_VERSION_ANNOTATION = f"{GROUP}/document-version"
"""On the pods: its change makes the kubelet refresh the document's volume at once."""
TOUCH_ANNOTATION = f"{GROUP}/document-touch"
"""On the pods: raised when a guard has not reported the new document within a second."""

GUARD_PORT = 8080
"""Where clients come in, by plain HTTP."""
GUARD_TLS_PORT = 8443
"""Where they come in by TLS, and then there alone."""
STATUS_PORT = 8081
METRICS_PORT = 9090
GUARD_UID = 64001
"""The guard's user; no container of the template may run under it."""
MODEL_UID = 64002
"""The model's user where the template names none."""
ENDPOINT_GID = 64000
"""The pod's fsGroup, where the template names none: the guard may connect to the model's socket through it."""

MAX_NAME_LENGTH = 40
"""For endpoints and clients: a pod's name (name-replicaset-pod) and a label's value stay below 63 characters."""


ROOT_SECRET = "bartizan-root"  # noqa: S105 # a name, not a secret
"""Holds the root key, in the operator's namespace, unless the installation names it otherwise."""


def managed_labels(name: str, uid: str) -> dict[str, str]:
    """Labels of every object that belongs to the endpoint."""
    return {MANAGED_BY_LABEL: MANAGED_BY, ENDPOINT_LABEL: name, ENDPOINT_UID_LABEL: uid}


def document_secret(endpoint: str) -> str:
    """Secret with the guard's signed document; the second dot keeps it apart from every client's Secret."""
    return f"{endpoint}.guard.bartizan"


def client_secret(endpoint: str, client: str) -> str:
    """Secret with one client's key; neither part may hold a dot, so no two pairs share a name."""
    return f"{endpoint}.{client}"


def endpoint_of(name: str) -> str:
    """The endpoint because of which an owned object has this name, pods aside: no endpoint's name holds a dot."""
    return name.partition(".")[0]


def is_of_endpoint(name: str, endpoint: str) -> bool:
    return endpoint_of(name) == endpoint


def policy_twin(endpoint: str) -> str:
    """NetworkPolicy that stands in while somebody's deletion of the first one is let through."""
    return f"{endpoint}.twin.bartizan"


def guard_port(*, has_tls: bool) -> int:
    return GUARD_TLS_PORT if has_tls else GUARD_PORT


def base_url(endpoint: str, namespace: str, protocol: Protocol, *, has_tls: bool) -> str:
    """Where clients inside the cluster reach the guard, in the form that the protocol's SDKs expect."""
    scheme = "https" if has_tls else "http"
    return f"{scheme}://{endpoint}.{namespace}.svc:{guard_port(has_tls=has_tls)}{BASE_PATHS[protocol]}"


def audience(endpoint: str, namespace: str) -> str:
    """What a token must be made for to be believed at the endpoint, and nowhere else.

    No address: what looks like one might be the audience of other software that answers there, whose tokens would then
    open the gate. Neither part can hold a slash, so no two endpoints share one.
    """
    return f"{GROUP}/{namespace}/{endpoint}"


def service_account_subject(namespace: str, name: str) -> str:
    """The API server's name for a ServiceAccount, in a token's `sub`; neither part can hold a colon."""
    return f"system:serviceaccount:{namespace}:{name}"


def is_gates_secret(name: str, endpoint: str) -> bool:
    """Whether the root key, a guard's document or a key of the endpoint's own clients has this name."""
    return name == ROOT_SECRET or name.endswith(document_secret("")) or name.startswith(client_secret(endpoint, ""))
