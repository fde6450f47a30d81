"""Knows which answers are under way by whose standing, so that a key or client that is withdrawn ends them too."""

from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager


class Underway:
    def __init__(self) -> None:
        self._held: dict[object, tuple[bytes, Callable[[], None]]] = {}

    @contextmanager
    def hold(self, standing: bytes, cut: Callable[[], None]) -> Iterator[None]:
        """While held, `cut` is called once if the caller's standing is withdrawn."""
        mark = object()
        self._held[mark] = (standing, cut)
        try:
            yield
        finally:
            self._held.pop(mark, None)

    def withdraw_all_but(self, valid: Container[bytes]) -> None:
        """Cut what came by a standing that is not `valid`."""
        for mark, (standing, cut) in list(self._held.items()):
            if standing not in valid:
                del self._held[mark]
                cut()
