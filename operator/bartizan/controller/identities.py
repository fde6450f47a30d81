"""Learns who the clients are that prove themselves by tokens: accounts' UIDs, and the keys of those who sign them.

Facts only: what the document makes of them is `builders/trusted_issuers.py`'s business. Nothing here opens anything by
being absent: an account that is not found, or may not be read, is one nobody can be.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from bartizan.controller.api import Api, ApiError
from bartizan.controller.cluster_keys import ClusterKeys, KeySet
from bartizan.controller.issuer_keys import Issuers
from bartizan.controller.kinds import NAMESPACE, SERVICE_ACCOUNT
from bartizan.policy import label_selectors
from bartizan.policy.issuers import IssuerSetting
from bartizan.policy.model import ModelDeployment, NamespaceScope, Proof, ServiceAccountRef

LOOK_AGAIN_SECONDS = 30.0
"""Nothing tells of foreign accounts: how soon one that was deleted, or made anew, is noticed."""


@dataclass(frozen=True, slots=True)
class Identities:
    """What was learnt for one endpoint; `problems` says of each client that cannot come in why, and what to do."""

    cluster: KeySet | None = None
    """None where no client proves itself by the cluster's tokens."""
    uids: Mapping[ServiceAccountRef, str] = field(default_factory=dict)
    issuers: tuple[tuple[IssuerSetting, KeySet], ...] = ()
    problems: tuple[str, ...] = ()


class Learner:
    def __init__(self, api: Api, cluster_keys: ClusterKeys, issuers: Issuers) -> None:
        self._api = api
        self.cluster_keys = cluster_keys
        self.issuers = issuers

    async def learn(self, wish: ModelDeployment) -> Identities:
        """Raises ApiError for what time may heal: a document made without it would shut out who may come in."""
        cluster, uids, of_accounts = await self._learn_accounts(wish)
        issuers, of_issuers = await self._learn_issuers(wish, cluster)
        return Identities(cluster, uids, issuers, tuple(sorted([*of_accounts, *of_issuers])))

    async def _learn_accounts(
        self, wish: ModelDeployment
    ) -> tuple[KeySet | None, dict[ServiceAccountRef, str], list[str]]:
        if not any(way.type is Proof.SERVICE_ACCOUNT for way in wish.spec.proofs):
            return None, {}, []
        cluster = await self.cluster_keys.current()
        wanted = {client.service_account: client.name for client in wish.spec.clients if client.service_account}
        found = await asyncio.gather(*(self._look(account, wish) for account in wanted))
        uids = {account: uid for account, (uid, _) in zip(wanted, found, strict=True) if uid}
        problems = [f"client {wanted[account]}: {why}" for account, (_, why) in zip(wanted, found, strict=True) if why]
        return cluster, uids, [*([cluster.problem] if cluster.problem else ()), *problems]

    async def _learn_issuers(
        self, wish: ModelDeployment, cluster: KeySet | None
    ) -> tuple[tuple[tuple[IssuerSetting, KeySet], ...], list[str]]:
        found: list[tuple[IssuerSetting, KeySet]] = []
        problems = []
        for name in (way.issuer for way in wish.spec.proofs if way.type is Proof.JWT):
            issuer = self.issuers.get(name)
            if issuer is None:
                problems.append(f"issuer {name} is none of the chart's issuers; add it there, or name another")
                continue
            keys = await issuer.current()
            if keys.problem:
                problems.append(f"issuer {name}: {keys.problem}")
            elif cluster is not None and cluster.issuer == keys.issuer:
                problems.append(f"issuer {name} is the cluster's own; its ServiceAccounts are clients by that name")
            else:
                found.append((issuer.setting, keys))
        without_groups = {setting.name for setting, _ in found if not setting.groups_claim}
        problems += [
            f"client {client.name}: issuer {client.jwt.issuer} has no groupsClaim; set it, or name a subject"
            for client in wish.spec.clients
            if client.jwt and client.jwt.groups and client.jwt.issuer in without_groups
        ]
        return tuple(found), problems

    async def _look(self, account: ServiceAccountRef, wish: ModelDeployment) -> tuple[str, str]:
        """The account's UID, or why there is none."""
        why = await self._shut_out(account, wish)
        if why:
            return "", why
        try:
            live = await self._api.get(SERVICE_ACCOUNT, account.namespace, account.name)
        except ApiError as error:
            if not error.is_forbidden:
                raise
            remedy = f"add {account.namespace} to the chart's clientNamespaces"
            return "", f"the operator may not read ServiceAccount {account}; {remedy}"
        if live is None:
            return "", f"ServiceAccount {account} does not exist; make it, or correct spec.access.clients"
        if "deletionTimestamp" in live["metadata"]:
            return "", f"ServiceAccount {account} is being deleted; make it anew"
        return live["metadata"]["uid"], ""

    async def _shut_out(self, account: ServiceAccountRef, wish: ModelDeployment) -> str:
        """Why nobody from the account's namespace may come in; empty where `access.from` lets them."""
        gate = wish.spec.access_from
        if gate.namespaces is NamespaceScope.SAME:
            is_own = account.namespace == wish.identity.namespace
            return "" if is_own else f"spec.access.from lets nobody in from namespace {account.namespace}; widen it"
        namespace = await self._api.get(NAMESPACE, None, account.namespace)
        if namespace is None:
            return f"namespace {account.namespace} does not exist; make it, or correct spec.access.clients"
        labels = namespace["metadata"].get("labels") or {}
        if gate.selector is None or label_selectors.matches(gate.selector, labels):
            return ""
        return f"spec.access.from.selector does not choose namespace {account.namespace}; label it or widen that"
