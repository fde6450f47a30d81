"""Knows which answers are under way by whose standing: one that is withdrawn ends them, and so does the guard's end."""

from collections.abc import Callable, Container
from contextlib import AbstractContextManager

from bartizan.policy.reasons import Reason

Cut = Callable[[Reason], None]


class Underway:
    def __init__(self) -> None:
        self._held: dict[object, tuple[bytes, Cut]] = {}

    def hold(self, standing: bytes, cut: Cut) -> AbstractContextManager[None]:
        """While held, `cut` is called, once, with the reason why the answer must end."""
        return _Mark(self._held, (standing, cut))

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


class _Mark:
    """Stands for one answer that is under way."""

    __slots__ = ("_entry", "_held")

    def __init__(self, held: dict[object, tuple[bytes, Cut]], entry: tuple[bytes, Cut]) -> None:
        self._held = held
        self._entry = entry

    def __enter__(self) -> None:
        self._held[self] = self._entry

    def __exit__(self, *_: object) -> None:
        self._held.pop(self, None)
