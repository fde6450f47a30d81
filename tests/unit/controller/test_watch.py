"""Kopf as we use it: writes nothing, asks the server to filter, and may end without taking us along."""

import asyncio
import time
from pathlib import Path

from bartizan.controller import handlers, watch
from bartizan.controller.handlers import Observer
from bartizan.controller.settings import Settings
from bartizan.controller.watch import Watch

SETTINGS = Settings(guard_image="x", namespaces=("ml",))
NOWHERE = """
clusters: [{name: c, cluster: {server: "https://127.0.0.1:1"}}]
users: [{name: u, user: {token: none}}]
contexts: [{name: x, context: {cluster: c, user: u}}]
current-context: x
"""


def make(environment: dict[str, str]) -> Watch:
    return Watch(Observer(lambda *_: None, clock=time.monotonic), SETTINGS, environment, ("ml",))


def test_kopf_neither_peers_nor_posts_nor_scans() -> None:
    chosen = watch.operator_settings(SETTINGS)
    assert chosen.peering.standalone
    assert not chosen.posting.enabled
    assert chosen.scanning.disabled
    assert chosen.queueing.worker_limit is None, "a limit lets one bad object hold up all others"


def test_every_owned_kind_is_filtered_by_the_server() -> None:
    selectors = watch.operator_settings(SETTINGS).watching.label_selectors
    assert len(selectors) == len(handlers.owned_kinds(SETTINGS))
    assert set(selectors.values()) == {handlers.MANAGED_SELECTOR}


def test_the_registry_has_event_handlers_and_nothing_that_writes() -> None:
    registry = handlers.registry(Observer(lambda *_: None, clock=time.monotonic), SETTINGS)
    assert len(registry._watching.get_all_handlers()) == 1 + len(handlers.owned_kinds(SETTINGS))
    for writing in (registry._changing, registry._spawning, registry._indexing, registry._webhooks):
        assert not list(writing.get_all_handlers())


def test_a_watch_that_was_stopped_before_it_ran_ends_at_once() -> None:
    async def scenario() -> None:
        stopped = make({})
        stopped.stop()
        async with asyncio.timeout(10):
            await stopped.run()

    asyncio.run(scenario())


def test_a_cancelled_watch_takes_its_thread_along(tmp_path: Path) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(NOWHERE)

    async def scenario() -> bool:
        running = make({"KUBECONFIG": str(kubeconfig)})
        task = asyncio.create_task(running.run())
        await asyncio.wait({task}, timeout=0.2)
        task.cancel()
        await asyncio.wait({task}, timeout=20)
        return task.cancelled()

    assert asyncio.run(scenario())


def test_kopf_gets_the_credentials_that_the_client_has(tmp_path: Path) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(NOWHERE)
    found = asyncio.run(make({"KUBECONFIG": str(kubeconfig)})._login())
    assert (found.server, found.scheme, found.token) == ("https://127.0.0.1:1", "Bearer", "none")
