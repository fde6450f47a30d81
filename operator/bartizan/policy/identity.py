"""Whose an object is, of those that operator and guard speak of to each other."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Identity:
    """Which object in which cluster; the UIDs bind keys and documents to this life of it."""

    namespace: str
    name: str
    uid: str
    namespace_uid: str
    generation: int = 0
    created_seconds: int = 0
    """Unix time at which the object was made; 0 where that is not known."""

    @property
    def key(self) -> str:
        return f"{self.namespace}/{self.name}"
