"""Knows which answers are under way by whose key, so that a key that is withdrawn ends them too."""

from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager


class Underway:
    def __init__(self) -> None:
        self._held: dict[object, tuple[bytes, Callable[[], None]]] = {}

    @contextmanager
    def hold(self, key_id: str, cut: Callable[[], None]) -> Iterator[None]:
        """While held, `cut` is called once if the key is withdrawn."""
        mark = object()
        self._held[mark] = (key_id.encode("ascii"), cut)
        try:
            yield
        finally:
            self._held.pop(mark, None)

    def withdraw_all_but(self, valid: Container[bytes]) -> None:
        """Cut what came with a key whose id is not `valid`."""
        for mark, (key_id, cut) in list(self._held.items()):
            if key_id not in valid:
                del self._held[mark]
                cut()
