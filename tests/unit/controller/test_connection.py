"""The connection's manners with an API server that is slow, busy or away."""

import asyncio
import random
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from time import perf_counter

import pytest
from aiohttp import web
from kubernetes.aio import client

from bartizan.controller.api import APPLY_PATCH, JSON_PATCH, MERGE_PATCH, ApiError, Call
from bartizan.controller.connection import ATTEMPTS, Connection, is_in_cluster

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def connected(handler: Handler) -> AsyncIterator[Connection]:
    """A connection to a server that answers with `handler`."""
    server = web.Server(handler)
    runner = web.ServerRunner(server, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, host="127.0.0.1", port=0).start()
    connection = Connection(client.Configuration(host=f"http://127.0.0.1:{runner.addresses[0][1]}"), random.Random(1))
    try:
        yield connection
    finally:
        await connection.close()
        await runner.cleanup()


class Answers:
    """Answers in turn, the last one for ever; counts."""

    def __init__(self, *answers: tuple[int, dict[str, str], str]) -> None:
        self.answers = answers
        self.asked: list[web.BaseRequest] = []

    async def __call__(self, request: web.BaseRequest) -> web.Response:
        self.asked.append(request)
        status, headers, text = self.answers[min(len(self.asked), len(self.answers)) - 1]
        return web.Response(status=status, headers=headers, text=text)


BUSY = (429, {"Retry-After": "0"}, '{"reason": "TooManyRequests", "message": "later"}')
OK: tuple[int, dict[str, str], str] = (200, {}, '{"kind": "Service"}')
GET = Call("GET", "/api/v1/services", is_repeatable=True)


def send(answers: Answers, call: Call = GET) -> dict[str, object]:
    async def scenario() -> dict[str, object]:
        async with connected(answers) as connection:
            return await connection.send(call)

    return asyncio.run(scenario())


def test_an_answer_that_is_nested_too_deeply_is_an_error_of_its_own() -> None:
    levels = sys.getrecursionlimit() + 10
    answers = Answers((200, {}, '{"a":' * levels + "1" + "}" * levels))
    with pytest.raises(ApiError) as caught:
        send(answers)
    assert (caught.value.reason, caught.value.is_unreachable) == ("NestedTooDeeply", False)
    assert len(answers.asked) == 1


def test_a_busy_server_is_asked_again_when_it_says() -> None:
    answers = Answers(BUSY, BUSY, OK)
    assert send(answers, Call("POST", "/api/v1/services", body={"a": 1})) == {"kind": "Service"}
    assert len(answers.asked) == 3


def test_a_server_that_stays_busy_is_left_alone() -> None:
    answers = Answers(BUSY)
    with pytest.raises(ApiError, match="429 TooManyRequests: later"):
        send(answers)
    assert len(answers.asked) == ATTEMPTS


def test_a_long_wait_goes_back_to_the_queue() -> None:
    answers = Answers((429, {"Retry-After": "60"}, "{}"))
    started = perf_counter()
    with pytest.raises(ApiError):
        send(answers)
    assert len(answers.asked) == 1
    assert perf_counter() - started < 5


@pytest.mark.parametrize("status", [400, 403, 409, 422, 429, 500, 503])
def test_other_refusals_are_not_repeated(status: int) -> None:
    answers = Answers((status, {}, '{"reason": "R", "message": "m"}'))
    with pytest.raises(ApiError) as caught:
        send(answers)
    assert (caught.value.status, caught.value.reason, caught.value.message) == (status, "R", "m")
    assert len(answers.asked) == 1


def test_an_answer_that_is_no_json_is_quoted() -> None:
    with pytest.raises(ApiError, match="502 : bad gateway"):
        send(Answers((502, {}, "bad gateway")))


@pytest.mark.parametrize(("is_repeatable", "attempts"), [(True, ATTEMPTS), (False, 1)])
def test_a_lost_connection_is_repeated_only_where_it_does_no_harm(is_repeatable: bool, attempts: int) -> None:
    asked = 0

    async def drop(request: web.BaseRequest) -> web.Response:
        nonlocal asked
        asked += 1
        assert request.transport is not None
        request.transport.close()
        return web.Response()

    async def scenario() -> None:
        async with connected(drop) as connection:
            await connection.send(Call("POST", "/api/v1/services", body={}, is_repeatable=is_repeatable))

    with pytest.raises(ApiError) as caught:
        asyncio.run(scenario())
    assert caught.value.is_unreachable
    assert asked == attempts


def test_a_patch_keeps_its_content_type() -> None:
    bodies: dict[str, object] = {MERGE_PATCH: {"a": 1}, JSON_PATCH: [{"op": "x"}], APPLY_PATCH: {"a": 1}}
    for content_type, body in bodies.items():
        answers = Answers(OK)
        send(answers, Call("PATCH", "/api/v1/x", body=body, content_type=content_type))
        assert answers.asked[0].headers["Content-Type"] == content_type
        assert answers.asked[0].headers["User-Agent"] == "bartizan-operator"


def test_a_kubeconfig_goes_before_the_pods_account() -> None:
    pod = {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}
    assert is_in_cluster(pod)
    assert not is_in_cluster(pod | {"KUBECONFIG": "/x"})
    assert not is_in_cluster({})
