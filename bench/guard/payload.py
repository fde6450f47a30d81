"""What callers send: chat requests of an exact size, of words, line breaks, quotes and letters beyond ASCII."""

import json
import random

_WORDS = (
    "the", "tide", "rises", "and", '"falls"', "twice", "a", "day;", "sailors", "know", "café", "naïve\nbecause", "moon",
    "water", "shore", "keeps", "account", "of", "every", "harbour\t3.14", "tables:", "[spring,", "neap]", "they",
    "wrote:", "it's", "slack", "—", "über", "alles",
)  # fmt: skip
KIB = 1024
MOST_TOKENS = 1_000_000
"""A stream goes on as long as it is measured: the guard cuts one that is longer than it was told to be."""


def chat(size: int, *, stream: str = "") -> bytes:
    """A body of `size` bytes; `stream` is an order to the backend and asks for a stream."""
    chance = random.Random(7)
    words: list[str] = []
    while len(_encoded(" ".join(words), stream)) < size:
        words.append(chance.choice(_WORDS))
    text = " ".join(words[:-1])
    return _encoded(text + "." * (size - len(_encoded(text, stream))), stream)


def _encoded(text: str, stream: str) -> bytes:
    messages = [
        {"role": "system", "content": "You explain the sea to children."},
        {"role": "user", "content": f"{stream} {text}"},
    ]
    asked = {"model": "demo", "messages": messages, "max_tokens": MOST_TOKENS if stream else 200, "temperature": 0.2}
    return json.dumps(asked | ({"stream": True} if stream else {}), ensure_ascii=False).encode()


def request(body: bytes, *headers: str) -> bytes:
    """The whole request, as OpenAI's client frames it, in one piece."""
    lines = [
        "POST /v1/chat/completions HTTP/1.1", "Host: 127.0.0.1", "Accept: application/json", "User-Agent: bench/1.0",
        "Content-Type: application/json", f"Content-Length: {len(body)}", *headers, "", "",
    ]  # fmt: skip
    return "\r\n".join(lines).encode() + body
