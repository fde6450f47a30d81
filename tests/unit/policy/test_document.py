"""The document's bytes are fixed: the operator writes them blindly, and guards of other releases must read them."""

import base64
import json
from dataclasses import replace
from typing import Any

import pytest

from bartizan.policy import document as documents
from bartizan.policy import keys
from bartizan.policy.document import (
    ClientKey,
    DocumentError,
    EndpointRef,
    GuardDocument,
    RequestWindow,
    TokenClient,
    TokenWindow,
    TrustedIssuer,
)
from bartizan.policy.jwks import VerifyKey
from bartizan.policy.limits import Scope
from bartizan.policy.reasons import Reason

KEY = keys.signing_key(keys.Hidden(bytes(range(32))))
ENDPOINT = EndpointRef("ml", "llama", "11111111-2222-3333-4444-555555555555", "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee")
HASH = "8593eb0137f69a8290eefdd6e2dfee39f76e0e1ab1314535694e5303f3152b9f"
DOCUMENT = GuardDocument(
    endpoint=ENDPOINT,
    version=1_764_126_311_000,
    model="demo",
    protocol="OpenAI",
    replicas=2,
    keys=(ClientKey("kwpro-lwIN-RkTW5", HASH, "chat-ui"),),
    requests=(RequestWindow(60, 60),),
    tokens=(TokenWindow("Total", 1000, 3600),),
    max_input_tokens=100,
    max_output_tokens=50,
    excess_output="Clamp",
    prompt_overhead_tokens=0,
    max_stream_seconds=600,
    concurrent=8,
    concurrent_per_client=4,
)
HEADER = b'{"alg":"EdDSA","typ":"bartizan-guard-document+jws"}'
PAYLOAD = (
    b'{"apiVersion":"guard.bartizan.dev/v1","concurrent":8,"concurrent_per_client":4,'
    b'"endpoint":{"name":"llama","namespace":"ml","namespace_uid":"aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee",'
    b'"uid":"11111111-2222-3333-4444-555555555555"},"excess_output":"Clamp",'
    b'"keys":[{"client":"chat-ui","id":"kwpro-lwIN-RkTW5","sha256":"%b"}],'
    b'"max_input_tokens":100,"max_output_tokens":50,"max_stream_seconds":600,'
    b'"model":"demo","prompt_overhead_tokens":0,"protocol":"OpenAI","replicas":2,'
    b'"requests":[{"limit":60,"window_seconds":60}],'
    b'"tokens":[{"limit":1000,"type":"Total","window_seconds":3600}],"version":1764126311000}'
) % HASH.encode()
SIGNATURE = "RF-rY70d5ZsN0SD99rr-JsF1kfJ3vGC76l0n4PnGpykgxiO2J15FkhpMqBQIzaKD_qqveQl_O32xqPJt3I0wDw"


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


TOKEN = f"{_text(HEADER)}.{_text(PAYLOAD)}.{SIGNATURE}"


def test_a_signed_document_has_these_bytes() -> None:
    assert documents.encode(DOCUMENT, KEY) == TOKEN
    assert documents.decode(TOKEN.encode(), KEY.public_key(), ENDPOINT) == DOCUMENT


def test_what_has_its_default_is_left_out_and_what_has_not_is_read_back() -> None:
    windows = (RequestWindow(60, 60), RequestWindow(90, 60, Scope.ENDPOINT))
    budgets = (TokenWindow("Total", 1000, 3600), TokenWindow("Input", 9, 60, Scope.ENDPOINT))
    scoped = replace(DOCUMENT, requests=windows, tokens=budgets, created=1_764_120_000)
    text = documents.encode(scoped, KEY)
    payload = json.loads(base64.urlsafe_b64decode(text.split(".")[1] + "=="))
    assert payload["requests"] == [
        {"limit": 60, "window_seconds": 60},
        {"limit": 90, "window_seconds": 60, "scope": "Endpoint"},
    ]
    assert payload["created"] == 1_764_120_000
    assert documents.decode(text.encode(), KEY.public_key(), ENDPOINT) == scoped


def test_all_clients_together_are_no_limit_of_each() -> None:
    changes: tuple[dict[str, Any], ...] = (
        {"requests": (RequestWindow(90, 60, Scope.ENDPOINT),)},
        {"tokens": (TokenWindow("Total", 9, 60, Scope.ENDPOINT),)},
    )
    for change in changes:
        text = documents.encode(replace(DOCUMENT, **change), KEY)
        with pytest.raises(DocumentError) as refused:
            documents.decode(text.encode(), KEY.public_key(), ENDPOINT)
        assert refused.value.reason is Reason.DOCUMENT_MALFORMED


