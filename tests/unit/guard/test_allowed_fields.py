"""Fields that an owner lets through: by name, inspected like all others, and none that a promise would go with."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from langchain_openai import ChatOpenAI
from tests.unit.guard import running
from tests.unit.guard.inspectors import HoldBack
from tests.unit.guard.running import ROOT, SIGNING_KEY, Guard, Model, chat, credential, document
from tests.unit.guard.stand import Stand

from bartizan.guard.profiles import schema
from bartizan.guard.profiles.contract import Terms
from bartizan.guard.refusal import Refusal
from bartizan.policy import document as documents
from bartizan.policy.document import DocumentError
from bartizan.policy.fields import MOST, NEVER
from bartizan.policy.reasons import Reason

ALLOWED = ("guided_json", "min_p", "top_k", "chat_template_kwargs", "temperature", "repetition_penalty")
MESSAGE: dict[str, Any] = {"model": "demo", "max_tokens": 5, "messages": [{"role": "user", "content": "x"}]}
ASKED = {
    "/v1/chat/completions": chat("x"),
    "/v1/completions": {"model": "demo", "prompt": "x"},
    "/v1/embeddings": {"model": "demo", "input": "x"},
    "/v1/responses": {"model": "demo", "input": "x"},
}


@pytest.fixture(scope="module")
def guard(tmp_path_factory: pytest.TempPathFactory, model: Model) -> Iterator[Guard]:
    given = document(allow_fields=ALLOWED)
    with running.guard(tmp_path_factory.mktemp("allowing"), model.upstream, given=given) as started:
        yield started


@pytest.mark.parametrize("path", ASKED)
def test_an_allowed_field_passes_on_every_path(guard: Guard, model: Model, path: str) -> None:
    more = {"top_k": 5, "guided_json": {"type": "object", "properties": {"a": {"enum": ["b", None, 1.5]}}}}
    assert guard.ask({**ASKED[path], **more}, path=path).status == 200
    told = json.loads(model.received()[-1]["body"])
    assert {name: told[name] for name in more} == more


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"top_n_sigma": 1}, "top_n_sigma"),
        ({"Top_k": 1}, "Top_k"),
        ({"temperature": 3}, "temperature"),
        ({"min_p": "x" * 70_000}, "min_p"),
        ({"chat_template_kwargs": {"chat_template": "{{ secret }}"}}, "chat_template_kwargs.chat_template"),
        ({"chat_template_kwargs": {"a": {"chat_template": "x"}}}, "chat_template_kwargs.a.chat_template"),
        ({"chat_template_kwargs": {"a": [1, [{"b": {"n": 2}}]]}}, "chat_template_kwargs.a[1][0].b.n"),
        ({"min_p": [{"image_url": "x"}]}, "min_p[0].image_url"),
        ({"min_p": {"x" * 9000: {"y" * 9000: {"store": 1}}}}, f"min_p.{'x' * 64}.{'y' * 57}"),
        ({"guided_json": {"n": 1}}, "guided_json.n"),
        ({"messages": [{"role": "user", "content": "x", "top_k": 1}]}, "messages[0].top_k"),
    ],
)
def test_everything_else_is_judged_as_before(guard: Guard, more: dict[str, Any], param: str) -> None:
    refused = guard.ask({**chat("x"), **more})
    assert (refused.status, refused.json()["error"]["param"]) == (400, param)


def test_a_json_schema_names_its_own_properties(guard: Guard, model: Model) -> None:
    schema = {"type": "object", "properties": {"model": {"type": "string"}, "file": {"properties": {"n": {}}}}}
    assert guard.ask(chat("x", guided_json=schema)).status == 200
    assert json.loads(model.received()[-1]["body"])["guided_json"] == schema
    within = {"structured": {"json": schema}, "grammar": {"value": {"$defs": {"store": {}}}}}
    assert guard.ask(chat("x", chat_template_kwargs=within)).status == 200, "wherever the schema stands"


def test_langchain_asks_for_what_a_server_knows_beyond_the_protocol(guard: Guard, model: Model) -> None:
    import openai  # noqa: PLC0415 -- beside the one test that needs it

    with openai.DefaultHttpxClient() as http:
        made = ChatOpenAI(model="demo", base_url=guard.base_url, api_key=credential().reveal, http_client=http,
                          extra_body={"top_k": 5})  # fmt: skip
        assert made.invoke("hello").text == "hello"
    assert json.loads(model.received()[-1]["body"])["top_k"] == 5


@pytest.mark.parametrize(
    ("protocol", "path", "body", "beside"),
    [
        ("OpenAI", "/v1/chat/completions", chat("x"), ()),
        ("OpenAI", "/v1/responses", ASKED["/v1/responses"], ()),
        ("Anthropic", "/v1/messages", MESSAGE, ()),
        ("KServeV2", "/v2/models/demo/infer",
         {"inputs": [{"name": "x", "shape": [1], "datatype": "BYTES", "data": ["x"]}]}, ("parameters",)),
    ],
)  # fmt: skip
def test_every_string_in_an_allowed_field_is_seen(
    tmp_path: Path, protocol: str, path: str, body: dict[str, Any], beside: tuple[str, ...]
) -> None:
    stand, recorder = Stand(tmp_path, document(protocol=protocol, allow_fields=("guided_json",))), HoldBack(0)
    field: dict[str, Any] = {"guided_json": {"canary 1": ["canary 2", {"x": "canary 3"}]}}
    for name in beside:
        field = {name: field}
    stand.ask(json.dumps({**body, **field}).encode(), path, inspector=lambda: recorder)
    assert len(stand.model.bodies) == 1
    assert sorted(leaf.text for leaf in recorder.leaves if "canary" in leaf.text) == [
        "canary 1",
        "canary 2",
        "canary 3",
    ]


@pytest.mark.parametrize("name", sorted(NEVER))
def test_no_document_lets_through_what_no_owner_can(name: str) -> None:
    signed = documents.encode(document(allow_fields=(name,)), SIGNING_KEY).encode()
    with pytest.raises(DocumentError) as refused:
        documents.decode(signed, SIGNING_KEY.public_key(), running.ENDPOINT)
    assert refused.value.reason is Reason.DOCUMENT_MALFORMED


def test_a_document_without_the_field_lets_nothing_through() -> None:
    assert replace(running.DOCUMENT).allow_fields == ()
    assert Terms("demo").open(schema.Record({})).fields == {}


def test_known_fields_keep_their_rule() -> None:
    record = Terms("demo", ("a", "b")).open(schema.Record({"a": schema.Whole(0, 1)}))
    record.judge({"a": 1, "b": {"x": [None]}}, "")
    with pytest.raises(Refusal):
        record.judge({"a": 2}, "")


def test_the_schema_names_the_same_fields() -> None:
    crd = yaml.safe_load((ROOT / "crds" / "bartizan.dev_modeldeployments.yaml").read_text())
    spec = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    allowed = spec["serving"]["properties"]["allowFields"]
    (_, rule) = allowed["items"]["x-kubernetes-validations"]
    named = rule["rule"].removeprefix("!(self in [").removesuffix("])")
    assert [name.strip(" '") for name in named.split(",")] == sorted(NEVER)
    assert allowed["maxItems"] == MOST
