"""What every reconcile works with, put together once by `main`."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from bartizan.controller import stores
from bartizan.controller.api import Api
from bartizan.controller.apply import Applier
from bartizan.controller.builders.surroundings import Surroundings
from bartizan.controller.cluster_keys import ClusterKeys
from bartizan.controller.events import Recorder
from bartizan.controller.fetch import published_keys
from bartizan.controller.guards import Guards, ask_over_http, open_session, tell_over_http
from bartizan.controller.identities import Learner
from bartizan.controller.issuer_keys import Issuers
from bartizan.controller.rollout import Pacer
from bartizan.controller.root_key import RootKeeper
from bartizan.controller.secret_writer import BLIND_INTERVAL_SECONDS, SecretWriter
from bartizan.controller.settings import Settings
from bartizan.controller.soundings import Soundings
from bartizan.controller.stores import Credential
from bartizan.controller.usages import Usages
from bartizan.controller.work_queue import Key


@dataclass(slots=True)
class Tools:
    """Shared by all workers; every part is safe to use from several reconciles at once."""

    api: Api
    applier: Applier
    secrets: SecretWriter
    guards: Guards
    soundings: Soundings
    usages: Usages
    recorder: Recorder
    surroundings: Surroundings
    pacer: Pacer
    root: RootKeeper
    learner: Learner
    now: Callable[[], datetime]
    store_credential: Callable[[str], Credential] = lambda _: Credential()
    """By the store's name."""
    sees_secrets: bool = False
    """Whether owned Secrets may be listed."""
    held_back: dict[Key, datetime] = field(default_factory=dict)
    """Endpoints whose new pods wait for guards, and since when."""


@asynccontextmanager
async def assemble(api: Api, settings: Settings) -> AsyncIterator[Tools]:
    """The tools of a running operator, with the connections that they hold open."""
    async with open_session() as session:
        guards = Guards(api, ask_over_http(session), clock=time.monotonic)
        usages = Usages(tell_over_http(session), clock=time.monotonic)
        yield Tools(
            api=api,
            applier=Applier(api, clock=time.monotonic),
            secrets=SecretWriter(
                api,
                clock=time.monotonic,
                interval_seconds=min(BLIND_INTERVAL_SECONDS, settings.resync_seconds / 2),
            ),
            guards=guards,
            soundings=Soundings(guards, usages.note, clock=time.monotonic),
            usages=usages,
            recorder=Recorder(api, clock=time.monotonic, now=_now),
            surroundings=surroundings(settings),
            pacer=Pacer(settings, clock=time.monotonic),
            root=RootKeeper(api, settings, clock=time.monotonic),
            learner=Learner(
                api,
                ClusterKeys(api, clock=time.monotonic),
                Issuers(settings.issuers, published_keys, clock=time.monotonic),
            ),
            now=_now,
            store_credential=lambda name: stores.credential(Path(settings.store_credentials), name),
            sees_secrets=settings.watch_secrets,
        )


def _now() -> datetime:
    return datetime.now(UTC)


def surroundings(settings: Settings) -> Surroundings:
    return Surroundings(
        guard_image=settings.guard_image,
        guard_pull_policy=settings.guard_pull_policy,
        operator_namespace=settings.namespace,
        operator_pod_labels=dict(settings.pod_labels),
        monitoring_namespace=settings.monitoring_namespace or None,
        monitoring_pod_labels=dict(settings.monitoring_pod_labels),
        dns_namespace=settings.dns_namespace,
        dns_pod_labels=dict(settings.dns_pod_labels),
        stores={store.name: store for store in settings.stores},
    )
