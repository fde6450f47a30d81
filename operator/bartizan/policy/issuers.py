"""The issuers that an installation trusts to say who a caller is, by name: read from the chart's value, as JSON.

Who installs the operator names their addresses. A namespaced object names an issuer only by its name, so that nobody in
a namespace can make the operator fetch an address of their choosing.
"""

import ipaddress
import json
from dataclasses import dataclass
from typing import Any

from bartizan.policy import addresses, jwks
from bartizan.policy.model import Problem
from bartizan.policy.nodes import Absent, Node, show
from bartizan.policy.shapes import LABEL, Choice, Many, Record, Text, Whole

MOST_ISSUERS = 8
WIDEST_PRIVATE = 8
"""Prefix length: 10.0.0.0/8 and fd00::/8 are the widest networks that somebody may have for themselves."""
MAX_AUTHORITY = 16 * 1024
DEFAULT_ALGORITHMS = ("RS256", "ES256")
"""What nearly every issuer signs with (OpenID Connect asks for RS256); others are named."""
DEFAULT_LIFETIME_SECONDS = 3600
LONGEST_LIFETIME_SECONDS = 86400
DISCOVERY = "/.well-known/openid-configuration"

_HOST = r"([A-Za-z0-9]([-A-Za-z0-9.]{0,251}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]{2,45}\])"
_ADDRESS = rf"https://{_HOST}(:[0-9]{{1,5}})?(/[-A-Za-z0-9._~/%]*)?"
KEYS_URL = rf"(?=.{{1,512}}\Z){_ADDRESS}(\?[-A-Za-z0-9._~/%=&]*)?"
"""So narrow that no two readers of addresses could differ over the host."""
URL = Text(
    512,
    _ADDRESS,
    "is not an issuer's address; write https://host or https://host/path, as the tokens' iss has it",
)
_CLAIM = Text(128, r"[!-~]+", "is not a claim's name; use printable characters without spaces")


@dataclass(frozen=True, slots=True)
class IssuerSetting:
    """One issuer. `audience` empty: the endpoint's own. `authority`: PEM that alone is trusted; empty: the system's.

    `allow_private` are the ranges, none of them public, in which its addresses may lie.
    """

    name: str
    url: str
    audience: str
    algorithms: tuple[str, ...]
    subject_claim: str
    groups_claim: str
    max_lifetime_seconds: int
    authority: str
    allow_private: tuple[addresses.Network, ...]

    @property
    def discovery_url(self) -> str:
        """OpenID Connect Discovery 1.0, 4.1: a slash at the end of the issuer is no part of the path."""
        return self.url.rstrip("/") + DISCOVERY


def _range(node: Node) -> str | Absent:
    """Private ranges only: whatever is public may be reached without being listed."""
    text = addresses.judge_peer(node)
    if isinstance(text, Absent):
        return text
    network = ipaddress.ip_network(text)
    if network.prefixlen < WIDEST_PRIVATE:
        return node.refuse(f"{show(node.value)} is too wide; name the network of the issuer, /8 or narrower")
    if network.is_global:
        return node.refuse(f"{show(node.value)} is public, and public addresses need no listing; remove it")
    return text


_ISSUER = Record(
    {
        "name": LABEL,
        "url": URL,
        "audience": Text(255, r"[!-~]+", "is not an audience; use printable characters without spaces"),
        "algorithms": Many(Choice(jwks.ALGORITHMS), len(jwks.ALGORITHMS), 1, "name at least one"),
        "subjectClaim": _CLAIM,
        "groupsClaim": _CLAIM,
        "maxLifetimeSeconds": Whole(60, LONGEST_LIFETIME_SECONDS),
        "ca": Text(MAX_AUTHORITY, r"(?s)\s*-----BEGIN CERTIFICATE-----.*", "is not PEM; paste the certificate"),
        "allowPrivate": Many(_range, 16),
    },
    required=("name", "url"),
)


def parse(text: str) -> tuple[IssuerSetting, ...]:
    """By name; raises ValueError with everything that is wrong. Empty fields count as absent, as a chart gives them."""
    problems: list[Problem] = []
    try:
        value = json.loads(text or "[]")
    except (ValueError, RecursionError) as error:
        raise ValueError(f"is not JSON: {error}") from error
    entries: list[dict[str, Any]] = Many(_ISSUER, MOST_ISSUERS)(Node("issuers", _without_empty(value), problems))
    for field in ("name", "url"):
        given = [entry[field] for entry in entries if field in entry]
        if len(set(given)) < len(given):
            problems.append(Problem("issuers", f"two have the same {field}; keep one"))
    if problems:
        raise ValueError("; ".join(map(str, problems)))
    return tuple(sorted(map(_build, entries), key=lambda issuer: issuer.name))


def _without_empty(value: object) -> object:
    if not isinstance(value, list):
        return value
    empty: tuple[object, ...] = ("", [], None)
    return [
        {name: field for name, field in item.items() if field not in empty} if isinstance(item, dict) else item
        for item in value
    ]


def _build(entry: dict[str, Any]) -> IssuerSetting:
    return IssuerSetting(
        name=entry["name"],
        url=entry["url"],
        audience=entry.get("audience", ""),
        algorithms=tuple(dict.fromkeys(entry.get("algorithms", DEFAULT_ALGORITHMS))),
        subject_claim=entry.get("subjectClaim", "sub"),
        groups_claim=entry.get("groupsClaim", ""),
        max_lifetime_seconds=entry.get("maxLifetimeSeconds", DEFAULT_LIFETIME_SECONDS),
        authority=entry.get("ca", ""),
        allow_private=tuple(ipaddress.ip_network(cidr) for cidr in entry.get("allowPrivate", ())),
    )
