"""What is tried on the wire beside mutations: shapes of smuggling, tunnels and bombs, each a whole exchange."""

from tests.fuzz.wire_words import ALIVE, BODY, CHUNKED, CHUNKS, SEEDS
from tests.unit.guard.running import request_bytes

_LENGTH = b"Content-Length: %d" % len(BODY)
_NEXT = request_bytes(BODY.replace(b"fuzz", b"smuggled"))
_ZERO = b"0\r\n\r\n"

SHAPES = (
    request_bytes(_ZERO + _NEXT, b"Content-Length: %d" % len(_ZERO + _NEXT), CHUNKED, ALIVE),
    request_bytes(_ZERO + _NEXT, CHUNKED, b"Content-Length: 5", ALIVE),
    request_bytes(BODY, _LENGTH, b"Transfer-Encoding : chunked", ALIVE) + _NEXT,
    request_bytes(CHUNKS, b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", ALIVE) + _NEXT,
    request_bytes(CHUNKS, b"Transfer-Encoding:\n chunked", ALIVE) + _NEXT,
    request_bytes(CHUNKS, b"Transfer-Encoding: \x00chunked", ALIVE) + _NEXT,
    request_bytes(CHUNKS, b"transfer_encoding: chunked", _LENGTH, ALIVE) + _NEXT,
    request_bytes(BODY, b"Content-Length: 5\r\nContent-Length: %d" % len(BODY), ALIVE),
    request_bytes(BODY, b"Content-Length: 0", ALIVE),
    request_bytes(b"%x;\n%b\r\n%b" % (len(BODY), BODY, _ZERO), CHUNKED, ALIVE) + _NEXT,
    request_bytes(b'%x;a="\r\n%b\r\n%b' % (len(BODY), BODY, _ZERO), CHUNKED, ALIVE) + _NEXT,
    request_bytes(b"%x\r\n%bXX%b" % (len(BODY), BODY, _ZERO), CHUNKED, ALIVE) + _NEXT,
    request_bytes(CHUNKS.replace(b"0\r\n\r\n", b"0\r\nTransfer-Encoding: chunked\r\n\r\n"), CHUNKED, ALIVE) + _NEXT,
    request_bytes(BODY, b"X-Folded: a\r\n Transfer-Encoding: chunked", ALIVE) + _NEXT,
    request_bytes(BODY, ALIVE).replace(b"\r\n", b"\n") + _NEXT,
    request_bytes(BODY, ALIVE).replace(b"\r\n", b"\r") + _NEXT,
    request_bytes(BODY, b"Host: a\r\nHost: b", ALIVE) + _NEXT,
    request_bytes(BODY, ALIVE, path=b"http://other/v1/chat/completions") + _NEXT,
    request_bytes(BODY, ALIVE, path=b"/v1/%63hat/completions") + _NEXT,
    request_bytes(BODY, ALIVE, path=b"/v1/chat/completions\x00") + _NEXT,
    request_bytes(BODY, ALIVE, path=b"/v1/models HTTP/1.1\r\nX: /v1/chat/completions") + _NEXT,
    request_bytes(BODY, b"Expect: 100-continue", ALIVE) + _NEXT,
    request_bytes(b"", b"Expect: 100-continue", _LENGTH, ALIVE) + BODY + _NEXT,
    request_bytes(BODY, b"Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQ") + _NEXT,
    request_bytes(b"", b"Upgrade: websocket\r\nConnection: Upgrade", method=b"GET", path=b"/v1/models") + _NEXT,
    request_bytes(b"", method=b"CONNECT", path=b"model:80") + _NEXT,
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9) + b"\x00\x00\x04\x01\x05\x00\x00\x00\x01\x82\x84\x86\x41",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64),
    request_bytes(BODY, b"X-Long: " + b"x" * 20_000) + _NEXT,
    request_bytes(BODY, *(b"X-%d: x" % number for number in range(80))) + _NEXT,
    request_bytes(BODY, b"Content-Length: 1000000000") + BODY,
    request_bytes(b"1\r\nx\r\n" * 2000, CHUNKED) + _NEXT,
    b"\r\n\r\n\r\n" + request_bytes(BODY, ALIVE) + b"\r\n" + _NEXT,
    request_bytes(b"", ALIVE, method=b"GET", path=b"/v1/models") * 20 + _NEXT,
    request_bytes(b"", b"Content-Length: %d" % len(_NEXT), ALIVE, method=b"GET", path=b"/v1/models") + _NEXT,
    request_bytes(b"", ALIVE, method=b"HEAD", path=b"/v1/models") + _NEXT,
    request_bytes(BODY, ALIVE, b"Connection: Content-Length") + _NEXT,
)
ALL = (*SHAPES, *SEEDS)
