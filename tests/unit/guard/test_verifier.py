"""Tokens, tried without a wire: what is believed, what never is, and what is remembered of those that were."""

import base64
import hashlib
import hmac
import json
import time
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from tests.issuer.minting import encoded, signing_key
from tests.unit.guard.accounts import (
    AUDIENCE,
    CLIENT,
    CORP,
    ISSUER,
    SUBJECT,
    UID,
    bound,
    claims,
    corp_claims,
    token,
    trusted,
    trusting,
)
from tests.unit.guard.running import ENDPOINT, SIGNING_KEY

from bartizan.guard import verifier as verifiers
from bartizan.guard.caller import Caller
from bartizan.guard.claims import LEEWAY_SECONDS
from bartizan.guard.refusal import Refusal
from bartizan.guard.verifier import Verifier
from bartizan.policy import document as documents
from bartizan.policy import jwks
from bartizan.policy.document import TokenClient, TrustedIssuer

NOW = 1_800_000_000.0
KEY = signing_key()


def verify(text: str | bytes, now: float = NOW, verifier: Verifier | None = None) -> Caller:
    data = text.encode() if isinstance(text, str) else text
    return (verifier or Verifier((trusted(),))).verify(data, now)


def refused(text: str | bytes, now: float = NOW, verifier: Verifier | None = None) -> str:
    with pytest.raises(Refusal) as caught:
        verify(text, now, verifier)
    return str(caught.value.reason)


def signed(**changes: Any) -> str:
    return KEY.sign(claims(NOW, **changes))


def test_a_pods_token_is_its_client() -> None:
    found = verify(token(NOW))
    assert (found.client, found.subject, found.pod, found.key_id) == ("runner", SUBJECT, "runner-7d4b", None)


def test_a_token_need_not_be_bound_to_a_pod() -> None:
    account = {"namespace": "team-b", "serviceaccount": {"name": "runner", "uid": UID}}
    assert verify(signed(**{"kubernetes.io": account})).pod is None


@pytest.mark.parametrize("algorithm", [name for name in jwks.ALGORITHMS if name != "EdDSA"] + ["EdDSA"])
def test_every_algorithm_verifies_by_the_type_of_its_key(algorithm: str) -> None:
    key = signing_key(f"key-{algorithm}", algorithm)
    assert verify(key.sign(claims(NOW)), verifier=Verifier((trusted(key),))).client == "runner"


@pytest.mark.parametrize("kind", [None, "JWT", "jwt"])
def test_the_type_may_be_left_out(kind: str | None) -> None:
    assert verify(KEY.sign(claims(NOW), typ=kind)).client == "runner"


def public_pem() -> bytes:
    return bytes(KEY.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))


def hmac_signed(secret: bytes, **header: Any) -> str:
    """With a public key as the shared secret, which PyJWT itself would refuse to do."""
    head = encoded(json.dumps({"alg": "HS256", "kid": KEY.kid, **header}).encode())
    data = f"{head}.{encoded(json.dumps(claims(NOW)).encode())}"
    return f"{data}.{encoded(hmac.digest(secret, data.encode(), hashlib.sha256))}"


