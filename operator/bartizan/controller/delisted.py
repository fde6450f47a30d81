"""Endpoints in namespaces that were taken from the operator: they may be deleted, though it can no longer end them.

Its rights there are those of the ClusterRole: it sees pods and policies, and releases finalizers. So the garbage
collector does the work, and the policy still goes last: it is handed to the ModelDeployment, that one is let go, its
dependents go with it, and the policy's own finalizer holds it in force until the last pod has ended.
"""

import asyncio
from collections.abc import Awaitable, Callable

from bartizan.controller import log
from bartizan.controller.api import Api, ApiError, Manifest
from bartizan.controller.apply import Applier
from bartizan.controller.kinds import MODEL_DEPLOYMENT, NETWORK_POLICY, POD
from bartizan.controller.rounds import survive
from bartizan.controller.settings import Settings
from bartizan.policy import names

LOGGER = log.logger(__name__)

MANAGED = {names.MANAGED_BY_LABEL: names.MANAGED_BY}


class Delisted:
    """What is outside of every watch is listed; nothing is remembered that a restart could lose."""

    def __init__(self, api: Api, settings: Settings, applier: Applier) -> None:
        self._api = api
        self._settings = settings
        self._applier = applier
        self._bare: set[str] = set()
        """Policies that had no pod at the last look: one that is about to be started would be seen at the next."""

    async def run(self) -> None:
        """For ever; where the operator manages all namespaces, it only waits."""
        while True:
            if self._settings.namespaces:
                await survive(self.look(), part="delisted")
            await asyncio.sleep(self._settings.look_seconds)

    async def look(self) -> None:
        """Lets go of what is being deleted; what fails is tried again at the next look."""
        try:
            endpoints = await self._api.list_metadata(MODEL_DEPLOYMENT)
            policies = await self._api.list_metadata(NETWORK_POLICY, labels=MANAGED)
        except ApiError as error:
            LOGGER.debug("namespaces outside not seen", error=error)  # the prerequisites complain of it
            return
        for endpoint in filter(self._is_leaving, endpoints):
            await self._attempt(self._let_go, endpoint)
        before, self._bare = self._bare, set()
        for policy in filter(self._is_leaving, policies):
            await self._attempt(lambda item: self._release(item, before), policy)

    async def _attempt(self, act: Callable[[Manifest], Awaitable[None]], item: Manifest) -> None:
        try:
            await act(item)
        except ApiError as error:
            name = f"{item['metadata']['namespace']}/{item['metadata']['name']}"
            LOGGER.warning("object outside not let go", kind=item["kind"], name=name, error=error)

    def _is_leaving(self, item: Manifest) -> bool:
        metadata = item["metadata"]
        is_held = "deletionTimestamp" in metadata and names.FINALIZER in (metadata.get("finalizers") or ())
        return is_held and not self._settings.manages(metadata["namespace"])

    async def _let_go(self, endpoint: Manifest) -> None:
        metadata = endpoint["metadata"]
        for name in (metadata["name"], names.policy_twin(metadata["name"])):
            policy = await self._api.get(NETWORK_POLICY, metadata["namespace"], name)
            if policy is not None and names.FINALIZER in (policy["metadata"].get("finalizers") or ()):
                await self._hand_over(policy, metadata)
        await self._applier.release(MODEL_DEPLOYMENT, endpoint)
        LOGGER.info("endpoint outside let go", endpoint=f"{metadata['namespace']}/{metadata['name']}")

    async def _hand_over(self, policy: Manifest, owner: Manifest) -> None:
        """With its labels, by which it is found again once its owner has gone."""
        reference = {"apiVersion": names.API_VERSION, "kind": names.KIND, "name": owner["name"], "uid": owner["uid"]}
        metadata = {
            "resourceVersion": policy["metadata"]["resourceVersion"],
            "labels": names.managed_labels(owner["name"], owner["uid"]),
            "ownerReferences": [reference],
        }
        namespace, name = policy["metadata"]["namespace"], policy["metadata"]["name"]
        await self._api.patch_merge(NETWORK_POLICY, namespace, name, {"metadata": metadata})

    async def _release(self, policy: Manifest, bare_before: set[str]) -> None:
        uid = policy["metadata"]["uid"]
        if await self._pods_of(policy):
            return
        self._bare.add(uid)
        if uid in bare_before:
            await self._applier.release(NETWORK_POLICY, policy)

    async def _pods_of(self, policy: Manifest) -> list[Manifest]:
        """Those that have not ended."""
        metadata = policy["metadata"]
        labels = {names.ENDPOINT_LABEL: (metadata.get("labels") or {}).get(names.ENDPOINT_LABEL, "")}
        pods = await self._api.list(POD, metadata["namespace"], labels=labels)
        return [pod for pod in pods if pod.get("status", {}).get("phase") not in ("Succeeded", "Failed")]
