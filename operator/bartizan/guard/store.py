"""Speaks to the store that guards share their limits through: one script, a small pool, a deadline on everything."""

import asyncio
import hashlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from valkey.asyncio import BlockingConnectionPool, Connection, SSLConnection, Valkey
from valkey.asyncio.retry import Retry
from valkey.backoff import NoBackoff
from valkey.credentials import CredentialProvider
from valkey.exceptions import NoScriptError

from bartizan.guard.store_script import SCRIPT, StoreError
from bartizan.policy.document import SharedStore

DEADLINE_SECONDS = 0.25
"""For one answer, whatever it takes to get it: a request waits no longer for the store than for a slow packet."""
MOST_CONNECTIONS = 16
PASSWORD_FILE = "store-password"  # noqa: S105 -- a name, not a password
USER_FILE = "store-user"
_SHA = hashlib.sha1(SCRIPT.encode()).hexdigest()  # noqa: S324 -- how the store names scripts


@dataclass(frozen=True, slots=True)
class Place:
    """Where the store is, and where its credential lies, which may change at any time."""

    store: SharedStore
    folder: Path


class Store:
    def __init__(self, place: Place, endpoint_uid: str) -> None:
        self._keys = (f"bartizan:{{{endpoint_uid}}}", f"bartizan:{{{endpoint_uid}}}:leases")
        self._client = Valkey(connection_pool=_pool(place))

    async def run(self, *arguments: str | int) -> list[int]:
        """The script's answer; raises StoreError."""
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                answer = await self._run([str(argument) for argument in arguments])
        except Exception as error:  # a connection that dies at a bad moment raises what no library declares
            raise StoreError(f"{type(error).__name__}: {error}") from error
        if not isinstance(answer, list) or not all(type(figure) is int for figure in answer):
            raise StoreError("the store's answer is none of ours")
        return answer

    async def close(self) -> None:
        """Whatever the other side says to it, or does not."""
        with suppress(Exception):
            async with asyncio.timeout(DEADLINE_SECONDS):
                await self._client.aclose()
                await self._client.connection_pool.disconnect()

    async def _run(self, arguments: Sequence[str]) -> Any:  # noqa: ANN401 -- judged by the caller
        try:
            return await self._client.evalsha(_SHA, 2, *self._keys, *arguments)  # type: ignore[misc]
        except NoScriptError:  # the first call of all, or a store that started anew
            return await self._client.eval(SCRIPT, 2, *self._keys, *arguments)  # type: ignore[misc]


class _FromFiles(CredentialProvider):
    """Reads them at each connect, so that a password that was changed is used as soon as it is there."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get_credentials(self) -> tuple[str] | tuple[str, str]:
        try:
            password = (self._folder / PASSWORD_FILE).read_text(encoding="utf-8").strip()
            user = (self._folder / USER_FILE).read_text(encoding="utf-8").strip()
        except FileNotFoundError as error:
            raise OSError("the store's credential is not there") from error
        return (user, password) if user else (password,)


class _Secure(SSLConnection):
    """TLS to an address that is no name: the certificate must be for `server_name`."""

    def __init__(self, *, server_name: str, **rest: Any) -> None:  # noqa: ANN401 -- the library's own
        super().__init__(ssl_check_hostname=True, **rest)
        self._server_name = server_name

    def _connection_arguments(self) -> Any:  # noqa: ANN401 -- the library's own
        return {**super()._connection_arguments(), "server_hostname": self._server_name}


def _pool(place: Place) -> BlockingConnectionPool:
    store = place.store
    secure: dict[str, Any] = {"server_name": store.server_name, "ssl_ca_data": store.ca} if store.server_name else {}
    return BlockingConnectionPool(
        connection_class=_Secure if store.server_name else Connection,
        max_connections=MOST_CONNECTIONS,
        timeout=DEADLINE_SECONDS,  # type: ignore[arg-type] # a fraction of a second is as good
        host=store.address,
        port=store.port,
        credential_provider=_FromFiles(place.folder),
        retry=Retry(NoBackoff(), 0),
        lib_name=None,
        lib_version=None,
        **secure,
    )
