"""A body that the model must never see, and how an answer's status is read from its bytes."""

import json

from tests.unit.guard.running import chat

BODY = json.dumps(chat("never to be seen")).encode()


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.1 ") else 0
