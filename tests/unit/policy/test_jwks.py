"""JWK Sets as issuers publish them, and as nobody should: what is kept can verify, and nothing else is."""

import base64
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from jwt.algorithms import ECAlgorithm, RSAAlgorithm
from tests.issuer.minting import key_set, signing_key

from bartizan.policy import jwks
from bartizan.policy.jwks import JwksError, VerifyKey

JWK = signing_key().jwk


def kept(*entries: Any, allowed: tuple[str, ...] = jwks.ALGORITHMS) -> list[tuple[str, tuple[str, ...]]]:
    return [(key.kid, key.algorithms) for key in jwks.parse({"keys": list(entries)}, allowed=allowed)]


def without(name: str, **changes: Any) -> dict[str, Any]:
    return {key: value for key, value in {**JWK, **changes}.items() if key != name}


def test_keys_come_sorted_by_their_ids_with_what_they_may_be_used_for() -> None:
    keys = [signing_key(f"k-{name}", name) for name in ("RS256", "ES384", "EdDSA", "PS512")]
    assert kept(*(key.jwk for key in keys)) == [
        ("k-ES384", ("ES384",)),
        ("k-EdDSA", ("EdDSA",)),
        ("k-PS512", ("PS512",)),
        ("k-RS256", ("RS256",)),
    ]


def test_a_key_that_names_no_algorithm_has_those_of_its_type() -> None:
    assert kept(without("alg")) == [("key-1", jwks.RSA_ALGORITHMS)]
    assert kept(without("alg"), allowed=("RS256", "ES256")) == [("key-1", ("RS256",))]


def test_what_is_not_allowed_is_not_kept() -> None:
    assert kept(JWK, allowed=("ES256",)) == []


@pytest.mark.parametrize(
    "entry",
    [
        {"kty": "oct", "k": "c2VjcmV0", "kid": "a", "alg": "HS256"},
        {**JWK, "alg": "HS256"},
        {**JWK, "alg": "none"},
        {**JWK, "alg": "ES256"},
        {**JWK, "alg": ["RS256"]},
        {**JWK, "use": "enc"},
        {**JWK, "d": "AQAB"},
        {**JWK, "kid": ""},
        {**JWK, "kid": 7},
        {**JWK, "kid": "k" * 129},
        {**JWK, "kty": "rsa"},
        {**JWK, "kty": ["RSA"]},
        {**JWK, "n": ""},
        {**JWK, "n": "A" * 4096},
        {**JWK, "n": 7},
        {**JWK, "e": "AA"},
        {**JWK, "e": base64.urlsafe_b64encode(b"\x01" + bytes(5) + b"\x01").decode().rstrip("=")},
        {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA", "kid": "a"},
        {"kty": "EC", "crv": "P-257", "x": "AA", "y": "AA", "kid": "a"},
        {"kty": "OKP", "crv": "X25519", "x": "A" * 43, "kid": "a"},
        {"kty": "OKP", "crv": "Ed25519", "x": "AA", "kid": "a"},
        {"kty": "AKP", "alg": "ML-DSA-44", "kid": "a"},
        without("kid"),
        without("n"),
        without("e"),
        None,
        "key",
        [],
        7,
    ],
)  # fmt: skip
def test_what_cannot_verify_is_left_out_and_hides_nothing_else(entry: Any) -> None:
    other = signing_key("other").jwk
    assert kept(entry, other) == [("other", ("RS256",))]


@pytest.mark.parametrize(("bits", "is_kept"), [(1024, False), (2047, False), (2048, True), (8200, False)])
def test_rsa_keys_are_neither_weak_nor_dear(bits: int, is_kept: bool) -> None:
    modulus = (1 << bits) - 1  # no product of primes, but verifying would not ask
    public = rsa.RSAPublicNumbers(65537, modulus).public_key()
    entry = {**RSAAlgorithm.to_jwk(public, as_dict=True), "kid": "a"}
    assert bool(kept(entry)) is is_kept


def test_a_curve_that_no_algorithm_names_is_left_out() -> None:
    public = ec.generate_private_key(ec.SECP256K1()).public_key()
    assert kept({**ECAlgorithm.to_jwk(public, as_dict=True), "kid": "a"}) == []


def test_of_two_keys_with_one_id_neither_is_believed() -> None:
    assert kept(JWK, signing_key("key-1", "ES256").jwk, signing_key("other").jwk) == [("other", ("RS256",))]
    assert kept(JWK, JWK) == []


@pytest.mark.parametrize("found", [None, [], {}, {"keys": None}, {"keys": {}}, "keys", {"Keys": []}])
def test_what_is_no_set_is_an_error(found: Any) -> None:
    with pytest.raises(JwksError, match="no JWK Set"):
        jwks.parse(found)


def test_a_set_is_bounded() -> None:
    assert len(jwks.parse(key_set(*(signing_key(f"k{number}", "EdDSA") for number in range(16))))) == 16
    with pytest.raises(JwksError, match="has 17 keys; 16 are read at most"):
        jwks.parse({"keys": [JWK] * 17})


@pytest.mark.parametrize("algorithm", jwks.ALGORITHMS)
def test_a_kept_key_is_the_one_that_was_published(algorithm: str) -> None:
    key = signing_key(f"k-{algorithm}", algorithm)
    (found,) = jwks.parse(key_set(key))
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert jwks.load(found).public_bytes(*form) == key.private.public_key().public_bytes(*form)


@pytest.mark.parametrize(
    "key",
    [
        VerifyKey("a", ("RS256",), ""),
        VerifyKey("a", ("RS256",), "AAAA"),
        VerifyKey("a", ("RS256",), "not base64!"),
        VerifyKey("a", ("HS256",), jwks.parse(key_set(signing_key()))[0].spki),
        VerifyKey("a", ("ES256",), jwks.parse(key_set(signing_key()))[0].spki),
        VerifyKey("a", (), jwks.parse(key_set(signing_key()))[0].spki),
    ],
)
def test_what_parse_did_not_make_is_not_loaded(key: VerifyKey) -> None:
    with pytest.raises(ValueError, match="the key"):
        jwks.load(key)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)
MEMBERS = ["kty", "kid", "alg", "use", "n", "e", "crv", "x", "y", "d"]


@given(
    st.lists(st.dictionaries(st.sampled_from(MEMBERS), JSON | st.sampled_from(["RSA", "EC", "OKP", "P-256", "AQAB"])))
)
def test_whatever_is_published_is_read_or_refused(entries: list[Any]) -> None:
    try:
        found = jwks.parse({"keys": entries})
    except JwksError:
        assert len(entries) > jwks.MOST_KEYS
    else:
        assert all(jwks.load(key) for key in found)
