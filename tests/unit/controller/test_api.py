"""The API client: what goes over the wire for each verb, and what comes back."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import pytest
from tests.unit.controller.fake_transport import Answer, FakeTransport

from bartizan.controller import metrics
from bartizan.controller.api import CHUNK, DEPLOYMENT, MODEL_DEPLOYMENT, NAMESPACE, SECRET, SERVICE, Api, ApiError, Call

T = TypeVar("T")


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(coroutine)


def manifest(**metadata: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "llama", "namespace": "ml", **metadata}}


def writes(verb: str, kind: str) -> float:
    found = metrics.REGISTRY.get_sample_value("bartizan_operator_api_writes_total", {"verb": verb, "kind": kind})
    return found or 0.0


def test_an_absent_object_is_none() -> None:
    api = Api(FakeTransport(lambda _: ApiError(404, "NotFound", "no such thing")))
    assert run(api.get(SERVICE, "ml", "llama")) is None


def test_other_refusals_are_raised() -> None:
    api = Api(FakeTransport(lambda _: ApiError(403, "Forbidden", "no")))
    with pytest.raises(ApiError, match="403 Forbidden: no"):
        run(api.get(SERVICE, "ml", "llama"))


def test_paths_follow_group_and_scope() -> None:
    assert SERVICE.path("ml", "llama") == "/api/v1/namespaces/ml/services/llama"
    assert DEPLOYMENT.path() == "/apis/apps/v1/deployments"
    assert NAMESPACE.path("ignored", "ml") == "/api/v1/namespaces/ml"
    assert MODEL_DEPLOYMENT.path("ml", "llama", subresource="status").endswith("/modeldeployments/llama/status")


def test_no_name_leaves_its_place_in_the_path() -> None:
    assert SERVICE.path("ml", "../../secrets") == "/api/v1/namespaces/ml/services/..%2F..%2Fsecrets"


def test_a_list_goes_page_by_page_and_its_items_say_what_they_are() -> None:
    def answer(call: Call) -> Answer:
        after = dict(call.query).get("continue")
        names = {None: ["a", "b"], "2": ["c"]}[after]
        more = {"continue": "2"} if after is None else {}
        return {"items": [{"metadata": {"name": name}} for name in names], "metadata": more}

    transport = FakeTransport(answer)
    items = run(Api(transport).list(SERVICE, labels={"b": "2", "a": "1"}))
    assert [item["metadata"]["name"] for item in items] == ["a", "b", "c"]
    assert {(item["apiVersion"], item["kind"]) for item in items} == {("v1", "Service")}
    assert transport.calls[0].query == (("limit", str(CHUNK)), ("labelSelector", "a=1,b=2"))
    assert ("continue", "2") in transport.calls[1].query


def test_apply_is_a_forced_server_side_apply_and_counted() -> None:
    transport, before = FakeTransport(), writes("apply", "Service")
    run(Api(transport).apply(manifest(), manager="someone", subresource="status"))
    call = transport.last
    assert (call.method, call.path) == ("PATCH", "/api/v1/namespaces/ml/services/llama/status")
    assert call.query == (("fieldManager", "someone"), ("force", "true"))
    assert call.content_type == "application/apply-patch+yaml"
    assert writes("apply", "Service") == before + 1


def test_what_may_be_sent_twice_is_marked() -> None:
    transport = FakeTransport()
    api = Api(transport)
    run(api.create(manifest()))
    run(api.replace(manifest(resourceVersion="7")))
    run(api.patch_json(SERVICE, "ml", "llama", [{"op": "remove", "path": "/spec/x"}]))
    assert [call.is_repeatable for call in transport.calls] == [False, False, False]
    run(api.apply(manifest()))
    run(api.patch_merge(SERVICE, "ml", "llama", {"spec": {}}))
    run(api.delete(SERVICE, "ml", "llama"))
    assert [call.is_repeatable for call in transport.calls[3:]] == [True, True, True]


def test_delete_takes_preconditions_and_absence() -> None:
    transport = FakeTransport(lambda _: ApiError(404, "NotFound", "gone"))
    run(Api(transport).delete(SECRET, "ml", "x", uid="u", resource_version="7", propagation="Foreground"))
    assert transport.last.body == {
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "preconditions": {"uid": "u", "resourceVersion": "7"},
        "propagationPolicy": "Foreground",
    }


@pytest.mark.parametrize(
    ("error", "claims"),
    [
        (ApiError(404, "NotFound", ""), {"is_not_found"}),
        (ApiError(409, "Conflict", ""), {"is_conflict"}),
        (ApiError(422, "Invalid", ""), {"is_invalid"}),
        (ApiError(403, "Forbidden", "you may not"), {"is_forbidden"}),
        (ApiError(403, "Forbidden", 'namespace "x" because it is being terminated'), {"is_terminating"}),
        (ApiError(0, "Timeout", ""), {"is_unreachable"}),
    ],
)
def test_an_error_says_what_it_means(error: ApiError, claims: set[str]) -> None:
    names = [name for name in dir(ApiError) if name.startswith("is_")]
    assert {name for name in names if getattr(error, name)} == claims


KEY = "btzn_abcdefghijklmnop.ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789abcdefg"


def test_an_error_carries_no_key_that_a_webhook_repeats() -> None:
    error = ApiError(403, "Forbidden", f"admission webhook denied: {KEY} is too long")
    assert KEY not in str(error) + error.message + repr(error)
    assert error.message == "admission webhook denied: [redacted] is too long"


@pytest.mark.parametrize("verb", ["apply", "create", "patch"])
@pytest.mark.parametrize("value", ["cm9vdA0oIHdpdGggMzIgYnl0ZXM=", "root\r( with 32 bytes"])
def test_an_error_of_a_secrets_write_carries_nothing_of_its_content(verb: str, value: str) -> None:
    secret: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "s", "namespace": "ml"},
        "data": {"root": "cm9vdA0oIHdpdGggMzIgYnl0ZXM="},
    }
    transport = FakeTransport(lambda _: ApiError(422, "Invalid", f"webhook: data.root: {value} is bad"))
    api = Api(transport)
    calls: dict[str, Callable[[], Coroutine[Any, Any, Any]]] = {
        "apply": lambda: api.apply(secret),
        "create": lambda: api.create(secret),
        "patch": lambda: api.patch_merge(SECRET, "ml", "s", {"data": secret["data"]}),
    }
    with pytest.raises(ApiError) as refused:
        run(calls[verb]())
    assert value not in str(refused.value)
    assert refused.value.message == "webhook: data.root: [redacted] is bad"
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__