def der() -> bytes:
    return bytes(KEY.private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


FORGED = {
    "alg none": KEY.sign(claims(NOW), alg="none"),
    "alg None": KEY.sign(claims(NOW), alg="None"),
    "HS256 with the PEM": hmac_signed(public_pem()),
    "HS256 with the DER": hmac_signed(der()),
    "HS256 with nothing": hmac_signed(b""),
    "another RSA algorithm in the header": KEY.sign(claims(NOW), alg="PS256"),
    "an EC algorithm in the header": KEY.sign(claims(NOW), alg="ES256"),
    "somebody else's key of the same id": signing_key("key-1", "RS256", bits=2056).sign(claims(NOW)),
    "a signature of nothing": ".".join([*token(NOW).split(".")[:2], encoded(bytes(256))]),
    "a short signature": ".".join([*token(NOW).split(".")[:2], encoded(bytes(255))]),
    "a payload of another": ".".join(
        [token(NOW).split(".")[0], signed(sub="system:serviceaccount:a:b").split(".")[1], token(NOW).split(".")[2]]
    ),
}


@pytest.mark.parametrize("name", FORGED)
def test_t54_a_forged_token_is_nobodys(name: str) -> None:
    assert refused(FORGED[name]) == "TokenSignatureInvalid"


def test_no_signature_at_all_is_no_token() -> None:
    header, payload, _ = KEY.sign(claims(NOW), alg="none").split(".")
    assert refused(f"{header}.{payload}.") == "TokenMalformed"


BROUGHT = {
    "jwk": signing_key("thief").jwk,
    "jku": "https://thief.example/keys",
    "x5u": "https://thief.example/chain",
    "x5c": ["MIIB"],
    "crit": ["exp"],
    "b64": False,
    "zip": "DEF",
    "enc": "A256GCM",
}


@pytest.mark.parametrize("name", BROUGHT)
def test_t54_no_header_brings_a_key_or_another_way_to_read(name: str) -> None:
    for key in (KEY, signing_key("thief")):
        assert refused(key.sign(claims(NOW), **{name: BROUGHT[name]})) == "TokenMalformed"


@pytest.mark.parametrize(
    ("kid", "reason"),
    [
        (None, "TokenMalformed"),
        ("", "TokenMalformed"),
        (1, "TokenMalformed"),
        (["key-1"], "TokenMalformed"),
        ("k" * 129, "TokenMalformed"),
        ("../../dev/null", "TokenKeyUnknown"),
        ("key-1\x00", "TokenKeyUnknown"),
        ("KEY-1", "TokenKeyUnknown"),
        ("key-1' OR '1'='1", "TokenKeyUnknown"),
    ],
)
def test_a_key_is_found_by_its_id_to_the_letter(kid: Any, reason: str) -> None:
    payload = json.dumps(claims(NOW))
    header = {"alg": "RS256"} if kid is None else {"alg": "RS256", "kid": kid}
    assert refused(KEY.sign_text(json.dumps(header), payload)) == reason


@pytest.mark.parametrize("kind", ["at+jwt2", "JOSE", documents.TYPE, "JWT\x00", 1, ["JWT"], {}])
def test_a_token_of_another_type_is_none(kind: Any) -> None:
    assert refused(KEY.sign(claims(NOW), typ=kind)) == "TokenMalformed"


def test_t54_a_guard_document_is_no_token() -> None:
    assert refused(documents.encode(trusting(), SIGNING_KEY)) == "TokenMalformed"


def test_a_token_is_no_guard_document() -> None:
    with pytest.raises(documents.DocumentError):
        documents.decode(token(NOW).encode(), SIGNING_KEY.public_key(), ENDPOINT)


@pytest.mark.parametrize(
    ("header", "payload"),
    [
        ('{"alg":"RS256","kid":"key-1","kid":"key-1"}', None),
        ('{"alg":"none","alg":"RS256","kid":"key-1"}', None),
        (None, '{"sub":"a","sub":"b"}'),
        (None, '{"exp":NaN}'),
        (None, '{"exp":1e999}'),
        (None, '{"exp":' + "9" * 400 + "}"),
        (None, '{"kubernetes.io":' + "[" * 400 + "]" * 400 + "}"),
        (None, "[]"),
        (None, '"text"'),
        ("[]", None),
        ("null", None),
    ],
)
def test_json_is_read_in_one_way_only(header: str | None, payload: str | None) -> None:
    plain = '{"alg":"RS256","kid":"key-1"}'
    assert refused(KEY.sign_text(header or plain, payload or json.dumps(claims(NOW)))) == "TokenMalformed"


def test_a_claim_that_stands_twice_is_none() -> None:
    text = json.dumps(claims(NOW))
    doubled = text[:-1] + f', "sub": "{SUBJECT}"' + "}"
    assert refused(KEY.sign_text('{"alg":"RS256","kid":"key-1"}', doubled)) == "TokenMalformed"


@pytest.mark.parametrize(
    "audience",
    [
        None, [], "", [AUDIENCE, "https://kubernetes.default.svc"], [AUDIENCE, AUDIENCE], ["bartizan.dev/ml/other"],
        ["bartizan.dev/other/llama"], AUDIENCE + "/", AUDIENCE.upper(), [[AUDIENCE]], {AUDIENCE: 1}, AUDIENCE + "\x00",
        " " + AUDIENCE, "https://kubernetes.default.svc.cluster.local", 0, True,
    ],
)  # fmt: skip
def test_t56_only_a_token_made_for_this_endpoint_alone_is_taken(audience: Any) -> None:
    assert refused(signed(aud=audience)) == "TokenAudienceWrong"


def test_the_audience_may_stand_alone_or_in_a_list() -> None:
    assert verify(signed(aud=AUDIENCE)) == verify(signed(aud=[AUDIENCE]))


@pytest.mark.parametrize("issuer", [None, "", "https://other.cluster", ISSUER + "/", ISSUER.upper(), [ISSUER], 1, {}])
def test_t56_a_token_of_another_cluster_is_none(issuer: Any) -> None:
    assert refused(signed(iss=issuer)) == "TokenIssuerUnknown"


TIMES: list[tuple[dict[str, Any], str]] = [
    ({"exp": NOW - LEEWAY_SECONDS}, "TokenExpired"),
    ({"exp": NOW - 10_000, "iat": NOW - 12_000}, "TokenExpired"),
    ({"nbf": NOW + LEEWAY_SECONDS + 1}, "TokenNotYetValid"),
    ({"iat": NOW + LEEWAY_SECONDS + 1}, "TokenNotYetValid"),
    ({"exp": NOW + 3601}, "TokenLifetimeExcessive"),
    ({"exp": NOW + 365 * 86400}, "TokenLifetimeExcessive"),
    ({"iat": NOW - 86400, "exp": NOW + 60}, "TokenLifetimeExcessive"),
    ({"exp": NOW, "iat": NOW}, "TokenLifetimeExcessive"),
    ({"exp": NOW - 1, "iat": NOW + 1}, "TokenLifetimeExcessive"),
    ({"exp": str(NOW)}, "TokenMalformed"),
    ({"exp": 2**63}, "TokenMalformed"),
    ({"exp": -1}, "TokenMalformed"),
    ({"exp": True}, "TokenMalformed"),
    ({"exp": [NOW]}, "TokenMalformed"),
    ({"exp": None}, "TokenMalformed"),
    ({"iat": None}, "TokenMalformed"),
    ({"iat": "0"}, "TokenMalformed"),
    ({"nbf": {}}, "TokenMalformed"),
]


@pytest.mark.parametrize(("changes", "reason"), TIMES)
def test_t56_a_token_is_good_for_its_time_and_no_longer(changes: dict[str, Any], reason: str) -> None:
    assert refused(signed(**changes)) == reason


def test_clocks_may_differ_by_the_leeway_and_no_more() -> None:
    assert verify(signed(exp=NOW - LEEWAY_SECONDS + 1, iat=NOW - 3000)).client == "runner"
    assert verify(signed(nbf=NOW + LEEWAY_SECONDS, iat=NOW + LEEWAY_SECONDS)).client == "runner"
    assert verify(signed(nbf=None)).client == "runner"


@given(st.floats() | st.integers() | st.text() | st.none() | st.booleans(), st.sampled_from(["exp", "iat", "nbf"]))
def test_whatever_stands_for_a_date_is_judged_and_never_a_fault(value: Any, name: str) -> None:
    text = json.dumps({**claims(NOW), name: value})
    made = KEY.sign_text('{"alg":"RS256","kid":"key-1"}', text)
    try:
        verify(made)
    except Refusal as refusal:
        assert refusal.reason.value.startswith("Token")  # noqa: PT017
    else:
        assert isinstance(value, int | float)
        assert value <= NOW + 3600
        assert name == "nbf" or value >= NOW - 3700


@pytest.mark.parametrize(
    "subject",
    [
        None, "", 1, [SUBJECT], "runner", "system:serviceaccount:team-b:runner2", "system:serviceaccount:team-a:runner",
        SUBJECT + " ", SUBJECT + "\x00", SUBJECT.upper(), "system:serviceaccount:team-b:r\u0443nner",
        "system:serviceaccount:team-b:ｒunner", "system:serviceaccount:team-b:run\u200bner", "system:node:node-1",
    ],
)  # fmt: skip
def test_nobody_else_is_the_client(subject: Any) -> None:
    assert refused(signed(sub=subject)) == "TokenSubjectUnknown"


def test_t56_an_account_that_was_made_anew_is_somebody_else() -> None:
    assert refused(signed(**{"kubernetes.io": bound(uid="another-life")})) == "TokenAccountReplaced"


@pytest.mark.parametrize(
    "found",
    [None, {}, [], "x", bound(namespace="team-a"), bound(name="other"), {"namespace": "team-b", "serviceaccount": []},
     {"namespace": "team-b", "serviceaccount": {"uid": UID}}],
)  # fmt: skip
def test_what_the_token_is_bound_to_must_agree_with_its_subject(found: Any) -> None:
    assert refused(signed(**{"kubernetes.io": found})) == "TokenMalformed"


@pytest.mark.parametrize(
    "made",
    [
        b"", b".", b"..", b"a.b.c", b" " + token(NOW).encode(), token(NOW).encode() + b"\n", token(NOW).encode() + b"=",
        token(NOW).encode() + b"\x00", token(NOW).replace(".", "..").encode(), token(NOW).encode() + b".x",
        token(NOW).encode().replace(b".", b".\xc2\xa0", 1), b"x" * 9000, token(NOW).encode() + b"A" * 8192,
        token(NOW).replace("e", "+", 1).encode(), ("\u212a" + token(NOW)).encode(), b"\xff.\xff.\xff",
    ],
)  # fmt: skip
def test_another_form_is_no_token(made: bytes) -> None:
    assert refused(made) == "TokenMalformed"


def test_one_text_for_one_token() -> None:
    """The last character of a signature holds bits that say nothing: another one there is another token, and none."""
    key = signing_key("key-e", "ES256")
    made = key.sign(claims(NOW))
    assert len(made.rpartition(".")[2]) % 4 == 2
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    twin = made[:-1] + alphabet[alphabet.index(made[-1]) | 1]
    assert base64.urlsafe_b64decode(twin.rpartition(".")[2] + "==") == base64.urlsafe_b64decode(
        made.rpartition(".")[2] + "=="
    )
    assert refused(twin, verifier=Verifier((trusted(key),))) == "TokenMalformed"


@given(st.binary(max_size=200) | st.from_regex(rb"[A-Za-z0-9_-]{1,40}\.[A-Za-z0-9_-]{1,60}\.[A-Za-z0-9_-]{1,40}"))
def test_no_bytes_at_all_are_a_fault(made: bytes) -> None:
    assert refused(made).startswith("Token")


@given(st.integers(0, 10_000), st.integers(0, 255))
def test_no_byte_of_a_token_can_be_another(place: int, byte: int) -> None:
    made = bytearray(token(NOW).encode())
    spot = place % len(made)
    if made[spot] != byte:
        made[spot] = byte
        assert refused(bytes(made)).startswith("Token")


# What is remembered


class Counting(Verifier):
    """Counts the signatures that it had to verify."""

    count = 0

    def _is_signed(self, parts: Any, key: Any, algorithm: str) -> bool:
        self.count += 1
        return super()._is_signed(parts, key, algorithm)


def test_a_verified_token_costs_a_hash_the_next_time() -> None:
    verifier, made = Counting((trusted(),)), token(NOW)
    assert verify(made, NOW, verifier) is verify(made, NOW + 60, verifier)
    assert verifier.count == 1


def test_what_is_remembered_ends_with_the_token() -> None:
    verifier, made = Counting((trusted(),)), token(NOW)
    verify(made, NOW, verifier)
    assert verify(made, NOW + 3600 + LEEWAY_SECONDS - 1, verifier).client == "runner"
    assert refused(made, NOW + 3600 + LEEWAY_SECONDS, verifier) == "TokenExpired"
    assert not verifier._held


def test_a_refused_token_is_not_remembered() -> None:
    verifier = Counting((trusted(),))
    for _ in range(2):
        assert refused(FORGED["a short signature"], NOW, verifier) == "TokenSignatureInvalid"
    assert (verifier.count, len(verifier._held)) == (2, 0)


def test_what_is_remembered_is_bounded_and_the_oldest_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verifiers, "REMEMBERED", 3)
    verifier = Counting((trusted(),))
    made = [signed(jti=str(number)) for number in range(4)]
    for text in (*made[:3], made[0], made[3], made[0]):
        verify(text, NOW, verifier)
    assert (len(verifier._held), verifier.count) == (3, 4)
    verify(made[1], NOW, verifier)
    assert verifier.count == 5


