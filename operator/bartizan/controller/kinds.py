"""The kinds of object that the operator reads or writes, and their addresses in the API."""

from dataclasses import dataclass
from urllib.parse import quote

from bartizan.policy import names


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of the API; `plural` is the name in its URLs."""

    api_version: str
    plural: str
    kind: str
    namespaced: bool = True

    @property
    def group(self) -> str:
        """Empty for the core group."""
        return self.api_version.rpartition("/")[0]

    @property
    def version(self) -> str:
        return self.api_version.rpartition("/")[2]

    def path(self, namespace: str | None = None, name: str | None = None, *, subresource: str | None = None) -> str:
        """Path of one object, or of the collection where there is no name; no part can leave its place."""
        parts = ["apis" if self.group else "api", *self.api_version.split("/")]
        if self.namespaced and namespace:
            parts += ["namespaces", namespace]
        parts += [self.plural, *(part for part in (name, subresource) if part)]
        return "/" + "/".join(quote(part, safe="") for part in parts)


NETWORK_POLICY = Kind("networking.k8s.io/v1", "networkpolicies", "NetworkPolicy")
DEPLOYMENT = Kind("apps/v1", "deployments", "Deployment")
REPLICA_SET = Kind("apps/v1", "replicasets", "ReplicaSet")
CONTROLLER_REVISION = Kind("apps/v1", "controllerrevisions", "ControllerRevision")
SERVICE = Kind("v1", "services", "Service")
SERVICE_ACCOUNT = Kind("v1", "serviceaccounts", "ServiceAccount")
SECRET = Kind("v1", "secrets", "Secret")
POD = Kind("v1", "pods", "Pod")
EVENT = Kind("v1", "events", "Event")
NAMESPACE = Kind("v1", "namespaces", "Namespace", namespaced=False)
POD_DISRUPTION_BUDGET = Kind("policy/v1", "poddisruptionbudgets", "PodDisruptionBudget")
MODEL_DEPLOYMENT = Kind(names.API_VERSION, names.PLURAL, names.KIND)

ALL = (
    NETWORK_POLICY,
    DEPLOYMENT,
    REPLICA_SET,
    CONTROLLER_REVISION,
    SERVICE,
    SERVICE_ACCOUNT,
    SECRET,
    POD,
    EVENT,
    NAMESPACE,
    POD_DISRUPTION_BUDGET,
    MODEL_DEPLOYMENT,
)
OWNED = (NETWORK_POLICY, DEPLOYMENT, SERVICE, SERVICE_ACCOUNT, POD_DISRUPTION_BUDGET, CONTROLLER_REVISION, POD)
"""What an endpoint owns and the operator may watch wherever it manages; Secrets are another matter."""

_BY_NAME = {(kind.api_version, kind.kind): kind for kind in ALL}


def of(api_version: str, kind: str) -> Kind:
    """The kind of a manifest; `KeyError` for one that the operator has no business with."""
    return _BY_NAME[api_version, kind]
