"""spec.access, how clients prove who they are: which ways are listed, and whom a token must name."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from bartizan.policy.model import Authentication, JwtRef, NamespaceScope, Proof, ServiceAccountRef
from bartizan.policy.nodes import Node, show
from bartizan.policy.shapes import LABEL, SUBDOMAIN, Choice, Many, Record, Ruled, Text

MOST_WAYS = 6
MOST_GROUPS = 16
NAMED = Text(
    255,
    r"[!-~]([ -~]*[!-~])?",
    "is not what a token can be compared with; use printable ASCII, without spaces at either end",
)
"""Subjects and groups: ASCII only, so that no look-alike of another alphabet can be declared or match."""
DEFAULT = ({"type": Proof.API_KEY},)

SERVICE_ACCOUNT = Record({"namespace": LABEL, "name": SUBDOMAIN}, required=("name",))


def _judge_groups(node: Node, groups: list[str]) -> None:
    if len(set(groups)) < len(groups):
        node.refuse("names one group twice; remove it once")


JWT = Record(
    {"issuer": LABEL, "subject": NAMED, "groups": Ruled(Many(NAMED, MOST_GROUPS, 1), _judge_groups)},
    required=("issuer",),
    one_of=("subject", "groups"),
)


def _judge_way(node: Node, way: Mapping[str, Any]) -> None:
    if "type" in way and (way["type"] == Proof.JWT) != ("issuer" in way):
        remedy = "name one of the chart's issuers" if way["type"] == Proof.JWT else "remove it"
        node.key("issuer", way.get("issuer")).refuse(f"goes with type JWT, and only with that; {remedy}")


def _judge_ways(node: Node, ways: list[Mapping[str, Any]]) -> None:
    if any(count > 1 for count in Counter((way.get("type"), way.get("issuer")) for way in ways).values()):
        node.refuse("names one way twice; remove it once")


AUTHENTICATION = Ruled(
    Many(
        Ruled(Record({"type": Choice(tuple(Proof)), "issuer": LABEL}, required=("type",)), _judge_way),
        MOST_WAYS,
        1,
        "an endpoint without authentication is no gate",
    ),
    _judge_ways,
)


def judge_client(node: Node, client: Mapping[str, Any]) -> None:
    """One client, one way: two would be two clients under one name."""
    has_key = "serviceAccount" not in client and "jwt" not in client
    if "serviceAccount" in client and "jwt" in client:
        node.refuse("is a serviceAccount and has a jwt, too; name two clients")
    if not has_key and client.get("keyEpoch", 1) != 1:
        node.key("keyEpoch", client["keyEpoch"]).refuse("rotates a key, and this client has none; remove it")


def judge(node: Node, section: Mapping[str, Any]) -> None:
    """Who is named must be able to come in: a client whose way is not listed would be shut out for ever."""
    listed = ways(section)
    named: set[tuple[str, str, str]] = set()
    for position, client in enumerate(section.get("clients", ())):
        spot = node.key("clients", None).index(position, client)
        needed = way_of(client)
        if needed not in listed and "name" in client:
            spot.refuse(f"proves itself by {needed}, which spec.access.authentication does not list; add it there")
        for words in _named(client):
            if words in named:
                issuer, kind, name = words
                spot.key("jwt", None).refuse(f"{kind} {show(name)} of {issuer} is another client already; remove one")
            named.add(words)


def _named(client: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    token = client.get("jwt", {})
    issuer = token.get("issuer", "")
    if "subject" in token:
        yield issuer, "subject", token["subject"]
    for group in token.get("groups", ()):
        yield issuer, "group", group


def judge_accounts(node: Node, section: Mapping[str, Any], *, namespace: str) -> None:
    """What takes the endpoint's own namespace to tell: if an account may come in, and that it is one client's only."""
    is_same = section.get("from", {}).get("namespaces", NamespaceScope.SAME) == NamespaceScope.SAME
    seen: set[ServiceAccountRef] = set()
    for position, client in enumerate(section.get("clients", ())):
        found = account(client, namespace)
        if found is None:
            continue
        spot = node.key("clients", None).index(position, client).key("serviceAccount", None)
        if found in seen:
            spot.refuse(f"{show(str(found))} is another client already; remove one")
        if is_same and found.namespace != namespace:
            spot.key("namespace", None).refuse(
                f"{show(found.namespace)} may not come in: spec.access.from.namespaces is Same; "
                "set it to Selector with that namespace's labels, or remove the client"
            )
        seen.add(found)


def ways(section: Mapping[str, Any]) -> tuple[Authentication, ...]:
    """Those that are listed, in one order; what was refused is not among them."""
    listed = (way for way in section.get("authentication", DEFAULT) if "type" in way)
    found = (Authentication(Proof(way["type"]), way.get("issuer", "")) for way in listed)
    return tuple(sorted(found, key=lambda way: (way.type, way.issuer)))


def way_of(client: Mapping[str, Any]) -> Authentication:
    if "jwt" in client:
        return Authentication(Proof.JWT, client["jwt"].get("issuer", ""))
    return Authentication(Proof.SERVICE_ACCOUNT if "serviceAccount" in client else Proof.API_KEY)


def account(client: Mapping[str, Any], namespace: str) -> ServiceAccountRef | None:
    """`client` after its shape: what was refused there is not in it."""
    found = client.get("serviceAccount")
    if not found or "name" not in found:
        return None
    return ServiceAccountRef(found.get("namespace", namespace), found["name"])


def token(client: Mapping[str, Any]) -> JwtRef | None:
    found = client.get("jwt")
    if not found or "issuer" not in found:
        return None
    return JwtRef(found["issuer"], found.get("subject", ""), tuple(sorted(found.get("groups", ()))))
