"""What the operator fetches, from whom, and what it does not let itself be led to; against a real TLS server."""

import asyncio
import gzip
import ipaddress
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from tests.issuer.minting import key_set, signing_key
from tests.issuer.server import DISCOVERY, KEYS, IssuerServer, Page, serving

from bartizan.controller import fetch
from bartizan.controller.fetch import FetchError
from bartizan.policy.issuers import IssuerSetting, parse

LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[IssuerServer]:
    with serving(tmp_path) as started:
        started.publish(signing_key())
        yield started


def setting(server: IssuerServer, **changes: Any) -> IssuerSetting:
    (found,) = parse(json.dumps([{"name": "corp", "url": server.url, "ca": server.authority}]))
    return replace(found, **{"allow_private": LOOPBACK, **changes})


def fetched(issuer: IssuerSetting, server_may_go_on: Callable[[], None] = lambda: None) -> Any:
    async def fetch_and_settle() -> Any:
        try:
            return await fetch.published_keys(issuer)
        finally:
            server_may_go_on()
            await _closed()

    return asyncio.run(fetch_and_settle())


async def _closed() -> None:
    """A connection over TLS is closed in the event loop's own time, which the operator's has and this one makes."""
    watched = asyncio.get_running_loop()._selector  # type: ignore[attr-defined]
    async with asyncio.timeout(5):
        while len(watched.get_map()) > 1:  # noqa: ASYNC110 - the loop's own pipe stays, and nothing tells
            await asyncio.sleep(0.001)


def refused(issuer: IssuerSetting, server_may_go_on: Callable[[], None] = lambda: None) -> str:
    with pytest.raises(FetchError) as caught:
        fetched(issuer, server_may_go_on)
    return str(caught.value)


def test_the_keys_of_an_honest_issuer_are_fetched(server: IssuerServer) -> None:
    assert fetched(setting(server)) == key_set(signing_key())
    assert server.asked == [DISCOVERY, KEYS]


def test_the_keys_may_lie_at_another_address(server: IssuerServer) -> None:
    server.say(DISCOVERY, {"issuer": server.url, "jwks_uri": f"https://127.0.0.1:{server.port}/keys?p=policy_1"})
    server.say("/keys?p=policy_1", {"keys": []})
    assert fetched(setting(server)) == {"keys": []}


def test_an_issuer_with_a_path_and_a_slash_is_asked_below_it(server: IssuerServer) -> None:
    url = f"{server.url}/realms/ai/"
    server.say("/realms/ai" + DISCOVERY, {"issuer": url, "jwks_uri": server.url + KEYS})
    assert fetched(setting(server, url=url)) == key_set(signing_key())


# To whom it speaks


def test_a_certificate_of_another_authority_is_not_trusted(server: IssuerServer, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    with serving(tmp_path / "other") as other:
        assert "certificate" in refused(setting(server, authority=other.authority))
    assert "certificate" in refused(setting(server, authority=""))
    assert server.asked == []


def test_a_certificate_for_another_name_is_not_trusted(tmp_path: Path) -> None:
    with serving(tmp_path, name="elsewhere.example") as server:
        server.publish(signing_key())
        assert "certificate" in refused(setting(server)).lower()
        assert server.asked == []


def test_a_ca_that_is_none_is_said_to_be_none(server: IssuerServer) -> None:
    broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    assert "holds no certificate" in refused(setting(server, authority=broken))


@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1", "127.1", "2130706433", "0177.0.0.1", "[::ffff:127.0.0.1]", "[::1]", "0"]
)
def test_a_private_address_is_not_reached_in_whatever_form(server: IssuerServer, host: str) -> None:
    issuer = setting(server, url=f"https://{host}:{server.port}", allow_private=())
    said = refused(issuer)
    assert "may not be reached; list its range in allowPrivate" in said or "not a canonical IPv4 address" in said
    assert server.asked == []


@pytest.mark.parametrize("host", ["127.1", "2130706433", "0"])
def test_numbers_that_are_no_plain_address_are_nothing_even_where_listed(server: IssuerServer, host: str) -> None:
    said = refused(setting(server, url=f"https://{host}:{server.port}"))
    assert "may not be reached" in said or "not a canonical IPv4 address" in said
    assert server.asked == []


