"""The API client against a real API server: what it rests on holds."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tests.cluster.plane import Plane
from tests.localcluster.api import Cluster

from bartizan.controller.api import NAMESPACE, NETWORK_POLICY, SECRET, SERVICE, Api, ApiError
from bartizan.controller.connection import Connection
from bartizan.policy import names

pytestmark = pytest.mark.cluster

HERE, GOING = "api", "api-going"


@pytest.fixture(scope="module")
def cluster(plane: Plane) -> Iterator[Cluster]:
    with plane.lent(HERE, GOING) as cluster:
        yield cluster


@asynccontextmanager
async def open_api(cluster: Cluster) -> AsyncIterator[Api]:
    connection = await Connection.open({"KUBECONFIG": str(cluster.kubeconfig)})
    try:
        yield Api(connection)
    finally:
        await connection.close()


def use(cluster: Cluster, scenario: Callable[[Api], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        async with open_api(cluster) as api:
            return await scenario(api)

    return asyncio.run(run())


def service(name: str, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": HERE, "labels": {names.MANAGED_BY_LABEL: names.MANAGED_BY}},
        "spec": {"ports": [{"name": "http", "port": 8080, "protocol": "TCP"}], "selector": {"app": name}, **spec},
    }


def test_apply_creates_then_changes_nothing_when_repeated(cluster: Cluster) -> None:
    async def scenario(api: Api) -> None:
        first = await api.apply(service("applied"))
        second = await api.apply(service("applied"))
        assert first["metadata"]["resourceVersion"] == second["metadata"]["resourceVersion"]
        assert first["metadata"]["managedFields"][0]["manager"] == names.FIELD_MANAGER
        assert await api.get(SERVICE, HERE, "applied") == second

    use(cluster, scenario)


def test_replace_takes_away_what_apply_leaves_and_minds_the_resource_version(cluster: Cluster) -> None:
    async def scenario(api: Api) -> None:
        await api.apply(service("replaced"))
        more = {"spec": {"externalIPs": ["192.0.2.1"]}}
        live = await api.patch_merge(SERVICE, HERE, "replaced", more)
        assert (await api.apply(service("replaced")))["spec"]["externalIPs"] == ["192.0.2.1"], "why PUT is needed"
        wanted = service("replaced", clusterIP=live["spec"]["clusterIP"], clusterIPs=live["spec"]["clusterIPs"])
        stale = {**wanted, "metadata": {**wanted["metadata"], "resourceVersion": "1"}}
        with pytest.raises(ApiError) as caught:
            await api.replace(stale)
        assert caught.value.is_conflict
        version = live["metadata"]["resourceVersion"]
        replaced = await api.replace({**wanted, "metadata": {**wanted["metadata"], "resourceVersion": version}})
        assert "externalIPs" not in replaced["spec"]

    use(cluster, scenario)


def test_create_refuses_what_exists_and_makes_names(cluster: Cluster) -> None:
    async def scenario(api: Api) -> None:
        await api.create(service("created"))
        with pytest.raises(ApiError) as caught:
            await api.create(service("created"))
        assert caught.value.is_conflict
        event = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"generateName": "llama.", "namespace": HERE},
            "involvedObject": {"kind": "Service", "namespace": HERE, "name": "created"},
            "reason": "Test",
            "message": "x",
        }
        assert (await api.create(event))["metadata"]["name"].startswith("llama.")

    use(cluster, scenario)


def test_lists_go_by_label_and_carry_their_kind(cluster: Cluster) -> None:
    async def scenario(api: Api) -> None:
        await api.apply(service("listed"))
        labels = {names.MANAGED_BY_LABEL: names.MANAGED_BY}
        for found in (await api.list(SERVICE, HERE, labels=labels), await api.list_metadata(SERVICE, labels=labels)):
            (item,) = [item for item in found if item["metadata"]["name"] == "listed"]
            assert (item["apiVersion"], item["kind"]) == ("v1", "Service")
        assert "spec" not in item, "the second list is of metadata only"
        everywhere = await api.list(SERVICE)
        assert "kubernetes" in {item["metadata"]["name"] for item in everywhere}

    use(cluster, scenario)


def test_patches_of_both_kinds_work_and_a_test_operation_guards(cluster: Cluster) -> None:
    async def scenario(api: Api) -> None:
        live = await api.apply(service("patched"))
        version = {"op": "test", "path": "/metadata/resourceVersion", "value": live["metadata"]["resourceVersion"]}
        add = {"op": "add", "path": "/metadata/finalizers", "value": [names.FINALIZER]}
        patched = await api.patch_json(SERVICE, HERE, "patched", [version, add])
        assert patched["metadata"]["finalizers"] == [names.FINALIZER]
        with pytest.raises(ApiError) as caught:
            await api.patch_json(SERVICE, HERE, "patched", [version, add])
        assert caught.value.is_invalid or caught.value.is_conflict
        await api.patch_merge(SERVICE, HERE, "patched", {"metadata": {"finalizers": None}})

    use(cluster, scenario)


def test_delete_minds_the_uid_and_takes_absence_for_done(cluster: Cluster) -> None:
    async def scenario(api: Api) -> None:
        live = await api.apply(service("deleted"))
        with pytest.raises(ApiError) as caught:
            await api.delete(SERVICE, HERE, "deleted", uid="00000000-0000-0000-0000-000000000000")
        assert caught.value.is_conflict
        await api.delete(SERVICE, HERE, "deleted", uid=live["metadata"]["uid"], propagation="Background")
        assert await api.get(SERVICE, HERE, "deleted") is None
        await api.delete(SERVICE, HERE, "deleted")

    use(cluster, scenario)


def test_errors_are_told_apart_by_what_a_caller_does_about_them(cluster: Cluster) -> None:
    held = {**service("held"), "metadata": {"name": "held", "namespace": GOING, "finalizers": ["example.org/held"]}}
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(held))
    cluster.kubectl("delete", "namespace", GOING, "--wait=false")

    async def scenario(api: Api) -> None:
        with pytest.raises(ApiError) as caught:
            await api.apply(service("bad", ports=[{"port": 0}]))
        assert caught.value.is_invalid
        late = service("late")
        late["metadata"]["namespace"] = GOING
        with pytest.raises(ApiError) as caught:
            await api.apply(late)
        assert caught.value.is_terminating
        await api.patch_merge(SERVICE, GOING, "held", {"metadata": {"finalizers": None}})
        assert await api.get(NAMESPACE, None, HERE) is not None
        assert await api.get(NETWORK_POLICY, HERE, "absent") is None

    use(cluster, scenario)


def test_an_api_server_that_is_away_is_unreachable_and_heals(cluster: Cluster) -> None:
    async def scenario(api: Api) -> None:
        await api.look(SECRET)
        cluster.stop("kube-apiserver")
        try:
            with pytest.raises(ApiError) as caught:
                await api.look(SECRET)
            assert caught.value.is_unreachable
        finally:
            cluster.start("kube-apiserver")
        await api.look(SECRET)

    use(cluster, scenario)
