"""The document's bytes are fixed: the operator writes them blindly, and guards of other releases must read them."""

import base64
import json

from bartizan.policy import document as documents
from bartizan.policy import keys
from bartizan.policy.document import ClientKey, EndpointRef, GuardDocument, RequestWindow

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
    concurrent=8,
    concurrent_per_client=4,
)
HEADER = b'{"alg":"EdDSA","typ":"bartizan-guard-document+jws"}'
PAYLOAD = (
    b'{"apiVersion":"guard.bartizan.dev/v1","concurrent":8,"concurrent_per_client":4,'
    b'"endpoint":{"name":"llama","namespace":"ml","namespace_uid":"aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee",'
    b'"uid":"11111111-2222-3333-4444-555555555555"},'
    b'"keys":[{"client":"chat-ui","id":"kwpro-lwIN-RkTW5","sha256":"%b"}],'
    b'"model":"demo","protocol":"OpenAI","replicas":2,"requests":[{"limit":60,"window_seconds":60}],'
    b'"version":1764126311000}'
) % HASH.encode()
SIGNATURE = "Zq03p9ZlcxIM7-KJKNZdWe7kmwncOsfiqCznKZx14UZ5_nWSD7bvMNgyq0-PmLoJlUcQZUPFO1S6a8ZYj_joDA"


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


TOKEN = f"{_text(HEADER)}.{_text(PAYLOAD)}.{SIGNATURE}"


def test_a_signed_document_has_these_bytes() -> None:
    assert documents.encode(DOCUMENT, KEY) == TOKEN
    assert documents.decode(TOKEN.encode(), KEY.public_key(), ENDPOINT) == DOCUMENT


def test_the_signature_is_plain_ed25519_over_the_two_parts() -> None:
    signed = TOKEN.rpartition(".")[0].encode()
    assert _text(KEY.sign(signed)) == SIGNATURE


def test_the_hashes_are_these() -> None:
    assert documents.hash_of(TOKEN) == "fd4ca5e435d804eefff983fb4f0941990cbc9298e7cf9bc380c4fe171b2e7eba"
    content = "28114a16740d717b42323c325e38359b2cb35a72c54af662b0d33b80a14240ee"
    assert documents.content_hash(DOCUMENT) == content


def test_the_payload_is_canonical() -> None:
    assert json.dumps(json.loads(PAYLOAD), sort_keys=True, separators=(",", ":")).encode() == PAYLOAD
