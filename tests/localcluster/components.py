"""One component as a value, and how it is brought to run: started when dead, started anew when sick."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.localcluster import processes, waiting
from tests.localcluster.complaints import Complaint
from tests.localcluster.places import ClusterPlaces, write_changed
from tests.localcluster.processes import Identity, Launch

_SICK_SECONDS = 15
"""How long a running component may fail its probe before ``up`` starts it anew: an API server whose etcd has just come
back looks for it ever less often, and is well."""

_LOG_TAIL_LINES = 12


@dataclass(frozen=True)
class Component:
    name: str
    arguments: Sequence[str]
    is_ready: Callable[[], bool]
    ready_within_seconds: float = 60
    environment: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[Path, str] = field(default_factory=dict)
    """Its configuration, written before it starts and only then: some end when theirs is touched."""


@dataclass(frozen=True)
class Surroundings:
    """Where processes run: on the host as it is, or in a node's namespaces through a command prefix."""

    places: ClusterPlaces
    prefix: tuple[str, ...] = ()

    def record(self, name: str) -> Path:
        return self.places.processes / f"{name}.json"

    def process(self, name: str) -> Identity | None:
        return processes.read(self.record(name))


def ensure(component: Component, surroundings: Surroundings) -> None:
    """Make sure that a process of the component runs; whether it is ready shows ``await_ready``."""
    running = surroundings.process(component.name)
    if running is None:
        # A tool that was killed may have started it without coming to write the record.
        processes.kill(processes.marked_as(surroundings.places.directory, component.arguments))
        start(component, surroundings)
    elif not waiting.holds_within(_SICK_SECONDS, component.is_ready):
        processes.stop(running, grace_seconds=5)
        start(component, surroundings)


def start(component: Component, surroundings: Surroundings) -> Identity:
    for path, content in component.files.items():
        path.parent.mkdir(exist_ok=True)
        write_changed(path, content)
    return processes.start(
        Launch(
            arguments=[*surroundings.prefix, *component.arguments],
            record=surroundings.record(component.name),
            log=surroundings.places.log(component.name),
            mark=surroundings.places.directory,
            environment={**os.environ, **component.environment},
            enters=bool(surroundings.prefix),
        )
    )


def await_ready(component: Component, surroundings: Surroundings) -> None:
    def settled() -> bool:
        return component.is_ready() or surroundings.process(component.name) is None

    def too_late() -> str:
        return f"{component.name} is not ready after {component.ready_within_seconds:.0f} s\n{tail()}"

    def tail() -> str:
        log = surroundings.places.log(component.name)
        return f"{log} ends with\n" + "\n".join(log.read_text().splitlines()[-_LOG_TAIL_LINES:])

    waiting.until(settled, seconds=component.ready_within_seconds, complaint=too_late)
    if surroundings.process(component.name) is None:
        raise Complaint(f"{component.name} ended as soon as it was started\n{tail()}")
