"""The connection to the API server: credentials, TLS, deadlines, how many requests at once, and short retries."""

import asyncio
import json
import random
from collections.abc import Mapping
from typing import Any, Self

import aiohttp
from kubernetes.aio import client, config

from bartizan.controller.api import ApiError, Call, Manifest

TIMEOUT = aiohttp.ClientTimeout(total=10, connect=5)
"""A healthy server answers in milliseconds; a reconcile that hangs holds up a worker."""
IN_FLIGHT = 32
"""Requests at once; the server's own priority and fairness does the rest."""
ATTEMPTS = 3
LONGEST_WAIT_SECONDS = 5.0
"""A longer `Retry-After` goes back to the work queue instead of holding a worker."""


class Connection:
    """A `Transport` over the official client's low level; answers are plain dicts."""

    def __init__(self, configuration: client.Configuration, generator: random.Random | None = None) -> None:
        configuration.connection_pool_maxsize = IN_FLIGHT
        configuration.retries = None  # ours are shorter, and know which calls may be repeated
        # Reading netrc and proxy variables for every request costs four times the request; a proxy is set explicitly.
        configuration.client_session_kwargs = {"trust_env": False}
        self._client = client.ApiClient(configuration)
        self._client.user_agent = "bartizan-operator"
        self._slots = asyncio.Semaphore(IN_FLIGHT)
        self._random = generator or random.Random()  # noqa: S311 - spreads retries, guards nothing

    @classmethod
    async def open(cls, environment: Mapping[str, str]) -> Self:
        return cls(await credentials(environment))

    async def close(self) -> None:
        await self._client.close()  # type: ignore[no-untyped-call]

    async def send(self, call: Call) -> Manifest:
        """Retries a refusal for load, and a lost connection where a second call does no harm."""
        for attempt in range(1, ATTEMPTS):
            try:
                return await self._send_once(call)
            except _RetryLaterError as later:
                if later.seconds > LONGEST_WAIT_SECONDS:
                    raise later.error from None
                await asyncio.sleep(later.seconds + self._random.uniform(0, 0.1))
            except ApiError as error:
                if not (error.is_unreachable and call.is_repeatable):
                    raise
                await asyncio.sleep(self._random.uniform(0.05, 0.2) * attempt)
        try:
            return await self._send_once(call)
        except _RetryLaterError as later:
            raise later.error from None

    async def _send_once(self, call: Call) -> Manifest:
        async with self._slots:
            try:
                return await self._exchange(call)
            except TimeoutError as error:
                raise ApiError(0, "Timeout", f"no answer to {call.method} {call.path} in {TIMEOUT.total} s") from error
            except (aiohttp.ClientError, OSError) as error:
                raise ApiError(0, "Unreachable", f"{call.method} {call.path}: {error}") from error

    async def _exchange(self, call: Call) -> Manifest:
        headers = {"Content-Type": call.content_type, "Accept": call.accept}
        request = await self._client.param_serialize(
            call.method,
            call.path,
            query_params=list(call.query),
            header_params=headers,
            body=call.body,
            auth_settings=["BearerToken"],
        )
        response = await self._client.call_api(*request, _request_timeout=TIMEOUT)
        body: bytes = await response.read()  # type: ignore[no-untyped-call]
        return _judge(response.status, response.headers, body)


async def credentials(environment: Mapping[str, str]) -> client.Configuration:
    """`KUBECONFIG` where it is set, the pod's service account inside a cluster, else `~/.kube/config`."""
    configuration = client.Configuration()
    if is_in_cluster(environment):
        config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
        return configuration
    await config.load_kube_config(  # type: ignore[no-untyped-call]
        config_file=environment.get("KUBECONFIG") or None,
        client_configuration=configuration,
        persist_config=False,
    )
    return configuration


class _RetryLaterError(Exception):
    def __init__(self, error: ApiError, seconds: float) -> None:
        super().__init__(str(error))
        self.error = error
        self.seconds = seconds


def is_in_cluster(environment: Mapping[str, str]) -> bool:
    """Whether the pod's service account is the credential to use."""
    return not environment.get("KUBECONFIG") and "KUBERNETES_SERVICE_HOST" in environment


def _judge(status: int, headers: Mapping[str, str], body: bytes) -> Manifest:
    if status < 400:  # noqa: PLR2004
        return _decode(status, body)
    answer = _decode(status, body)
    error = ApiError(status, str(answer.get("reason") or ""), str(answer.get("message") or "no message"))
    if status == 429 and (seconds := _retry_after(headers)) is not None:  # noqa: PLR2004
        raise _RetryLaterError(error, seconds)
    raise error


def _decode(status: int, body: bytes) -> Manifest:
    try:
        answer: Any = json.loads(body or b"{}")
    except RecursionError as error:
        raise ApiError(status, "NestedTooDeeply", "an object in the answer is nested too deeply to be read") from error
    except ValueError:
        answer = None
    return answer if isinstance(answer, dict) else {"message": body[:200].decode("utf-8", "replace")}


def _retry_after(headers: Mapping[str, str]) -> float | None:
    value = headers.get("Retry-After", "")
    return float(value) if value.isascii() and value.isdigit() else None