def test_an_unknown_key_takes_the_work_of_a_wrong_signature() -> None:
    for made in (KEY.sign(claims(NOW), kid="other"), signed(iss="https://other")):
        verifier = Counting((trusted(),))
        assert refused(made, NOW, verifier) in ("TokenKeyUnknown", "TokenIssuerUnknown")
        assert verifier.count == 1


def test_an_unknown_key_takes_the_time_of_a_wrong_signature() -> None:
    verifier = Verifier((trusted(),))
    texts = (FORGED["a signature of nothing"].encode(), KEY.sign(claims(NOW), kid="other").encode())
    best = dict.fromkeys(texts, float("inf"))
    for _ in range(300):
        for text in texts:
            began = time.perf_counter()
            refused(text, NOW, verifier)
            best[text] = min(best[text], time.perf_counter() - began)
    assert max(best.values()) < 1.5 * min(best.values())


# Who stands


def test_a_callers_standing_goes_with_client_uid_and_key() -> None:
    before = Verifier((trusted(),))
    standing = verify(token(NOW), verifier=before).standing
    assert standing in set(before.standings())
    for after in (
        trusted(signing_key("key-2")),
        trusted(clients=()),
        trusted(clients=(TokenClient("runner", SUBJECT, "another-life"),)),
        trusted(clients=(TokenClient("renamed", SUBJECT, UID),)),
        trusted(clients=(TokenClient("runner", "system:serviceaccount:team-b:other", UID),)),
    ):
        assert standing not in set(Verifier((after,)).standings())
    rotated = trusted(
        KEY, signing_key("key-2"), clients=(CLIENT, TokenClient("more", "system:serviceaccount:a:b", "u"))
    )
    assert standing in set(Verifier((rotated,)).standings())


