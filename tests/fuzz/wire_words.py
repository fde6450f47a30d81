"""Requests of the guard's own grammar, as bytes, and the words that HTTP's parsers are known to trip over."""

import json

from tests.unit.guard.running import chat, credential, request_bytes

BODY = json.dumps(chat("fuzz")).encode()
KEY = credential().reveal().encode()
ALIVE = b"Connection: keep-alive"
_HALF = len(BODY) // 2
CHUNKS = b"%x\r\n%b\r\n%x\r\n%b\r\n0\r\n\r\n" % (_HALF, BODY[:_HALF], len(BODY) - _HALF, BODY[_HALF:])
CHUNKED = b"Transfer-Encoding: chunked"
STREAM = json.dumps(chat("fuzz", stream=True)).encode()

SEEDS = (
    request_bytes(BODY),
    request_bytes(BODY, ALIVE) * 2,
    request_bytes(STREAM, ALIVE),
    request_bytes(CHUNKS, CHUNKED),
    request_bytes(CHUNKS, CHUNKED, ALIVE) + request_bytes(BODY),
    request_bytes(CHUNKS.replace(b"\r\n", b";a=b\r\n", 1), CHUNKED),
    request_bytes(CHUNKS[:-2] + b"X-Trailer: x\r\n\r\n", CHUNKED, b"Trailer: X-Trailer"),
    request_bytes(BODY, b"Expect: 100-continue"),
    request_bytes(CHUNKS, CHUNKED, b"Content-Length: %d" % len(CHUNKS)),
    request_bytes(BODY, path=b"http://guard/v1/chat/completions"),
    request_bytes(b"", method=b"GET", path=b"/v1/models"),
    request_bytes(b"", ALIVE, method=b"GET", path=b"/v1/models") + request_bytes(BODY),
    request_bytes(BODY, path=b"/v1/nothing"),
    request_bytes(b"", b"Upgrade: websocket", b"Connection: Upgrade", method=b"GET", path=b"/v1/realtime"),
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
)

WORDS = (
    *(b"\r\n", b"\n", b"\r", b"\r\n\r\n", b"\n\n", b"\r\r", b":", b": ", b" :", b" ", b"\t", b"\x00", b";", b","),
    *(b"\r\n ",),
    *(b"POST", b"GET", b"HEAD", b"OPTIONS", b"CONNECT", b"PRI", b"BREW", b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0"),
    *(b"HTTP/0.9",),
    *(b"/v1/chat/completions", b"/v1/models", b"/v1//models", b"%2f", b"%00", b"/../", b"?x=1", b"#x", b"*"),
    *(b"http://x/",),
    *(b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding:\x0bchunked\r\n", b"Transfer-Encoding: identity\r\n"),
    *(b"Transfer-Encoding: chunked, chunked\r\n", b"Transfer-Encoding: x\r\n", b"chunked", b"identity"),
    *(b"gzip, chunked",),
    *(b"Content-Length: 0\r\n", b"Content-Length: 5\r\n", b"Content-Length: +5\r\n", b"Content-Length: 5, 5\r\n"),
    *(b"Content-Length: 0x5\r\n", b"Content-Length: 99999999999999999999\r\n", b"Content-Length: -1\r\n"),
    *(b"Content-Length:\r\n",),
    *(b"Host: x\r\n", b"Host:\r\n", b"Host: guard\r\n", b"Connection: close\r\n", b"Connection: keep-alive\r\n"),
    *(b"Upgrade: h2c\r\n", b"Upgrade: websocket\r\nConnection: Upgrade\r\n"),
    *(b"HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n",),
    *(b"Expect: 100-continue\r\n", b"Expect: x\r\n", b"Trailer: Authorization\r\n", b"X-Folded: a\r\n b\r\n"),
    *(b"X: " + b"x" * 4000,),
    *(b"Content-Encoding: gzip\r\n", b"Content-Type: text/plain\r\n", b"Content-Type: application/json\r\n"),
    *(b"Authorization: Bearer " + KEY + b"\r\n", b"Authorization: Bearer x\r\n", b"X-Api-Key: x\r\n", b"A: b\r\n" * 70),
    *(b"0\r\n\r\n", b"0\r\n", b"1\r\nx\r\n", b"5;a=b\r\n", b"0x5\r\n", b"5\n", b"ffffffffffffffff\r\n", b"-1\r\n"),
    *(b"00000000005\r\n",),
    *(b"{", b"}", b'"', b"[" * 50, b"\\ud800", b'"n":2,', b'"model":"demo",', b'"stream":true,'),
)  # fmt: skip
