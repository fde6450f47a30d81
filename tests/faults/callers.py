"""Callers who never stop asking: good ones, whole and streamed, and one with a wrong key; what each was answered."""

import http.client
import json
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.unit.guard.running import CHAT, chat, credential, eventually

TIMEOUT_SECONDS = 2.0
UNANSWERED = 0
"""The status of what was cut, refused by the kernel, or never came."""


@dataclass(frozen=True)
class Kind:
    """`body` makes one request's body from its number."""

    key: str
    body: Callable[[int], dict[str, object]]


def _chat(number: int) -> dict[str, object]:
    return chat(f"fault {number}")


def _stream(number: int) -> dict[str, object]:
    return chat(f"/count 20 fault {number}", stream=True)


def _large(number: int) -> dict[str, object]:
    return chat(f"fault {number} " + "x" * 300_000)


GOOD = credential().reveal()
WRONG = credential("stranger").reveal()
USUAL = (Kind(GOOD, _chat), Kind(GOOD, _chat), Kind(GOOD, _stream), Kind(WRONG, _chat))
LARGE = (*USUAL, Kind(GOOD, _large), Kind(GOOD, _large))


@dataclass(frozen=True)
class Answered:
    status: int
    request: str
    key: str


class Callers:
    """A thread for each of `kinds`; `port` says where the guard is now."""

    def __init__(self, kinds: Sequence[Kind], port: Callable[[], int]) -> None:
        self.answers: list[Answered] = []
        self._port = port
        self._is_over = threading.Event()
        self._threads = [
            threading.Thread(target=self._ask_on, args=(kind, place * 10_000_000), daemon=True)
            for place, kind in enumerate(kinds)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join()

    def tried(self, more: int) -> None:
        """Return once they have tried so many more times."""
        before = len(self.answers)
        eventually(lambda: len(self.answers) >= before + more, f"{more} more attempts of callers")

    def saw(self, *statuses: int) -> None:
        """Return once somebody was answered so."""
        before = len(self.answers)
        eventually(lambda: any(found.status in statuses for found in self.answers[before:]), f"one of {statuses}")

    def statuses(self) -> Counter[int]:
        return Counter(answered.status for answered in self.answers)

    def _ask_on(self, kind: Kind, number: int) -> None:
        while not self._is_over.is_set():
            number += 1
            self.answers.append(self._ask(kind, number))

    def _ask(self, kind: Kind, number: int) -> Answered:
        connection = http.client.HTTPConnection("127.0.0.1", self._port(), timeout=TIMEOUT_SECONDS)
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {kind.key}", "Connection": "close"}
        status, request = UNANSWERED, ""
        try:
            connection.request("POST", CHAT, json.dumps(kind.body(number)), headers)
            response = connection.getresponse()
            status, request = response.status, response.headers["X-Request-Id"]
            response.read()
        except (OSError, http.client.HTTPException):
            self._is_over.wait(0.005)  # nobody listens: look again soon, and not at once
        finally:
            connection.close()
        return Answered(status, request, kind.key)
