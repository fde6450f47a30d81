"""A transport that answers from a table and keeps what it was sent."""

from collections.abc import Callable
from typing import Any

from bartizan.controller.api import ApiError, Call

Answer = dict[str, Any] | ApiError


class FakeTransport:
    """Answers come from `answer`; the calls stay in `calls`."""

    def __init__(self, answer: Callable[[Call], Answer] | None = None) -> None:
        self.calls: list[Call] = []
        self.answer: Callable[[Call], Answer] = answer or (lambda _: {})

    async def send(self, call: Call) -> dict[str, Any]:
        self.calls.append(call)
        answer = self.answer(call)
        if isinstance(answer, ApiError):
            raise answer
        return answer

    @property
    def last(self) -> Call:
        return self.calls[-1]
