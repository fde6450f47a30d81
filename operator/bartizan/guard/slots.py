"""Counts requests under way, by client and in all; a slot is held within a `with` and so cannot leak."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from bartizan.guard.refusal import Refusal
from bartizan.policy.reasons import Reason

RETRY_SECONDS = 1


class Slots:
    def __init__(self) -> None:
        self.taken = 0
        self._by_client: Counter[str] = Counter()

    @contextmanager
    def lease(self, client: str, *, of_client: int, in_all: int) -> Iterator[None]:
        """Hold one slot; raises Refusal when the client or the endpoint has none left."""
        if self._by_client[client] >= of_client or self.taken >= in_all:
            message = "Too many requests are under way at one time; wait for one to end."
            raise Refusal(Reason.CONCURRENCY_LIMITED, message, retry_after_seconds=RETRY_SECONDS)
        self.taken += 1
        self._by_client[client] += 1
        try:
            yield
        finally:
            self.taken -= 1
            self._by_client[client] -= 1
            if not self._by_client[client]:
                del self._by_client[client]
