"""Which issuers the guards believe, and whom each may name: from the spec and what was learnt of its clients."""

from collections.abc import Iterator

from bartizan.controller.cluster_keys import KeySet
from bartizan.controller.identities import Identities
from bartizan.policy import names
from bartizan.policy.document import JWT, SERVICE_ACCOUNT, TokenClient, TrustedIssuer
from bartizan.policy.issuers import IssuerSetting
from bartizan.policy.model import ModelDeployment

MAX_LIFETIME_SECONDS = 3600
"""Of a ServiceAccount's token: what a kubelet renews by itself needs no longer one, and a stolen one dies with it."""


def build(wish: ModelDeployment, found: Identities) -> tuple[TrustedIssuer, ...]:
    """Without keys nobody can be proved to be anybody, so an issuer that shows none stands in no document."""
    cluster = [_cluster(wish, found, found.cluster)] if found.cluster is not None and found.cluster.keys else []
    return (*cluster, *(_named(wish, setting, keys) for setting, keys in found.issuers if keys.keys))


def _cluster(wish: ModelDeployment, found: Identities, keys: KeySet) -> TrustedIssuer:
    clients = (
        TokenClient(client.name, names.service_account_subject(account.namespace, account.name), found.uids[account])
        for client in wish.spec.clients
        if (account := client.service_account) in found.uids and account
    )
    return TrustedIssuer(
        type=SERVICE_ACCOUNT,
        name=SERVICE_ACCOUNT,
        issuer=keys.issuer,
        audience=_audience(wish),
        max_lifetime_seconds=MAX_LIFETIME_SECONDS,
        keys=keys.keys,
        clients=tuple(clients),
    )


def _named(wish: ModelDeployment, setting: IssuerSetting, keys: KeySet) -> TrustedIssuer:
    return TrustedIssuer(
        type=JWT,
        name=setting.name,
        issuer=setting.url,
        audience=setting.audience or _audience(wish),
        max_lifetime_seconds=setting.max_lifetime_seconds,
        keys=keys.keys,
        clients=tuple(_clients(wish, setting)),
        subject_claim=setting.subject_claim,
        groups_claim=setting.groups_claim,
    )


def _clients(wish: ModelDeployment, setting: IssuerSetting) -> Iterator[TokenClient]:
    for client in wish.spec.clients:
        if client.jwt and client.jwt.issuer == setting.name:
            yield TokenClient(client.name, client.jwt.subject, groups=client.jwt.groups)


def _audience(wish: ModelDeployment) -> str:
    return names.audience(wish.identity.name, wish.identity.namespace)
