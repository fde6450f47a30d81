"""An issuer's public keys: read from its JWK Set (RFC 7517) within bounds, and kept in a form that needs no more of it.

Only what can verify is kept: RSA, EC and Ed25519 keys with an id. A secret key (`oct`) is never one, so nobody can be
made to take a public key for a shared secret (RFC 8725, 3.1), and each stands for the algorithms of its own type only.
"""

import base64
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

MOST_KEYS = 16
"""A large identity provider publishes some ten; each costs up to 1.4 KB of the document."""
MAX_TEXT = 2048
"""Of one member: a modulus of 8192 bits takes 1366 characters."""
MAX_KID = 128
RSA_BITS = range(2048, 8193)
"""Below, a key is weak (RFC 7518, 3.3); above, a signature costs more than somebody without a key may ask for."""
MAX_EXPONENT = 2**32

RSA_ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
EC_ALGORITHMS: Final = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}
ALGORITHMS: Final = (*RSA_ALGORITHMS, *EC_ALGORITHMS.values(), "EdDSA")
"""All that can ever be believed: never `none`, never HS256 and its kin."""

PublicKey = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey

_READERS: Final[Mapping[object, tuple[Callable[[dict[str, Any]], object], tuple[str, ...]]]] = {
    "RSA": (RSAAlgorithm.from_jwk, ("n", "e")),
    "EC": (ECAlgorithm.from_jwk, ("crv", "x", "y")),
    "OKP": (OKPAlgorithm.from_jwk, ("crv", "x")),
}


class JwksError(ValueError):
    """What was fetched is no JWK Set, or too large a one."""


@dataclass(frozen=True, slots=True)
class VerifyKey:
    """One public key: `spki` is its SubjectPublicKeyInfo, DER in base64; a token may bear no algorithm but these."""

    kid: str
    algorithms: tuple[str, ...]
    spki: str


def parse(found: object, *, allowed: tuple[str, ...] = ALGORITHMS) -> tuple[VerifyKey, ...]:
    """The usable keys, by id; raises JwksError. Of two with one id neither is: nobody could say which is meant."""
    entries = found.get("keys") if isinstance(found, Mapping) else None
    if not isinstance(entries, list):
        raise JwksError("is no JWK Set: it has no list of keys")
    if len(entries) > MOST_KEYS:
        raise JwksError(f"has {len(entries)} keys; {MOST_KEYS} are read at most")
    keys = [key for entry in entries if (key := _read(entry, allowed)) is not None]
    counts = Counter(key.kid for key in keys)
    return tuple(sorted((key for key in keys if counts[key.kid] == 1), key=lambda key: key.kid))


def load(key: VerifyKey) -> PublicKey:
    """Ready to verify with; raises ValueError where it is not what `parse` makes."""
    try:
        public = load_der_public_key(base64.b64decode(key.spki, validate=True))
    except (UnsupportedAlgorithm, ValueError) as error:
        raise ValueError("the key cannot be read") from error
    if not isinstance(public, PublicKey) or not key.algorithms or not set(key.algorithms) <= set(fitting(public)):
        raise ValueError("the key does not fit its algorithms")
    return public


def fitting(public: PublicKey) -> tuple[str, ...]:
    """The algorithms that a key of this type and size may be used with; none where it must not be used at all."""
    if isinstance(public, RSAPublicKey):
        is_sound = public.key_size in RSA_BITS and public.public_numbers().e <= MAX_EXPONENT
        return RSA_ALGORITHMS if is_sound else ()
    if isinstance(public, EllipticCurvePublicKey):
        algorithm = EC_ALGORITHMS.get(public.curve.name)
        return (algorithm,) if algorithm else ()
    return ("EdDSA",)


def _read(entry: object, allowed: tuple[str, ...]) -> VerifyKey | None:
    """None for what cannot verify a token here: issuers publish keys for other uses, and of types still to come."""
    if not isinstance(entry, Mapping) or "d" in entry or entry.get("use", "sig") != "sig":
        return None
    kid, stated = entry.get("kid"), entry.get("alg")
    public = _public_key(entry)
    if public is None or not isinstance(kid, str) or not 0 < len(kid) <= MAX_KID:
        return None
    chosen = tuple(name for name in fitting(public) if name in allowed and stated in (None, name))
    if not chosen:
        return None
    der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return VerifyKey(kid, chosen, base64.b64encode(der).decode("ascii"))


def _public_key(entry: Mapping[str, Any]) -> PublicKey | None:
    kind = entry.get("kty")
    read, members = _READERS.get(kind, (None, ())) if isinstance(kind, str) else (None, ())
    public = {name: entry.get(name) for name in members}
    if read is None or not all(isinstance(text, str) and len(text) <= MAX_TEXT for text in public.values()):
        return None
    try:
        key = read({"kty": kind, **public})
    except (jwt.InvalidKeyError, UnsupportedAlgorithm, ValueError):
        return None
    return key if isinstance(key, PublicKey) else None
