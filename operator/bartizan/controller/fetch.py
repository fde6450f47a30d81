"""Fetches what an issuer publishes: over TLS, from addresses that may be reached, within bounds, and from nowhere else.

An issuer's address is the installation's word, but where a name leads is its name server's, and where the keys lie is
the issuer's. So every address is judged at the moment at which a socket is made for it, whatever form it had before and
whatever it was resolved to; redirects are not followed, and no proxy is asked.
"""

import errno
import json
import re
import socket
import ssl
from typing import Any

import aiohttp

from bartizan.policy import addresses, issuers
from bartizan.policy.issuers import IssuerSetting

MAX_DISCOVERY_BYTES = 64 * 1024
MAX_KEYS_BYTES = 256 * 1024
TIMEOUT = aiohttp.ClientTimeout(total=10, connect=5)
"""For each page, its name's resolution included."""
_OK = 200
_HEADERS = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "bartizan-operator"}


class FetchError(Exception):
    """Why nothing was got, for the log: it may hold addresses that are nobody's business in a namespace."""


async def published_keys(issuer: IssuerSetting) -> Any:  # noqa: ANN401 - whatever JSON the issuer has
    """Its JWK Set, not judged yet; raises FetchError."""
    connector = aiohttp.TCPConnector(
        ssl=_trust(issuer.authority),
        socket_factory=_opener(issuer.allow_private),
        use_dns_cache=False,
        force_close=True,
    )
    jar = aiohttp.DummyCookieJar()
    async with aiohttp.ClientSession(
        connector=connector, trust_env=False, auto_decompress=False, cookie_jar=jar, timeout=TIMEOUT
    ) as session:
        discovery = await _get(session, issuer.discovery_url, most=MAX_DISCOVERY_BYTES)
        if not isinstance(discovery, dict) or discovery.get("issuer") != issuer.url:
            raise FetchError(f"{issuer.discovery_url} does not speak for {issuer.url}, to the letter")
        address = discovery.get("jwks_uri")
        if not isinstance(address, str) or not re.fullmatch(issuers.KEYS_URL, address):
            raise FetchError(f"{issuer.discovery_url} names no jwks_uri over https")
        return await _get(session, address, most=MAX_KEYS_BYTES)


def _trust(authority: str) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cadata=authority or None)
    except ssl.SSLError as error:
        raise FetchError("its ca holds no certificate that can be read") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _opener(listed: tuple[addresses.Network, ...]) -> aiohttp.SocketFactoryType:
    """Makes sockets for what may be reached. Numbers that are no plain address (`127.1`, `2130706433`) are nothing."""

    def open_socket(info: aiohttp.AddrInfoType) -> socket.socket:
        family, kind, protocol, _, target = info
        address = str(target[0]).partition("%")[0]
        try:
            is_open = addresses.is_open(address, listed)
        except ValueError:
            is_open = False
        if not is_open:
            raise PermissionError(errno.EACCES, f"{address} may not be reached; list its range in allowPrivate")
        return socket.socket(family, kind, protocol)

    return open_socket


async def _get(session: aiohttp.ClientSession, address: str, *, most: int) -> Any:  # noqa: ANN401
    try:
        async with session.get(address, headers=_HEADERS, allow_redirects=False) as answer:
            if answer.status != _OK:
                raise FetchError(f"{address} answers {answer.status}; redirects are not followed")
            return json.loads(await _read(answer.content, address, most))
    except TimeoutError as error:
        raise FetchError(f"no answer from {address} in {TIMEOUT.total} s") from error
    except (aiohttp.ClientError, OSError, RecursionError, ValueError) as error:
        raise FetchError(f"{address}: {type(error).__name__}: {error}") from error


async def _read(content: aiohttp.StreamReader, address: str, most: int) -> bytes:
    data = b""
    while len(data) <= most:
        piece = await content.read(most + 1 - len(data))
        if not piece:
            return data
        data += piece
    raise FetchError(f"{address} has more than {most} bytes")
