"""Runs Kopf: in a thread and an event loop of its own, so that it may end and start again without taking us along.

Kopf, when it stops, cancels every task of its event loop, also those that are not its own; and it ends altogether when
one of its watches is refused. Neither may stop the workers.
"""

import asyncio
import threading
from collections.abc import Callable, Mapping

import kopf
from kopf._core.engines.peering import Identity
from kubernetes.aio import client

from bartizan.controller import handlers, log
from bartizan.controller.connection import credentials
from bartizan.controller.settings import Settings
from bartizan.policy import names

LOGGER = log.logger(__name__)

JOIN_SECONDS = 10.0

IDENTITY = Identity("bartizan-operator")
"""Kopf would make one of the user's name, and an image's user need not have any."""

_BACKOFFS_SECONDS = (1, 1, 2, 3, 5)
"""Kopf's own retries of a refused listing, shorter than its default: our prerequisites say better what is wrong."""


class Watch:
    """One run of Kopf over some namespaces (all, where there are none)."""

    def __init__(
        self,
        observer: handlers.Observer,
        settings: Settings,
        environment: Mapping[str, str],
        namespaces: tuple[str, ...] = (),
    ) -> None:
        self._observer = observer
        self._settings = settings
        self._environment = environment
        self.namespaces = namespaces
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._is_stopping = False

    async def run(self) -> None:
        """Until `stop`, or until Kopf gives up: then its error is raised."""
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        thread = threading.Thread(target=self._run_thread, args=(ended, ended.get_loop()), name="kopf", daemon=True)
        thread.start()
        try:
            await asyncio.shield(ended)
        except asyncio.CancelledError:
            self.stop()
            await asyncio.wait({ended}, timeout=JOIN_SECONDS)
            raise
        finally:
            if ended.done() and not ended.cancelled():
                ended.exception()  # seen: whoever stops a watch does not care what it ends of

    def stop(self) -> None:
        """May be called at any time; `run` returns soon after."""
        self._is_stopping = True
        if self._loop is not None and self._stop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._stop.set)

    def beat(self, answer: Callable[[], None]) -> None:
        """Has Kopf's loop call `answer`: it does as long as nothing blocks it."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(answer)

    def _run_thread(self, ended: asyncio.Future[None], loop: asyncio.AbstractEventLoop) -> None:
        error: Exception | None = None
        try:
            asyncio.run(self._operate())
        except Exception as caught:  # noqa: BLE001 - handed over to the other thread
            error = caught
        if not loop.is_closed():
            loop.call_soon_threadsafe(_finish, ended, error)

    async def _operate(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        if self._is_stopping:
            return
        registry = handlers.registry(self._observer, self._settings)
        kopf.on.login(id="login", registry=registry)(self._login)
        await kopf.operator(
            registry=registry,
            settings=operator_settings(self._settings),
            standalone=True,
            identity=IDENTITY,
            clusterwide=not self.namespaces,
            namespaces=self.namespaces,
            stop_flag=self._stop,
        )

    async def _login(self, **_: object) -> kopf.ConnectionInfo:
        """The same credentials as everywhere else, read anew each time: tokens rotate."""
        configuration = await credentials(self._environment)
        scheme, _space, token = (await _authorization(configuration)).partition(" ")
        return kopf.ConnectionInfo(
            server=configuration.host,
            ca_path=configuration.ssl_ca_cert,
            insecure=not configuration.verify_ssl,
            certificate_path=configuration.cert_file,
            private_key_path=configuration.key_file,
            scheme=scheme or None,
            token=token or None,
        )


def operator_settings(settings: Settings) -> kopf.OperatorSettings:
    """Kopf as we use it: it lists, watches and calls handlers, and writes nothing."""
    chosen = kopf.OperatorSettings()
    chosen.peering.standalone = True
    chosen.posting.enabled = False
    chosen.scanning.disabled = True
    chosen.watching.chunk_size = 500
    chosen.watching.server_timeout = 600
    chosen.watching.client_timeout = 660
    chosen.networking.connect_timeout = 10
    chosen.networking.request_timeout = 60
    chosen.networking.enforce_retry_after = True
    chosen.networking.error_backoffs = _BACKOFFS_SECONDS
    chosen.persistence.finalizer = f"{names.GROUP}/kopf"
    chosen.persistence.progress_storage = kopf.AnnotationsProgressStorage(prefix=names.GROUP)
    chosen.persistence.diffbase_storage = kopf.AnnotationsDiffBaseStorage(prefix=names.GROUP)
    for kind in handlers.owned_kinds(settings):
        chosen.watching.label_selectors[kind.group, kind.version, kind.plural] = handlers.MANAGED_SELECTOR
    return chosen


async def _authorization(configuration: client.Configuration) -> str:
    """Value of the header; empty where a certificate speaks for us."""
    settings = await configuration.auth_settings()
    return str(settings.get("BearerToken", {}).get("value") or "")


def _finish(ended: asyncio.Future[None], error: Exception | None) -> None:
    if ended.done():
        return
    if error is None:
        ended.set_result(None)
    else:
        ended.set_exception(error)
