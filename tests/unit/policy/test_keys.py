"""The derivation is fixed for ever: any change of it would make every key in every cluster another one, unsaid."""

import base64
import hashlib
import hmac

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bartizan.policy import keys
from bartizan.policy.identity import Identity
from bartizan.policy.keys import Hidden

ROOT = Hidden(bytes(range(32)))
UID, NAMESPACE_UID = "11111111-2222-3333-4444-555555555555", "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
IDENTITY = Identity("ml", "llama", UID, NAMESPACE_UID)
SUBKEYS = {
    "client key id": "eef75232e08d7d108f301b3a9e39fcb24efa6faeac3480a69808e92bba0d2821",
    "client key secret": "06e2bf1709398fa0e5f32d56a01e2b69f862498c1ad23d2e3c78ae788539d122",
    "guard document signature": "c49fba7cd91d882ebe091ac0a92d22e3ea0aa6ae0cfd7f909c7ee1928afa8294",
    "accepted revision": "0018d12906ed74f40364fc69708ba0f1aed2b611bfcaf53093bf3f739cad67e9",
    "fingerprint": "e908b61f4d2dca791109759f1a0eff977b844fe2b188f4d14760e7ecfa30f0c4",
}
CREDENTIALS = {
    ("chat-ui", 1, 0): (
        "btzn_kwpro-lwIN-RkTW5.QDEK-lkbBEDEEbSjc9pZ2BpksIa0rqhLzQn2SQLhnp8",
        "8593eb0137f69a8290eefdd6e2dfee39f76e0e1ab1314535694e5303f3152b9f",
    ),
    ("chat-ui", 2, 0): (
        "btzn_9IziVlOi7COdbZGY.LykY3FPIvdWRzMRXIo2s7jVKVbGSrXsnOUXm6diz6Ik",
        "b2b3a20e4eda9d63b6fa7e7669ac0dd7714cec8f5f3fe73e74834e1463ae6fbc",
    ),
    ("batch", 1, 7): (
        "btzn_NQKwyWvNNy8jF-0E.1kCt9dNJOSReNiJ7EOilc2ce3q700sM_xaEbvtXNUsM",
        "ef45998d578b1015ef50007648f9843f9b8d32df7cbf92586d560dca71747cc1",
    ),
}


def _hkdf(purpose: str) -> bytes:
    """RFC 5869 with SHA-256, without salt, of one block: spelt out, so that nothing here is the code's own."""
    extracted = hmac.new(bytes(32), bytes(range(32)), hashlib.sha256).digest()
    return hmac.new(extracted, b"bartizan/v1/" + purpose.encode() + b"\x01", hashlib.sha256).digest()


def _mac(purpose: str, *fields: str, rest: bytes = b"") -> bytes:
    framed = b"".join(len(field.encode()).to_bytes(4, "big") + field.encode() for field in fields)
    return hmac.new(_hkdf(purpose), framed + rest, hashlib.sha256).digest()


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


@pytest.mark.parametrize("purpose", SUBKEYS)
def test_each_purpose_has_its_subkey(purpose: str) -> None:
    assert keys._subkey(ROOT, purpose).hex() == SUBKEYS[purpose] == _hkdf(purpose).hex()


@pytest.mark.parametrize(("client", "epoch", "window"), CREDENTIALS)
def test_a_clients_key_is_this_one(client: str, epoch: int, window: int) -> None:
    made = keys.client_credential(ROOT, IDENTITY, client, epoch=epoch, window=window)
    assert (made.reveal(), made.sha256) == CREDENTIALS[client, epoch, window]
    fields = (NAMESPACE_UID, UID, client, str(epoch), str(window))
    secret = _text(_mac("client key secret", *fields))
    assert made.reveal() == f"btzn_{_text(_mac('client key id', *fields)[:12])}.{secret}"
    assert made.sha256 == hashlib.sha256(secret.encode()).hexdigest()


def test_the_signing_key_is_this_one() -> None:
    key = keys.signing_key(ROOT)
    assert key.private_bytes_raw().hex() == SUBKEYS["guard document signature"]
    public = Ed25519PrivateKey.from_private_bytes(_hkdf("guard document signature")).public_key()
    assert keys.public_key_text(key.public_key()) == "w2varU9Cau0wHhQE2fxJh3H4JdP1ahazwjuTpjK4sH8"
    assert keys.public_key("w2varU9Cau0wHhQE2fxJh3H4JdP1ahazwjuTpjK4sH8") == public


def test_a_revisions_seal_is_this_one() -> None:
    sealed = keys.revision_mac(ROOT, IDENTITY, b'{"spec":{}}')
    assert sealed == "8a88b3a09aac9e3522a02cb8cb4b2e03b65704deac2bbbe20a9f5c813a53b345"
    assert sealed == _mac("accepted revision", NAMESPACE_UID, UID, rest=b'{"spec":{}}').hex()


def test_a_roots_fingerprint_is_this_one() -> None:
    assert keys.root_fingerprint(ROOT) == "1f0af679d1cf8244" == _mac("fingerprint").hex()[:16]


def test_fields_that_run_together_make_other_keys() -> None:
    ids = {
        keys.client_credential(ROOT, Identity("ml", "llama", uid, space), client, epoch=epoch, window=window).id
        for space, uid, client, epoch, window in (
            ("ab", "c", "d", 1, 1), ("a", "bc", "d", 1, 1), ("a", "b", "cd", 1, 1), ("ab", "c", "d", 11, 1),
            ("ab", "c", "d", 1, 11), ("ab", "c", "d1", 1, 1), ("ab", "cd", "", 1, 1),
        )
    }  # fmt: skip
    assert len(ids) == 7


@pytest.mark.parametrize("size", [0, 16, 31, 33, 64])
def test_a_root_has_32_bytes(size: int) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        keys.client_credential(Hidden(bytes(size)), IDENTITY, "chat-ui", epoch=1)


def test_secrets_do_not_show_themselves() -> None:
    made = keys.client_credential(ROOT, IDENTITY, "chat-ui", epoch=1)
    secret = made.reveal().partition(".")[2]
    assert not any(secret in shown for shown in (repr(made), str(made), f"{made.secret}", f"{made.secret!r:>9}"))
