"""What a protocol profile is: its paths, the schema of each body, how it lists models and words a refusal."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from bartizan.guard.costs import Account
from bartizan.guard.inspection import Inspector
from bartizan.guard.profiles.schema import Rule
from bartizan.guard.refusal import Refusal
from bartizan.guard.tally import Tally
from bartizan.policy.tokens import Amount


@dataclass(frozen=True, slots=True)
class Route:
    """One allowed path with its one method. Without `schema` it takes no body and the guard itself answers."""

    name: str
    method: bytes
    path: bytes
    schema: Rule | None = None
    account: Account | None = None
    answers_text: bool = False
    """Whether the model's answers hold text, which the seam sees and which is counted."""

    @property
    def has_body(self) -> bool:
        return self.schema is not None


class StreamReader(Protocol):
    """Reads one stream's events; `is_done` once the protocol's last one has come."""

    @property
    def is_done(self) -> bool: ...

    def read(self, data: bytes) -> list[bytes]:
        """The data of the events that go on in place of this one; raises AnswerError, and the seam's Refusal."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How a protocol's answers are read: in a stream, whole, or by the end of one that holds no text."""

    stream: Callable[[Inspector, Tally, bool], StreamReader]
    whole: Callable[[bytes, Inspector, Tally], bytes]
    tail_usage: Callable[[bytes], Amount | None]
    error_event: Callable[[bytes], bytes]


@dataclass(frozen=True, slots=True)
class Profile:
    name: str
    routes: Mapping[bytes, Route]
    reading: Reading
    model_list: Callable[[str], bytes]
    refusal_body: Callable[[Refusal], bytes]

    def route_name(self, path: bytes) -> str:
        """A label for audit and metrics, empty for a path that is none of ours."""
        route = self.routes.get(path)
        return route.name if route else ""
