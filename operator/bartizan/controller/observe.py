"""The world around one ModelDeployment, as the API server tells it now: facts only, no judgement."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bartizan.controller.api import Api, ApiError
from bartizan.controller.kinds import (
    CONTROLLER_REVISION,
    DEPLOYMENT,
    MODEL_DEPLOYMENT,
    NAMESPACE,
    NETWORK_POLICY,
    POD,
    POD_DISRUPTION_BUDGET,
    REPLICA_SET,
    SECRET,
    SERVICE,
    SERVICE_ACCOUNT,
    Kind,
)
from bartizan.controller.work_queue import Key
from bartizan.policy import names
from bartizan.policy.identity import Identity

Live = dict[str, Any]


@dataclass(frozen=True, slots=True)
class World:
    """Live objects by role; None or empty where there is none. `manifest` is the ModelDeployment itself."""

    manifest: Live | None
    namespace_uid: str
    policy: Live | None
    twins: list[Live]
    """Policies that stand in for the first one, and whatever else sits on the twin's name."""
    service: Live | None
    service_account: Live | None
    budget: Live | None
    deployment: Live | None
    revisions: list[Live]
    replica_sets: list[Live]
    pods: list[Live]
    secrets: Mapping[str, str] | None = None
    """By name their resourceVersion; None where Secrets cannot be listed."""
    is_namespace_ending: bool = False

    @property
    def identity(self) -> Identity:
        """Of the ModelDeployment, which must be there."""
        assert self.manifest is not None  # noqa: S101 # the caller has asked
        metadata = self.manifest["metadata"]
        return Identity(
            namespace=metadata["namespace"],
            name=metadata["name"],
            uid=metadata["uid"],
            namespace_uid=self.namespace_uid,
            generation=metadata.get("generation", 0),
            created_seconds=_seconds(metadata.get("creationTimestamp")),
        )

    @property
    def key(self) -> Key:
        return Key(self.identity.namespace, self.identity.name)

    @property
    def is_deleting(self) -> bool:
        return self.manifest is not None and "deletionTimestamp" in self.manifest["metadata"]

    @property
    def owned_pods(self) -> list[Live]:
        """Pods of this life of the ModelDeployment that have not ended."""
        return [pod for pod in self.pods if _phase(pod) not in ("Succeeded", "Failed")]


async def observe(api: Api, key: Key, *, with_secrets: bool = False) -> World:
    """Reads everything at once; a later read may be newer than an earlier one, and the next reconcile mends that."""
    namespace, name = key.namespace, key.name
    enclosing = await api.get(NAMESPACE, None, namespace)
    is_ending = enclosing is not None and "deletionTimestamp" in enclosing["metadata"]
    read = _Reader(api, namespace, is_ending=is_ending)
    found, lists, secrets = await asyncio.gather(
        asyncio.gather(
            read.one(MODEL_DEPLOYMENT, name),
            read.one(NETWORK_POLICY, name),
            read.one(NETWORK_POLICY, names.policy_twin(name)),
            read.one(SERVICE, name),
            read.one(SERVICE_ACCOUNT, name),
            read.one(POD_DISRUPTION_BUDGET, name),
            read.one(DEPLOYMENT, name),
        ),
        _list(read, name),
        read.versions(_marks(name)) if with_secrets else _unseen(),
    )
    manifest, policy, twin, service, account, budget, deployment = found
    revisions, replica_sets, pods, policies = lists
    return World(
        manifest=manifest if enclosing else None,  # what is said of a namespace that has gone is old
        namespace_uid=enclosing["metadata"]["uid"] if enclosing else "",
        policy=policy,
        twins=[*([twin] if twin else ()), *(item for item in policies if _is_further_twin(item, name))],
        service=service,
        service_account=account,
        budget=budget,
        deployment=deployment,
        revisions=revisions,
        replica_sets=replica_sets,
        pods=pods,
        secrets=secrets,
        is_namespace_ending=is_ending,
    )


async def _list(read: "_Reader", name: str) -> list[list[Live]]:
    """What runs is found as the policy finds it: whoever strips the other label must not hide a pod that it holds."""
    label = {names.ENDPOINT_LABEL: name}
    wanted = (
        (CONTROLLER_REVISION, _marks(name)),
        (REPLICA_SET, label),
        (POD, label),
        (NETWORK_POLICY, _marks(name)),
    )
    return await asyncio.gather(*(read.all(kind, labels) for kind, labels in wanted))


def _marks(name: str) -> dict[str, str]:
    return {names.MANAGED_BY_LABEL: names.MANAGED_BY, names.ENDPOINT_LABEL: name}


async def _unseen() -> None:
    return None


class _Reader:
    """Reads in one namespace. While that is being deleted, our rights in it may have gone before the objects have.

    What must be seen to the end (policies, pods, the ModelDeployment) is readable by the ClusterRole; for the rest,
    forbidden then counts as gone, since the namespace's own deletion takes it away.
    """

    def __init__(self, api: Api, namespace: str, *, is_ending: bool) -> None:
        self._api = api
        self._namespace = namespace
        self._is_ending = is_ending

    async def one(self, kind: Kind, name: str) -> Live | None:
        try:
            return await self._api.get(kind, self._namespace, name)
        except ApiError as error:
            if self._counts_as_gone(error) and kind not in (MODEL_DEPLOYMENT, NETWORK_POLICY):
                return None
            raise

    async def all(self, kind: Kind, labels: dict[str, str]) -> list[Live]:
        try:
            return await self._api.list(kind, self._namespace, labels=labels)
        except ApiError as error:
            if self._counts_as_gone(error) and kind is not POD:
                return []
            raise

    async def versions(self, labels: dict[str, str]) -> dict[str, str]:
        """Of the Secrets with these labels, without their content."""
        try:
            found = await self._api.list_metadata(SECRET, self._namespace, labels=labels)
        except ApiError as error:
            if self._counts_as_gone(error):
                return {}
            raise
        return {item["metadata"]["name"]: item["metadata"]["resourceVersion"] for item in found}

    def _counts_as_gone(self, error: ApiError) -> bool:
        return self._is_ending and error.is_forbidden


def _seconds(timestamp: str | None) -> int:
    return int(datetime.fromisoformat(timestamp).timestamp()) if timestamp else 0


def _is_further_twin(policy: Live, endpoint: str) -> bool:
    return bool(policy["metadata"]["name"].startswith(f"{names.policy_twin(endpoint)}."))


def _phase(pod: Live) -> str:
    phase: str = pod.get("status", {}).get("phase", "")
    return phase
