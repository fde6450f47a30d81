"""Which issuers the guards believe, and whom each may name: from the spec and what was learnt of its clients."""

from bartizan.controller.identities import Identities
from bartizan.policy import names
from bartizan.policy.document import SERVICE_ACCOUNT, TokenClient, TrustedIssuer
from bartizan.policy.model import ModelDeployment

MAX_LIFETIME_SECONDS = 3600
"""Of a ServiceAccount's token: what a kubelet renews by itself needs no longer one, and a stolen one dies with it."""


def build(wish: ModelDeployment, found: Identities) -> tuple[TrustedIssuer, ...]:
    """Without keys nobody can be proved to be anybody, so an issuer that shows none stands in no document."""
    cluster = found.cluster
    if cluster is None or not cluster.keys:
        return ()
    clients = (
        TokenClient(client.name, names.service_account_subject(account.namespace, account.name), found.uids[account])
        for client in wish.spec.clients
        if (account := client.service_account) in found.uids and account
    )
    identity = wish.identity
    return (
        TrustedIssuer(
            type=SERVICE_ACCOUNT,
            issuer=cluster.issuer,
            audience=names.audience(identity.name, identity.namespace),
            max_lifetime_seconds=MAX_LIFETIME_SECONDS,
            keys=cluster.keys,
            clients=tuple(clients),
        ),
    )
