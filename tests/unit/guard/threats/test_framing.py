"""What two parsers might read differently, and headers that claim something, tried over real sockets."""

import re

import pytest
from tests.unit.guard.running import (
    Guard,
    Model,
    chat,
    forwarded,
    request_bytes,
)
from tests.unit.guard.threats.raw import BODY, status

CHUNKED = b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)
LENGTH = b"Content-Length: %d" % len(BODY)


@pytest.mark.parametrize(
    "data",
    [
        request_bytes(CHUNKED, b"Content-Length: %d" % len(CHUNKED), b"Transfer-Encoding: chunked"),
        request_bytes(CHUNKED, b"Transfer-Encoding: chunked", b"Content-Length: %d" % len(CHUNKED)),
        request_bytes(BODY, LENGTH, LENGTH),
        request_bytes(BODY, LENGTH, b"Content-Length: 1"),
        request_bytes(BODY, b"Content-Length: %d, %d" % (len(BODY), len(BODY))),
        request_bytes(BODY, b"Content-Length: +%d" % len(BODY)),
        request_bytes(BODY, b"Content-Length: 0x%x" % len(BODY)),
        request_bytes(BODY, b"Content-Length: -1"),
        request_bytes(BODY, b"Content-Length : %d" % len(BODY)),
        request_bytes(BODY, b"Content-Length: 99999999999999999999"),
        request_bytes(CHUNKED, b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity"),
        request_bytes(CHUNKED, b"Transfer-Encoding: xchunked"),
        request_bytes(CHUNKED, b"Transfer-Encoding: chunked, identity"),
        request_bytes(CHUNKED, b"Transfer-Encoding: identity, chunked"),
        request_bytes(CHUNKED, b"Transfer-Encoding : chunked"),
        request_bytes(CHUNKED, b"Transfer-Encoding:\x0bchunked"),
        request_bytes(CHUNKED, b" Transfer-Encoding: chunked"),
        request_bytes(b"%x;a=b\n%b\r\n0\r\n\r\n" % (len(BODY), BODY), b"Transfer-Encoding: chunked"),
        request_bytes(b"%x\n%b\n0\n\n" % (len(BODY), BODY), b"Transfer-Encoding: chunked"),
        request_bytes(b"0x%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY), b"Transfer-Encoding: chunked"),
        request_bytes(b"ffffffffffffffff1\r\n%b\r\n0\r\n\r\n" % BODY, b"Transfer-Encoding: chunked"),
        request_bytes(CHUNKED[:-2] + b"Authorization: Bearer x\r\n\r\n", b"Transfer-Encoding: chunked"),
        request_bytes(BODY).replace(b"\r\n", b"\n"),
        request_bytes(BODY, b"X-Folded: a\r\n b"),
        request_bytes(BODY, b"X-Bare: a\rb"),
        request_bytes(BODY, b"X-Null: a\x00b"),
        request_bytes(BODY, b"No colon here"),
        request_bytes(BODY, b": no name"),
        request_bytes(BODY, b"Connection: close") + request_bytes(BODY),
    ],
)
def test_t28_what_two_parsers_might_read_differently_is_refused(guard: Guard, data: bytes) -> None:
    answer = guard.raw(data)
    assert status(answer) == 400
    assert len(re.findall(rb"HTTP/1.1 \d", answer)) == 1


def test_t28_a_request_behind_a_request_reaches_nobody(guard: Guard, model: Model) -> None:
    before = len(model.received())
    alive = b"Connection: keep-alive"
    answer = guard.raw(request_bytes(BODY, alive) + request_bytes(BODY.replace(b"never", b"smuggled"), alive))
    assert (status(answer), answer.count(b"HTTP/1.1 ")) == (200, 1)
    assert b"Connection: close" in answer
    assert [event["body"] for event in model.received()[before:]] == [forwarded(chat("never to be seen"))]


@pytest.mark.parametrize(
    "line", [b"HTTP/1.0", b"HTTP/0.9", b"HTTP/2.0", b"HTTP/1.2", b"HTTP/3", b"RTSP/1.0", b"", b"http/1.1"]
)
def test_t28_other_versions_are_refused(guard: Guard, line: bytes) -> None:
    assert status(guard.raw(request_bytes(BODY).replace(b"HTTP/1.1", line, 1))) == 400


@pytest.mark.parametrize("host", [b"", b"Host: \r\n", b"Host: a\r\nHost: b\r\n", b"Host: a\r\nHost: a\r\n"])
def test_t28_a_request_has_one_host(guard: Guard, host: bytes) -> None:
    assert status(guard.raw(request_bytes(BODY).replace(b"Host: guard\r\n", host))) == 400


@pytest.mark.parametrize(
    "host",
    [b"a b", b"http://x/../y", b"//x", b"user@host", b"\xff\xfe", b"a,b", b"a/b", b"a?b", b"a#b", b"a\\b", b"a%00b",
     b"*", b"a\tb", b"a'", b"h\xc3\xb6st", b":8080", b"a:", b"a:b", b"a:80:80", b"a:-1", b"a:+1", b"a:65536",
     b"a:99999", b"a:000080", b"[::1", b"::1", b"[]", b"[a]", b"[::1]x", b"[::1]:", b"[::1]:65536", b"[:::1]",
     b"[1:2:3:4:5:6:7:8:9]", b"[127.0.0.1]", b"[fe80::1%eth0]", b"[fe80::1%25eth0]", b"[v1.x]", b"[[::1]]",
     b"x" * 256, b"x" * 15_000],
)  # fmt: skip
def test_t28_an_odd_host_is_refused(guard: Guard, host: bytes) -> None:
    """RFC 9112, 3.2: a name or an address, and a port; no authority that two readers might split differently."""
    assert status(guard.raw(request_bytes(BODY, b"Host: " + host))) == 400


@pytest.mark.parametrize(
    "host",
    [b"guard", b"localhost", b"LocalHost:80", b"svc.ns.svc:8080", b"svc.ns.svc.cluster.local.", b"my_svc.ns", b"a-b~c",
     b"10.0.0.1", b"10.0.0.1:8080", b"[fd00::1]", b"[fd00::1]:8080", b"[FD00::A]:0", b"[::]", b"[::ffff:10.0.0.1]:80",
     b"a:65535", b"x" * 255 + b":65535", b"guard:8080 \t "],
)  # fmt: skip
def test_t28_a_host_that_clients_send_reaches_the_guards_own_answer(guard: Guard, host: bytes) -> None:
    head = request_bytes(b"", b"Host: " + host, b"Content-Length: 0", path=b"/v1/models", method=b"GET")
    assert status(guard.raw(head)) == 200


def test_t31_nothing_of_the_callers_header_reaches_the_model(guard: Guard, model: Model) -> None:
    forged = {"X_Bartizan_Client": "admin", "X_Forwarded_For": "10.0.0.1", "X_Forwarded_Client_Cert": "Subject=root",
              "Forwarded": "for=admin", "X_Conversation_Id": "survive", "Cookie": "a=b", "Traceparent": "00-1-1-00",
              "Accept_Encoding": "gzip", "User_Agent": "forged"}  # fmt: skip
    assert guard.ask(chat("headers"), **forged).status == 200
    names = set(model.received()[-1]["headers"])
    assert names == {"host", "content-type", "content-length", "accept"}


PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"


def _opened_and_reset(stream: int) -> bytes:
    """HEADERS of a request, and RST_STREAM behind it."""
    number = stream.to_bytes(4, "big")
    return b"\x00\x00\x03\x01\x05" + number + b"\x83\x86\x84" + b"\x00\x00\x04\x03\x00" + number + bytes(4)


def test_t50_streams_that_are_opened_and_reset_are_no_requests(guard: Guard) -> None:
    """HTTP/1.1 only: the first bytes of HTTP/2 are refused, and a thousand streams behind them cost nothing."""
    before = guard.rss_mib()
    flood = PREFACE + SETTINGS + b"".join(map(_opened_and_reset, range(1, 2001, 2)))
    for _ in range(20):
        assert status(guard.raw(flood)) == 400
    assert guard.metric("bartizan_guard_requests_in_flight") == 0
    assert guard.rss_mib() < before + 8
