"""Reads what the guard has written to a caller, strictly: interim and final answers, whole, cut or malformed."""

import re
from dataclasses import dataclass

from bartizan.guard.refusal import STATUS

DOCUMENTED = frozenset({status.value for status in STATUS.values()} | {200})
_HEAD = re.compile(rb"HTTP/1\.1 (\d{3}) ([^\r\n]*)\r\n((?:[A-Za-z0-9-]+: [ -~]*\r\n)+)\r\n")
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_CHUNK = re.compile(rb"([0-9a-f]+)\r\n")


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[bytes, bytes]
    body: bytes
    is_whole: bool


def read(written: bytes, *, methods: list[bytes]) -> list[Answer]:
    """All of it as answers; raises AssertionError where it is anything else. `methods`: the requests' own."""
    answers: list[Answer] = []
    while written:
        if written.startswith(_CONTINUE):
            written = written[len(_CONTINUE) :]
            continue
        head = _HEAD.match(written)
        assert head, f"no answer: {written[:80]!r}"
        headers = dict(line.split(b": ", 1) for line in head[3].splitlines())
        assert head[3].count(b"\r\n") == len(headers), "a header stands twice"
        assert not answers or answers[-1].is_whole, "an answer behind one that was cut"
        method = methods[len(answers)] if len(answers) < len(methods) else b""
        body, is_whole, written = _body(written[head.end() :], headers, has_body=method != b"HEAD")
        answers.append(Answer(int(head[1]), headers, body, is_whole))
    return answers


def _body(rest: bytes, headers: dict[bytes, bytes], *, has_body: bool) -> tuple[bytes, bool, bytes]:
    length, coding = headers.get(b"Content-Length"), headers.get(b"Transfer-Encoding")
    assert (length is None) != (coding is None), "an answer is framed in one way"
    if not has_body and not (rest and headers.get(b"Connection") == b"close"):
        return b"", True, rest  # where not even the request line could be read, nobody knows that it was a HEAD
    if length is not None:
        return rest[: int(length)], len(rest) >= int(length), rest[int(length) :]
    return _chunks(rest)


def _chunks(rest: bytes) -> tuple[bytes, bool, bytes]:
    body = b""
    while True:
        size = _CHUNK.match(rest)
        if size is None:
            assert not rest, "a chunk that is none"
            return body, False, b""
        count, rest = int(size[1], 16), rest[size.end() :]
        if not count:
            assert rest.startswith(b"\r\n"), "a trailer"
            return body, True, rest[2:]
        assert rest[count : count + 2] == b"\r\n", "a chunk without its end"
        body, rest = body + rest[:count], rest[count + 2 :]
