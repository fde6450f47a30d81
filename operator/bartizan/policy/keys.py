"""Client keys and signing keys, derived from the root and never stored: pure functions of root, spec and identity.

Derivation: HKDF-SHA256 (RFC 5869) takes a subkey for each purpose from the root; HMAC-SHA256 (RFC 2104) over the
length-prefixed fields gives a key's two halves. Length prefixes keep `("ab", "c")` and `("a", "bc")` apart.
"""

import base64
import hashlib
import hmac
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from bartizan.policy.identity import Identity

ROOT_BYTES = 32
KEY_PREFIX = "btzn_"
"""Makes a leaked key recognisable to secret scanners: `btzn_<16 characters>.<43 characters>`."""
ID_BYTES = 12
SECRET_BYTES = 32


class Hidden(bytes):
    """Bytes that never show themselves: their repr and str are stars."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "Hidden(***)"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return "***"


@dataclass(frozen=True, slots=True)
class ClientCredential:
    """A client's key: `id` and `sha256` may be shown to the guard, `reveal` only to the client's Secret."""

    id: str
    secret: Hidden

    @property
    def sha256(self) -> str:
        """Hex digest of the secret part; with 256 random bits a slow hash would add nothing."""
        return hashlib.sha256(self.secret).hexdigest()

    def reveal(self) -> str:
        return f"{KEY_PREFIX}{self.id}.{self.secret.decode('ascii')}"


def client_credential(
    root: Hidden, identity: Identity, client: str, *, epoch: int, window: int = 0
) -> ClientCredential:
    """The key of one client in one epoch and rotation window."""
    message = _framed(identity.namespace_uid, identity.uid, client, str(epoch), str(window))
    key_id = hmac.digest(_subkey(root, "client key id"), message, "sha256")[:ID_BYTES]
    secret = hmac.digest(_subkey(root, "client key secret"), message, "sha256")[:SECRET_BYTES]
    return ClientCredential(id=_base64url(key_id), secret=Hidden(_base64url(secret).encode("ascii")))


def signing_key(root: Hidden) -> Ed25519PrivateKey:
    """Signs guard documents."""
    return Ed25519PrivateKey.from_private_bytes(_subkey(root, "guard document signature"))


def public_key_text(key: Ed25519PublicKey) -> str:
    """The public key as it stands in a guard's arguments: 43 characters of base64url."""
    return _base64url(key.public_bytes(Encoding.Raw, PublicFormat.Raw))


def public_key(text: str) -> Ed25519PublicKey:
    """Reads what `public_key_text` wrote; raises ValueError."""
    return Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))


def revision_mac(root: Hidden, identity: Identity, payload: bytes) -> str:
    """Seals what the operator keeps in ControllerRevisions, which others in the namespace might write."""
    message = _framed(identity.namespace_uid, identity.uid) + payload
    return hmac.digest(_subkey(root, "accepted revision"), message, "sha256").hex()


def root_fingerprint(root: Hidden) -> str:
    """Tells two roots apart without telling anything else about them."""
    return hmac.digest(_subkey(root, "fingerprint"), b"", "sha256").hex()[:16]


def _subkey(root: Hidden, purpose: str) -> bytes:
    if len(root) != ROOT_BYTES:
        raise ValueError(f"a root has {ROOT_BYTES} bytes, this one {len(root)}")
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=f"bartizan/v1/{purpose}".encode()).derive(root)


def _framed(*fields: str) -> bytes:
    parts = [field.encode() for field in fields]
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode("ascii").rstrip("=")
