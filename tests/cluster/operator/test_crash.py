"""The operator may die after any single write: the next one comes to the same end, with the same keys for everybody."""

import asyncio
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt
import pytest
from tests.cluster.installation import NAMESPACE
from tests.cluster.operator.bench import Bench, Endpoint, until
from tests.cluster.operator.process import GUARD_IMAGE

from bartizan.controller import kinds, tools
from bartizan.controller.api import Api, Call, Manifest
from bartizan.controller.connection import Connection
from bartizan.controller.reconcile import Reconciler
from bartizan.controller.settings import Settings
from bartizan.controller.work_queue import Key

pytestmark = pytest.mark.cluster

CLIENTS = [{"name": "chat-ui"}, {"name": "batch"}]
SETTINGS = Settings(namespace=NAMESPACE, guard_image=GUARD_IMAGE)
MOST_WRITES = 40
VOLATILE = {"uid", "resourceVersion", "creationTimestamp", "generation", "managedFields"}
VOLATILE |= {"clusterIP", "clusterIPs", "bartizan.dev/rendered", "documentHash", "documentVersion"}
VOLATILE |= {"deployment.kubernetes.io/revision"}
CHANGED = re.compile(
    r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"  # UIDs
    r"|t-[0-9a-f]{8}|not-before=\d+|\d{4}-\d\d-\d\dT[\d:]+Z"  # namespaces, versions and times
)


class CrashError(BaseException):
    """Not an Exception: nothing may catch it and go on, as nothing goes on in a process that is no more."""


class DyingTransport:
    """Does the nth write and then dies, as does every other request that is under way."""

    def __init__(self, connection: Connection, writes: int) -> None:
        self._connection = connection
        self._left = writes
        self.has_died = False

    async def send(self, call: Call) -> Manifest:
        if self.has_died:
            raise CrashError
        answer = await self._connection.send(call)
        if call.method != "GET":
            self._left -= 1
            self.has_died = self._left <= 0
            if self.has_died:
                raise CrashError
        return answer


async def _live(kubeconfig: Path, endpoint: Endpoint, writes: int, is_over: Callable[[], bool]) -> bool:
    """One life of the operator: until the end is reached (True), or until it dies after so many writes."""
    connection = await Connection.open({"KUBECONFIG": str(kubeconfig)})
    try:
        return await _work(Api(DyingTransport(connection, writes)), endpoint, is_over)
    except (CrashError, BaseExceptionGroup):
        return False
    finally:
        await connection.close()


async def _work(api: Api, endpoint: Endpoint, is_over: Callable[[], bool]) -> bool:
    async with tools.assemble(api, SETTINGS) as assembled:
        reconciler = Reconciler(assembled)
        async with asyncio.timeout(30):
            while True:
                await reconciler.reconcile(Key(endpoint.namespace, endpoint.name))
                if await asyncio.to_thread(is_over):
                    return True


def _lives(bench: Bench, endpoint: Endpoint, writes: int, is_over: Callable[[], bool]) -> bool:
    """Whether the first life was long enough; a second one brings it to its end in any case."""
    kubeconfig = bench.operator_kubeconfig
    is_done = asyncio.run(_live(kubeconfig, endpoint, writes, is_over))
    if not is_done:
        assert asyncio.run(_live(kubeconfig, endpoint, MOST_WRITES * 10, is_over))
    return is_done


def _is_settled(endpoint: Endpoint) -> Callable[[], bool]:
    def check() -> bool:
        live = endpoint.live
        is_current = live.get("status", {}).get("observedGeneration") == live["metadata"]["generation"]
        return is_current and endpoint.owned("Deployment") is not None

    return check


def _is_gone(endpoint: Endpoint) -> Callable[[], bool]:
    return lambda: endpoint.admin.get(kinds.MODEL_DEPLOYMENT, endpoint.namespace, endpoint.name) is None