def test_while_keys_rotate_the_old_and_the_new_one_count() -> None:
    new = signing_key("key-2")
    both, after = Verifier((trusted(KEY, new),)), Verifier((trusted(new),))
    for key in (KEY, new):
        assert verify(key.sign(claims(NOW)), verifier=both).client == "runner"
    assert refused(token(NOW), verifier=after) == "TokenKeyUnknown"


def test_an_issuer_without_keys_lets_nobody_in() -> None:
    assert refused(token(NOW), verifier=Verifier((replace(trusted(), keys=()),))) == "TokenKeyUnknown"


# Other issuers than the cluster


def corp(issuer: TrustedIssuer = CORP) -> Verifier:
    return Verifier((trusted(), issuer))


def corp_signed(**changes: Any) -> str:
    return KEY.sign(corp_claims(NOW, **changes))


def test_an_issuers_token_is_whom_its_subject_names() -> None:
    found = verify(corp_signed(), verifier=corp())
    assert (found.client, found.issuer, found.subject, found.pod) == ("alice", "corp", "alice@corp", None)


@pytest.mark.parametrize("kind", ["at+jwt", "application/at+jwt", "AT+JWT"])
def test_an_access_token_is_a_token(kind: str) -> None:
    assert verify(KEY.sign(corp_claims(NOW), typ=kind), verifier=corp()).client == "alice"


