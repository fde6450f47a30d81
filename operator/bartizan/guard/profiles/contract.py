"""What a protocol profile is: its paths, the schema of each body, how it lists models and words a refusal."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bartizan.guard.profiles.schema import Rule
from bartizan.guard.refusal import Refusal


@dataclass(frozen=True, slots=True)
class Route:
    """One allowed path with its one method. Without `schema` it takes no body and the guard itself answers."""

    name: str
    method: bytes
    path: bytes
    schema: Rule | None = None

    @property
    def has_body(self) -> bool:
        return self.schema is not None


@dataclass(frozen=True, slots=True)
class Profile:
    name: str
    routes: Mapping[bytes, Route]
    model_list: Callable[[str], bytes]
    refusal_body: Callable[[Refusal], bytes]

    def route_name(self, path: bytes) -> str:
        """A label for audit and metrics, empty for a path that is none of ours."""
        route = self.routes.get(path)
        return route.name if route else ""
