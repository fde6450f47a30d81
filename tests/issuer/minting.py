"""Keys and tokens: what an honest issuer signs, and, piece by piece, what none ever would."""

import base64
import functools
import json
from dataclasses import dataclass
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

Claims = dict[str, Any]

_CURVES: dict[str, Any] = {"ES256": ec.SECP256R1, "ES384": ec.SECP384R1, "ES512": ec.SECP521R1}


@dataclass(frozen=True)
class SigningKey:
    """A private key with its id; `algorithm` is what it signs with."""

    kid: str
    algorithm: str
    private: Any

    @property
    def jwk(self) -> Claims:
        """The public half, as an issuer publishes it."""
        public = self.private.public_key()
        kind = {"R": RSAAlgorithm, "P": RSAAlgorithm, "E": ECAlgorithm}[self.algorithm[0]]
        kind = OKPAlgorithm if self.algorithm == "EdDSA" else kind
        found: Claims = kind.to_jwk(public, as_dict=True)  # type: ignore[attr-defined]
        return {**found, "kid": self.kid, "use": "sig", "alg": self.algorithm}

    def sign(self, claims: Claims, **header: Any) -> str:
        """A token of these claims; a header that is None is left out."""
        chosen = {"alg": self.algorithm, "kid": self.kid, **header}
        text = json.dumps({name: value for name, value in chosen.items() if value is not None})
        return self.sign_text(text, json.dumps(claims))

    def sign_text(self, header: str, payload: str) -> str:
        """Whatever stands there is signed as it stands there."""
        return self.sign_bytes(header.encode(), payload.encode())

    def sign_bytes(self, header: bytes, payload: bytes) -> str:
        data = f"{encoded(header)}.{encoded(payload)}"
        signer = jwt.PyJWS().get_algorithm_by_name(self.algorithm)
        return f"{data}.{encoded(signer.sign(data.encode(), self.private))}"


@functools.cache
def signing_key(kid: str = "key-1", algorithm: str = "RS256", *, bits: int = 2048) -> SigningKey:
    """The same key for the same words, within a process."""
    private: Any
    if algorithm[0] in "RP":
        private = rsa.generate_private_key(public_exponent=65537, key_size=bits)
    elif algorithm == "EdDSA":
        private = ed25519.Ed25519PrivateKey.generate()
    else:
        private = ec.generate_private_key(_CURVES[algorithm]())
    return SigningKey(kid, algorithm, private)


def key_set(*keys: SigningKey) -> Claims:
    return {"keys": [key.jwk for key in keys]}


def encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