@pytest.mark.parametrize(
    ("groups", "client"), [(["staff"], "staff"), (["interns", "staff"], "staff"), (["x", "research"], "research")]
)
def test_a_group_names_a_client_where_no_subject_does(groups: list[str], client: str) -> None:
    assert verify(corp_signed(sub="bob@corp", groups=groups), verifier=corp()).client == client
    assert verify(corp_signed(groups=groups), verifier=corp()).client == "alice"


@pytest.mark.parametrize(
    ("groups", "reason"),
    [
        (None, "TokenSubjectUnknown"),
        ([], "TokenSubjectUnknown"),
        (["Staff", "staff ", "st\u0430ff", "staff\x00"], "TokenSubjectUnknown"),
        (["staff", "research"], "TokenClientAmbiguous"),
        ("staff", "TokenMalformed"),
        ({"staff": True}, "TokenMalformed"),
        ([["staff"]], "TokenMalformed"),
        (["staff", 7], "TokenMalformed"),
    ],
)
def test_a_group_is_one_of_a_list_to_the_letter(groups: Any, reason: str) -> None:
    assert refused(corp_signed(sub="bob@corp", groups=groups), verifier=corp()) == reason


def test_without_a_groups_claim_nobody_has_groups() -> None:
    plain = replace(CORP, groups_claim="")
    assert refused(corp_signed(sub="bob@corp", groups=["staff"]), verifier=corp(plain)) == "TokenSubjectUnknown"


