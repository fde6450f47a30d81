"""Knows which answers are under way by whose standing: one that is withdrawn ends them, and so does the guard's end."""

from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager

from bartizan.policy.reasons import Reason

Cut = Callable[[Reason], None]


class Underway:
    def __init__(self) -> None:
        self._held: dict[object, tuple[bytes, Cut]] = {}

    @contextmanager
    def hold(self, standing: bytes, cut: Cut) -> Iterator[None]:
        """While held, `cut` is called, once, with the reason why the answer must end."""
        mark = object()
        self._held[mark] = (standing, cut)
        try:
            yield
        finally:
            self._held.pop(mark, None)

    def withdraw_all_but(self, valid: Container[bytes]) -> None:
        """Cut what came by a standing that is not `valid`."""
        withdrawn = [mark for mark, (standing, _) in self._held.items() if standing not in valid]
        self._cut(withdrawn, Reason.CREDENTIAL_WITHDRAWN)

    def cut(self, reason: Reason) -> int:
        """Cut everything; how many there were."""
        return self._cut(list(self._held), reason)

    def _cut(self, marks: list[object], reason: Reason) -> int:
        for mark in marks:
            _, cut = self._held.pop(mark)
            cut(reason)
        return len(marks)