def _end(endpoint: Endpoint) -> dict[str, Any]:
    """All that there is at the end, but for what time and chance put into it."""
    found: dict[str, Any] = dict(endpoint.inventory())
    found[f"Deployment {endpoint.name}"].pop("status", None)  # its controller's
    found["ModelDeployment"] = endpoint.live
    return {name: json.loads(CHANGED.sub("*", json.dumps(_steady(item)))) for name, item in found.items()}


def _steady(value: Any) -> Any:
    if isinstance(value, list):
        return [_steady(item) for item in value]
    if not isinstance(value, dict):
        return value
    kept = {name: _steady(item) for name, item in value.items() if name not in VOLATILE}
    return kept | {"data": sorted(kept["data"])} if "data" in kept else kept


def _assert_sound(endpoint: Endpoint, epochs: dict[str, int]) -> None:
    """Guards, clients and status speak of the same keys."""
    document = jwt.decode(endpoint.document(), options={"verify_signature": False})
    admitted = {key["client"]: key["id"] for key in document["keys"]}
    held = {client: endpoint.api_key(client).removeprefix("btzn_").partition(".")[0] for client in epochs}
    assert admitted == held
    assert document["version"] == endpoint.status["documentVersion"]
    ledger = {entry["name"]: entry["epoch"] for entry in endpoint.status["clients"] if not entry.get("retired")}
    assert ledger == epochs


Change = Callable[[Endpoint], None]


def _nothing(endpoint: Endpoint) -> None:
    """The creation itself."""


def _raise_and_withdraw(endpoint: Endpoint) -> None:
    endpoint.edit_spec(access={"clients": [{"name": "chat-ui", "keyEpoch": 2}, {"name": "late"}]})


def _change_pods(endpoint: Endpoint) -> None:
    endpoint.edit({"spec": {"template": {"spec": {"terminationGracePeriodSeconds": 900}}}})


CHANGES: dict[str, tuple[Change, dict[str, int]]] = {
    "creation": (_nothing, {"chat-ui": 1, "batch": 1}),
    "keys": (_raise_and_withdraw, {"chat-ui": 2, "late": 1}),
    "pods": (_change_pods, {"chat-ui": 1, "batch": 1}),
}


@pytest.mark.parametrize("name", CHANGES)
def test_dying_after_any_write_of_a_change_leads_to_the_same_end(name: str, bench: Bench) -> None:
    change, epochs = CHANGES[name]
    ends: list[dict[str, Any]] = []
    for writes in range(1, MOST_WRITES):
        endpoint = bench.endpoint(bench.namespace(), replicas=0, access={"clients": CLIENTS})
        if change is not _nothing:
            assert _lives(bench, endpoint, MOST_WRITES * 10, _is_settled(endpoint))
        change(endpoint)
        is_long_enough = _lives(bench, endpoint, writes, _is_settled(endpoint))
        _assert_sound(endpoint, epochs)
        ends.append(_end(endpoint))
        if is_long_enough:
            break
    else:
        pytest.fail(f"more than {MOST_WRITES} writes for one change")
    assert len(ends) > 3, "it takes some writes"
    for position, end in enumerate(ends[:-1]):
        assert end == ends[-1], f"after a crash behind write {position + 1}"


def test_dying_after_any_write_of_a_deletion_leaves_nothing_behind(bench: Bench) -> None:
    for writes in range(1, MOST_WRITES):
        endpoint = bench.endpoint(bench.namespace(), access={"clients": CLIENTS})
        assert _lives(bench, endpoint, MOST_WRITES * 10, _is_settled(endpoint))
        until(endpoint.pods)
        endpoint.delete()
        is_long_enough = _lives(bench, endpoint, writes, _is_gone(endpoint))
        until(lambda: not endpoint.inventory(), lambda: list(endpoint.inventory()))  # noqa: B023
        if is_long_enough:
            return
    pytest.fail(f"more than {MOST_WRITES} writes for a deletion")