def test_the_signature_is_plain_ed25519_over_the_two_parts() -> None:
    signed = TOKEN.rpartition(".")[0].encode()
    assert _text(KEY.sign(signed)) == SIGNATURE


def test_the_hashes_are_these() -> None:
    assert documents.hash_of(TOKEN) == "30de46ebebf0a3b077769dd3be0d7e5a6a336fadf866ca6172c0068e18f9ad43"
    content = "6092841192fdbdca8f2bda821a92c97e25e2bb66d861a9e0499a51b8f65cf482"
    assert documents.content_hash(DOCUMENT) == content


def test_the_payload_is_canonical() -> None:
    assert json.dumps(json.loads(PAYLOAD), sort_keys=True, separators=(",", ":")).encode() == PAYLOAD


ISSUER = TrustedIssuer(
    type="ServiceAccount",
    name="ServiceAccount",
    issuer="https://kubernetes.default.svc.cluster.local",
    audience="bartizan.dev/ml/llama",
    max_lifetime_seconds=3600,
    keys=(VerifyKey("key-1", ("EdDSA",), "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE="),),
    clients=(TokenClient("batch", "system:serviceaccount:team-b:runner", "66666666-7777-8888-9999-000000000000"),),
)
ISSUERS = (
    b'"issuers":[{"audience":"bartizan.dev/ml/llama","clients":[{"client":"batch","groups":[],'
    b'"subject":"system:serviceaccount:team-b:runner","uid":"66666666-7777-8888-9999-000000000000"}],'
    b'"groups_claim":"","issuer":"https://kubernetes.default.svc.cluster.local",'
    b'"keys":[{"algorithms":["EdDSA"],"kid":"key-1",'
    b'"spki":"MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE="}],'
    b'"max_lifetime_seconds":3600,"name":"ServiceAccount","subject_claim":"sub","type":"ServiceAccount"}],'
)


def test_issuers_stand_between_the_other_members_and_only_where_there_are_some() -> None:
    text = documents.encode(replace(DOCUMENT, issuers=(ISSUER,)), KEY)
    payload = base64.urlsafe_b64decode(text.split(".")[1] + "==")
    assert payload == PAYLOAD.replace(b'"keys":[{"client"', ISSUERS + b'"keys":[{"client"')
    assert documents.decode(text.encode(), KEY.public_key(), ENDPOINT).issuers == (ISSUER,)


def test_another_uid_or_key_is_another_document() -> None:
    client = replace(ISSUER.clients[0], uid="another-life")
    found = [
        documents.content_hash(replace(DOCUMENT, issuers=issuers))
        for issuers in ((), (ISSUER,), (replace(ISSUER, clients=(client,)),), (replace(ISSUER, keys=()),))
    ]
    assert len(set(found)) == len(found)


def test_fields_that_are_let_through_stand_first_and_only_where_there_are_some() -> None:
    opened = replace(DOCUMENT, allow_fields=("min_p", "top_k"))
    text = documents.encode(opened, KEY)
    payload = base64.urlsafe_b64decode(text.split(".")[1] + "==")
    assert payload == b'{"allow_fields":["min_p","top_k"],' + PAYLOAD[1:]
    assert documents.decode(text.encode(), KEY.public_key(), ENDPOINT) == opened
    assert documents.content_hash(opened) != documents.content_hash(DOCUMENT)


@pytest.mark.parametrize("given", [(), ("Tools",)])
def test_capabilities_stand_only_where_not_all_pass(given: tuple[str, ...]) -> None:
    narrowed = replace(DOCUMENT, capabilities=given)
    text = documents.encode(narrowed, KEY)
    assert b'"capabilities":[' in base64.urlsafe_b64decode(text.split(".")[1] + "==")
    assert documents.decode(text.encode(), KEY.public_key(), ENDPOINT) == narrowed
    assert documents.content_hash(narrowed) != documents.content_hash(DOCUMENT)


def test_a_capability_that_the_guard_does_not_know_makes_no_document() -> None:
    text = documents.encode(replace(DOCUMENT, capabilities=("Images",)), KEY)
    with pytest.raises(documents.DocumentError, match="Images"):
        documents.decode(text.encode(), KEY.public_key(), ENDPOINT)
