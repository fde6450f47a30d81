"""Judges a request by its head alone: path, method, and the headers that say what the body is."""

import ipaddress
import re
from functools import lru_cache

from bartizan.guard.profiles.contract import Profile, Route
from bartizan.guard.refusal import Refusal
from bartizan.guard.request import Head, too_large
from bartizan.policy.reasons import Reason

_UNUSUAL = frozenset({b"upgrade", b"transfer-encoding", b"expect"})
"""Headers of the framing that most requests have none of."""
_JSON = (b"application/json", b"application/json; charset=utf-8", b"application/json;charset=utf-8")
_PORT = rb"6553[0-5]|655[0-2][0-9]|65[0-4][0-9]{2}|6[0-4][0-9]{3}|[0-5]?[0-9]{1,4}"
_HOST = re.compile(rb"(?:[A-Za-z0-9._~-]{1,255}|\[(?P<ipv6>[0-9A-Fa-f:.]{2,45})\])(?::(?:%b))?" % _PORT)
"""A name, an IPv4 or an IPv6 address, and a port (RFC 9112, 3.2; RFC 3986, 3.2.2). What no client sends is left out:
percent encoding, commas and their kind, an address's zone, a port that is empty."""


def judge(head: Head, route: Route | None, profile: Profile, *, max_body_bytes: int) -> Route:
    """The `route` of the head's raw path, if there is one and the rest of the head fits it; raises Refusal."""
    if head.fault is not None:
        raise head.fault
    if route is None:
        raise Refusal(Reason.PATH_NOT_ALLOWED, "This endpoint does not serve that path.")
    if head.method != route.method:
        message = f"This path takes {route.method.decode()} only."
        raise Refusal(Reason.METHOD_NOT_ALLOWED, message, allow=route.method)
    _judge_framing(head)
    if profile.judge_head is not None:
        profile.judge_head(head)
    if route.has_body:
        _judge_body(head, max_body_bytes)
    elif head.values(b"transfer-encoding") or head.values(b"content-length") not in ((), (b"0",)):
        raise Refusal(Reason.REQUEST_MALFORMED, "This path takes no body.")
    return route


def _judge_framing(head: Head) -> None:
    hosts = head.values(b"host")
    if len(hosts) != 1 or not _is_host(hosts[0]):
        raise Refusal(Reason.REQUEST_MALFORMED, "Send exactly one Host header: a host, and its port if it has one.")
    if head.named(_UNUSUAL):
        _judge_unusual(head)


@lru_cache(maxsize=4)  # clients call an endpoint by few names: most requests cost one look
def _is_host(value: bytes) -> bool:
    found = _HOST.fullmatch(value.rstrip(b" \t"))  # which the parser leaves there
    if found is None:
        return False
    return found["ipv6"] is None or _is_ipv6(found["ipv6"].decode("ascii"))


def _is_ipv6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True


def _judge_unusual(head: Head) -> None:
    if head.values(b"upgrade"):
        raise Refusal(Reason.REQUEST_MALFORMED, "This endpoint speaks HTTP/1.1 only and upgrades to nothing.")
    codings = head.values(b"transfer-encoding")
    if codings and (len(codings) > 1 or codings[0].lower() != b"chunked"):
        raise Refusal(Reason.REQUEST_MALFORMED, "The only Transfer-Encoding that is read is chunked.")
    if head.values(b"expect") not in ((), (b"100-continue",)):
        raise Refusal(Reason.REQUEST_MALFORMED, "The only Expect that is met is 100-continue.")


def _judge_body(head: Head, max_body_bytes: int) -> None:
    if head.values(b"content-encoding"):
        raise Refusal(Reason.CONTENT_ENCODING_UNSUPPORTED, "Send the body as it is, without Content-Encoding.")
    types = head.values(b"content-type")
    if len(types) != 1 or types[0].lower() not in _JSON:
        raise Refusal(Reason.CONTENT_TYPE_UNSUPPORTED, "Send one Content-Type: application/json.")
    for length in head.values(b"content-length"):
        if int(length) > max_body_bytes:  # the parser let digits through only
            raise too_large(max_body_bytes)
