"""What a protocol profile is: its paths, the schema of each body, how answers are read, how it words a refusal."""

import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, Protocol

from bartizan.guard.costs import Account
from bartizan.guard.event_stream import Event
from bartizan.guard.inspection import Inspector
from bartizan.guard.model_error import ModelError
from bartizan.guard.profiles import schema
from bartizan.guard.profiles.schema import Record
from bartizan.guard.refusal import Refusal
from bartizan.guard.request import Head
from bartizan.guard.tally import Said, Tally
from bartizan.policy.capabilities import Capability
from bartizan.policy.media import MediaTerms

MAX_WHOLE_BYTES = 8 << 20
"""An answer with text that comes whole is read whole, before any of it goes on."""


class StreamReader(Protocol):
    """Reads one stream's events; `is_done` once the protocol's last one has come."""

    @property
    def is_done(self) -> bool: ...

    def read(self, data: bytes) -> list[Event]:
        """The events that go on in place of this one; raises AnswerError, and the seam's Refusal."""


class Asking(NamedTuple):
    """A field that asks for a capability, unless `is_quiet` of its value; empty values and null always are.

    `instead` tells a caller who may not what to do.
    """

    capability: Capability
    is_quiet: Callable[[Any], bool] = operator.not_
    instead: str = "leave the field out"


@dataclass(frozen=True, slots=True)
class Reading:
    """How a route's answers are read: in a stream, where it has any, whole, or by the end of one that holds no text."""

    stream: Callable[[Inspector, Tally, bool], StreamReader] | None
    whole: Callable[[bytes, Inspector, Tally], bytes]
    tail_usage: Callable[[bytes], Said | None]
    error_event: Callable[[bytes], bytes]
    error_body: Callable[[ModelError, str], bytes]
    """A model's error, told whole in the protocol's words, with the request's id."""
    most_bytes: int = MAX_WHOLE_BYTES
    """Of an answer that comes whole."""


@dataclass(frozen=True, slots=True)
class Route:
    """One allowed path with its one method. Without `schema` it takes no body and the guard itself answers.

    `answer` is the guard's own, of the declared model's name; `reading` is that of the model's.
    """

    name: str
    method: bytes
    path: bytes
    schema: Record | None = None
    account: Account | None = None
    reading: Reading | None = None
    answers_text: bool = False
    """Whether the model's answers hold text, which the seam sees and which is counted."""
    is_read_whole: bool = False
    """Whether an answer without text is read whole nevertheless, and not passed on as it comes."""
    answer: Callable[[str], bytes] | None = None
    asks_model: bool = False
    """Whether the guard's own answer says that the model's server can be reached."""
    is_of_model: bool = False
    """Whether the path names the model, and the body does not."""
    forced: Mapping[str, object] = field(default_factory=dict)
    """Fields of the body that the guard sets, whatever the caller says."""
    operation: str = ""
    """What is asked of the model, by OpenTelemetry's names where they have one."""
    asking: Mapping[str, tuple[Asking, ...]] = field(default_factory=dict)
    """The fields at the body's top that ask for more than a text, and for what each may."""
    images: Callable[[Mapping[str, Any]], Iterable[str]] | None = None
    """Every image in a judged body, as it stands there, where images pass."""

    @property
    def has_body(self) -> bool:
        return self.schema is not None


@dataclass(frozen=True, slots=True)
class Profile:
    """`refusal_body` takes the request's id, too; `key_header` may hold a key in place of Authorization."""

    name: str
    provider: str
    """What flavour of operations these are, by OpenTelemetry's names where they have one."""
    routes: Mapping[bytes, Route]
    """By their raw path, which a request must have byte for byte."""
    refusal_body: Callable[[Refusal, str], bytes]
    key_header: bytes = b""
    id_header: bytes = b""
    """Under which name the protocol's clients look for the request's id."""
    judge_head: Callable[[Head], None] | None = None
    """What the protocol asks of a head beyond HTTP; raises Refusal."""
    upstream_header: bytes = b""
    """Lines that go to the model with each request; the guard's own, nothing of the caller's."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What an endpoint's own document says of its protocol."""

    model: str
    allow_fields: tuple[str, ...] = ()
    media: MediaTerms | None = None

    def open(self, record: Record) -> Record:
        """The record with the fields that the owner lets through; what is known keeps its own rule."""
        return Record({**{name: schema.free(name) for name in self.allow_fields}, **record.fields}, record.required)

    def opened(self, profile: Profile) -> Profile:
        """The profile with those fields in every body."""
        if not self.allow_fields:
            return profile
        routes = {path: self._opened(route) for path, route in profile.routes.items()}
        return replace(profile, routes=routes)

    def _opened(self, route: Route) -> Route:
        return route if route.schema is None else replace(route, schema=self.open(route.schema))
