"""The chart's issuers: each field has its bound, and whatever is odd is refused with its path."""

import ipaddress
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bartizan.policy import addresses, issuers

CORP = {"name": "corp", "url": "https://login.corp.example/realms/ai"}


def parse(*entries: Any) -> tuple[issuers.IssuerSetting, ...]:
    return issuers.parse(json.dumps(entries))


def problem(*entries: Any) -> str:
    with pytest.raises(ValueError, match=r"issuers|JSON") as caught:
        parse(*entries)
    return str(caught.value)


def test_what_is_left_out_or_empty_has_its_default() -> None:
    empty = {"audience": "", "algorithms": [], "subjectClaim": "", "groupsClaim": "", "ca": "", "allowPrivate": []}
    (found,) = parse({**CORP, **empty})
    assert (found,) == parse(CORP)
    assert (found.subject_claim, found.groups_claim, found.max_lifetime_seconds) == ("sub", "", 3600)
    assert found.algorithms == ("RS256", "ES256")
    assert found.discovery_url == "https://login.corp.example/realms/ai/.well-known/openid-configuration"


def test_nothing_is_no_issuer() -> None:
    assert issuers.parse("") == issuers.parse("[]") == ()


def test_every_field_counts() -> None:
    changes: dict[str, Any] = {
        "name": "lab",
        "url": "https://lab.example",
        "audience": "models",
        "algorithms": ["ES384"],
        "subjectClaim": "email",
        "groupsClaim": "groups",
        "maxLifetimeSeconds": 7200,
        "ca": "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
        "allowPrivate": ["10.0.0.0/8"],
    }
    assert all(parse({**CORP, field: value}) != parse(CORP) for field, value in changes.items())
    assert set(changes) == set(issuers._ISSUER.fields)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"url": "http://login.corp.example"}, "is not an issuer's address; write https://"),
        ({"url": "https://user@login.corp.example"}, "is not an issuer's address"),
        ({"url": "https://login.corp.example?x=1"}, "is not an issuer's address"),
        ({"url": "https://login.corp.example/#x"}, "is not an issuer's address"),
        ({"url": "https://l\u043egin.corp.example"}, "is not an issuer's address"),
        ({"url": "https://login.corp.example\\@thief.example"}, "is not an issuer's address"),
        ({"url": "https://login corp"}, "is not an issuer's address"),
        ({"url": 7}, "is not text"),
        ({"name": "Corp"}, "is not a DNS label"),
        ({"name": "ServiceAccount"}, "is not a DNS label"),
        ({"algorithms": ["HS256"]}, "'HS256' is not RS256"),
        ({"algorithms": ["none"]}, "'none' is not RS256"),
        ({"maxLifetimeSeconds": 86401}, "is out of bounds; give 60 to 86400"),
        ({"maxLifetimeSeconds": "1h"}, "is not a whole number"),
        ({"ca": "MIIB"}, "is not PEM"),
        ({"allowPrivate": ["0.0.0.0/0"]}, "is too wide"),
        ({"allowPrivate": ["::/0"]}, "is too wide"),
        ({"allowPrivate": ["8.8.8.0/24"]}, "is public"),
        ({"allowPrivate": ["169.254.169.254/32"]}, "link-local and metadata addresses"),
        ({"allowPrivate": ["10.0.0.1"]}, "is not a CIDR"),
        ({"subjectClaim": "a b"}, "is not a claim's name"),
        ({"subjectclaim": "sub"}, "did you mean subjectClaim"),
        ({"jwksUri": "https://x"}, "is not a known field"),
    ],
)
def test_whatever_is_odd_is_refused_with_its_path(change: dict[str, Any], words: str) -> None:
    said = problem({**CORP, **change})
    assert words in said
    assert said.startswith("issuers[0]")


def test_what_is_missing_is_named() -> None:
    assert "issuers[0].url: is missing" in problem({"name": "corp"})
    assert "issuers[0].name: is missing" in problem({"url": "https://x.example"})


def test_names_and_addresses_stand_once() -> None:
    assert "two have the same name" in problem(CORP, {**CORP, "url": "https://other.example"})
    assert "two have the same url" in problem(CORP, {**CORP, "name": "other"})


@pytest.mark.parametrize("text", ["{", "{}", "7", '"corp"', "[" * 100_000, "[7]", '[["name"]]'])
def test_another_form_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"JSON|list|mapping"):
        issuers.parse(text)


NOWHERE = (
    "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "100.64.0.1", "0.0.0.0", "169.254.169.254", "224.0.0.1",
    "240.0.0.1", "255.255.255.255", "192.0.2.1", "198.18.0.1", "::", "::1", "fe80::1", "fc00::1", "fd00:ec2::254",
    "ff02::1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "64:ff9b::10.0.0.1", "64:ff9b::169.254.169.254",
    "2002:a00:1::1", "2002:7f00:1::1", "::10.0.0.1", "2001:db8::1", "100::1",
)  # fmt: skip


@pytest.mark.parametrize("address", NOWHERE)
def test_what_is_not_public_is_not_reached_unless_listed(address: str) -> None:
    assert not addresses.is_open(address, ())


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8"])
def test_what_is_public_is_reached(address: str) -> None:
    assert addresses.is_open(address, ())


@pytest.mark.parametrize("address", ["10.1.2.3", "::ffff:10.1.2.3"])
def test_what_is_listed_is_reached(address: str) -> None:
    assert addresses.is_open(address, (ipaddress.ip_network("10.0.0.0/8"),))
    assert not addresses.is_open(address, (ipaddress.ip_network("10.2.0.0/16"),))


@pytest.mark.parametrize("address", ["", "127.1", "2130706433", "localhost", "0x7f000001", "10.0.0.1/8", "1.2.3.4.5"])
def test_what_is_no_plain_address_is_none(address: str) -> None:
    with pytest.raises(ValueError, match="does not appear to be"):
        addresses.is_open(address, ())


@given(st.ip_addresses(v=4))
def test_an_address_in_another_form_is_judged_as_itself(address: ipaddress.IPv4Address) -> None:
    plain = addresses.is_open(str(address), ())
    assert addresses.is_open(f"::ffff:{address}", ()) is plain
    assert addresses.is_open(f"64:ff9b::{address}", ()) <= plain
