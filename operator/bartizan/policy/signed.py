"""What the operator signs and guards believe: a compact JWS (RFC 7515) with EdDSA (RFC 8037).

Each kind of message has a `typ` of its own, so that no other token which the same key might ever sign can stand in for
it. Equal messages and keys give equal bytes.
"""

import json
from typing import Any

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey


class SignatureError(ValueError):
    """Not what the operator signed, or something else that it did sign."""


def sign(payload: bytes, key: Ed25519PrivateKey, *, kind: str) -> str:
    """The signed message, ASCII."""
    return jwt.PyJWS(algorithms=["EdDSA"]).encode(payload, key, algorithm="EdDSA", headers={"typ": kind})


def verified(text: bytes, key: Ed25519PublicKey, *, kind: str) -> bytes:
    """The payload of a message of this kind; raises SignatureError."""
    try:
        token = jwt.PyJWS(algorithms=["EdDSA"]).decode_complete(text.strip(), key, algorithms=["EdDSA"])
    except (jwt.InvalidTokenError, UnsupportedAlgorithm, ValueError) as error:
        raise SignatureError("signature does not verify") from error
    if token["header"].get("typ") != kind:
        raise SignatureError("signed token is of another kind")
    payload: bytes = token["payload"]
    return payload


def canonical(value: dict[str, Any]) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode("ascii")