@pytest.mark.parametrize("host", ["169.254.169.254", "[fd00:ec2::254]", "100.100.100.200", "[fe80::1]"])
def test_a_metadata_service_is_not_reached_even_where_listed(server: IssuerServer, host: str) -> None:
    everything = (ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0"))
    assert "may not be reached" in refused(setting(server, url=f"https://{host}", allow_private=everything))


def test_what_is_connected_to_is_what_was_judged(server: IssuerServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that leads to a public address when it is looked at, and to a private one when it is connected to."""
    answers = iter([["192.0.2.1"], ["127.0.0.1"], ["127.0.0.1"]])
    looked: list[str] = []

    async def resolve(self: Any, host: str, port: int = 0, family: int = 0) -> list[dict[str, Any]]:
        looked.append(host)
        found = next(answers)
        return [{"hostname": host, "host": at, "port": port, "family": 2, "proto": 6, "flags": 4} for at in found]

    monkeypatch.setattr(aiohttp.ThreadedResolver, "resolve", resolve)
    issuer = setting(server, url=f"https://rebound.example:{server.port}", allow_private=())
    for _ in range(3):
        assert "may not be reached" in refused(issuer)
    assert looked == ["rebound.example"] * 3
    assert server.asked == []


def test_of_a_names_addresses_those_that_may_be_reached_are(
    server: IssuerServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def resolve(self: Any, host: str, port: int = 0, family: int = 0) -> list[dict[str, Any]]:
        found = ("10.0.0.1", "169.254.169.254", "127.0.0.1")
        return [{"hostname": host, "host": at, "port": port, "family": 2, "proto": 6, "flags": 4} for at in found]

    monkeypatch.setattr(aiohttp.ThreadedResolver, "resolve", resolve)
    assert fetched(setting(server)) == key_set(signing_key())


def test_no_proxy_of_the_environment_is_asked(server: IssuerServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert fetched(setting(server)) == key_set(signing_key())


# Where it does not let itself be led


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("path", [DISCOVERY, KEYS])
def test_no_redirect_is_followed(server: IssuerServer, path: str, status: int) -> None:
    server.pages[path] = Page(b"", status, {"Location": f"{server.url}/elsewhere"})
    server.say("/elsewhere", key_set(signing_key()))
    assert f"answers {status}; redirects are not followed" in refused(setting(server))
    assert "/elsewhere" not in server.asked


@pytest.mark.parametrize(
    "address",
    [
        None, "", 7, "http://localhost/keys", "file:///etc/passwd", "//localhost/keys", "/keys", "https://", "https:///k",
        "https://user:pass@localhost/keys", "https://localhost/keys#x", "https://local host/keys",
        "https://localhost\\@thief/", "https://localhost:port/", "https://\u24db\u24de\u24d2al/",
        "https://a/" + "k" * 600, "https://localhost/keys\n",
    ],
)  # fmt: skip
def test_keys_lie_at_a_plain_https_address(server: IssuerServer, address: Any) -> None:
    server.say(DISCOVERY, {"issuer": server.url, "jwks_uri": address})
    assert "names no jwks_uri over https" in refused(setting(server))
    assert server.asked == [DISCOVERY]


def test_keys_at_a_private_address_are_not_fetched(server: IssuerServer) -> None:
    server.say(DISCOVERY, {"issuer": server.url, "jwks_uri": f"https://10.255.255.1:{server.port}/keys"})
    assert "10.255.255.1 may not be reached" in refused(setting(server))


@pytest.mark.parametrize("issuer", [None, "", "https://other.example", "{url}/", "{url}/realms/other", 7])
def test_a_discovery_that_speaks_for_another_is_refused(server: IssuerServer, issuer: Any) -> None:
    said = issuer.format(url=server.url) if isinstance(issuer, str) else issuer
    server.say(DISCOVERY, {"issuer": said, "jwks_uri": server.url + KEYS})
    assert "does not speak for" in refused(setting(server))


# Within bounds


@pytest.mark.parametrize(("path", "most"), [(DISCOVERY, fetch.MAX_DISCOVERY_BYTES), (KEYS, fetch.MAX_KEYS_BYTES)])
def test_no_page_is_read_beyond_its_bound(server: IssuerServer, path: str, most: int) -> None:
    server.pages[path] = Page(b'{"x": "' + b"x" * (most * 8) + b'"}')
    assert f"has more than {most} bytes" in refused(setting(server))


def test_a_page_that_does_not_come_is_given_up(server: IssuerServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "TIMEOUT", aiohttp.ClientTimeout(total=0.3))
    server.pages[KEYS] = Page(b"", waits=True)
    assert "no answer from" in refused(setting(server), server.ended.set)


def test_nothing_is_unpacked(server: IssuerServer) -> None:
    packed = gzip.compress(json.dumps(key_set(signing_key())).encode())
    server.pages[KEYS] = Page(packed, headers={"Content-Encoding": "gzip"})
    assert "/keys: " in refused(setting(server))


@pytest.mark.parametrize("body", [b"", b"<html>", b"{", b"[" * 200_000, b"\xff\xfe", b'{"keys": ' + b"9" * 5000 + b"}"])
def test_what_is_no_json_is_refused(server: IssuerServer, body: bytes) -> None:
    server.pages[KEYS] = Page(body)
    assert "/keys: " in refused(setting(server))


@pytest.mark.parametrize("status", [204, 401, 404, 500, 503])
def test_another_answer_is_none(server: IssuerServer, status: int) -> None:
    server.pages[KEYS] = Page(b"", status)
    assert f"answers {status}" in refused(setting(server))


def test_a_port_that_nobody_listens_on_is_said(server: IssuerServer) -> None:
    assert "/.well-known/openid-configuration: " in refused(setting(server, url="https://localhost:1"))