def test_another_claim_may_name_the_subject() -> None:
    by_mail = corp(replace(CORP, subject_claim="email"))
    assert verify(corp_signed(sub="3f8a", email="alice@corp"), verifier=by_mail).subject == "alice@corp"
    assert refused(corp_signed(), verifier=by_mail) == "TokenSubjectUnknown"


@pytest.mark.parametrize("subject", [None, "", 7, ["alice@corp"], "a" * 513, "alice@corp\x00", "\u0430lice@corp"])
def test_an_issuers_subject_is_compared_to_the_letter(subject: Any) -> None:
    assert refused(corp_signed(sub=subject), verifier=corp()) == "TokenSubjectUnknown"


def test_one_issuer_speaks_for_no_other() -> None:
    """With the same key and all: the cluster cannot name corp's people, nor corp the cluster's accounts."""
    both = corp(replace(CORP, audience=AUDIENCE))
    assert refused(corp_signed(aud=AUDIENCE, sub=SUBJECT, **{"kubernetes.io": bound()}), verifier=both) == (
        "TokenSubjectUnknown"
    )
    assert refused(signed(sub="alice@corp", groups=["staff"]), verifier=both) == "TokenSubjectUnknown"
    assert refused(corp_signed(), verifier=both) == "TokenAudienceWrong"


def test_each_issuer_has_its_own_keys() -> None:
    other = signing_key("key-2")
    both = corp(replace(CORP, keys=trusted(other).keys))
    assert refused(corp_signed(), verifier=both) == "TokenKeyUnknown"
    assert refused(KEY.sign(corp_claims(NOW), kid="key-2"), verifier=both) == "TokenSignatureInvalid"
    assert verify(other.sign(corp_claims(NOW)), verifier=both).client == "alice"
    assert verify(token(NOW), verifier=both).client == "runner"


def test_each_issuer_has_its_own_lifetime() -> None:
    assert verify(corp_signed(exp=NOW + 7200), verifier=corp()).client == "alice"
    assert refused(corp_signed(exp=NOW + 7201), verifier=corp()) == "TokenLifetimeExcessive"


def test_two_clients_share_no_group() -> None:
    clients = (TokenClient("a", groups=("x",)), TokenClient("b", groups=("y", "x")))
    with pytest.raises(ValueError, match="share one group"):
        corp(replace(CORP, clients=clients))


def test_standing_goes_with_the_groups_and_claims_of_a_client() -> None:
    standing = verify(corp_signed(sub="bob@corp", groups=["staff"]), verifier=corp()).standing
    assert standing in set(corp().standings())
    for after in (
        replace(CORP, clients=(TokenClient("staff", groups=("staff",)),)),
        replace(CORP, groups_claim="roles"),
        replace(CORP, subject_claim="email"),
        replace(CORP, audience="other"),
    ):
        assert standing not in set(corp(after).standings())
