"""Up, down, stop and start of a whole cluster; each can be repeated, and each can follow a tool that was killed."""

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from tests.localcluster import (
    components,
    controlplane,
    locks,
    machine,
    mounts,
    node,
    places,
    processes,
    progress,
    record,
    sandbox,
)
from tests.localcluster.complaints import Complaint
from tests.localcluster.components import Component, Surroundings
from tests.localcluster.record import Level, Record


def up(name: str, level: Level, *, owned: bool = False) -> Record:
    """Bring the cluster up, or heal what of it is down. ``owned``: it may be swept once this process has ended."""
    with _lock(name):
        known = _recorded(record.check_name(name), level, owned=owned)
        surroundings = _surroundings(known, heal=True)
        controlplane.write_kubeconfig(known)
        for number, stage in enumerate(_stages(known)):
            with progress.step(f"{name}: {', '.join(component.name for component in stage)}"):
                for component in stage:
                    components.ensure(component, surroundings)
                for component in stage:
                    components.await_ready(component, surroundings)
            if level is Level.NODE:
                node.after_stage(known, number)
    return known


def down(name: str) -> bool:
    """Take away all that ``up`` made, in whatever state it is; False when there was nothing."""
    directory = places.of(record.check_name(name)).directory
    if not directory.exists() and not processes.marked(directory):
        return False
    with _lock(name), progress.step(f"{name}: down"):
        known = record.read(name)
        # nothing in it is worth a goodbye, and a node's first process takes all others with it
        processes.kill(processes.marked(directory))
        if known is None or known.level is Level.NODE:
            sandbox.remove_traces(name)
        mounts.remove_below(directory)
        shutil.rmtree(directory, ignore_errors=not directory.exists())
    return True


def keep(name: str) -> None:
    """Let a cluster stay that a test run made."""
    record.write(replace(existing(name), owner_pid=0, owner_started=0))


def sweep() -> None:
    """Take down the clusters of test runs that ended without doing so."""
    for name in record.names():
        known = record.read(name)
        if known and known.owner_pid and processes.started_at(known.owner_pid) != known.owner_started:
            down(name)


def stop(name: str, component: str) -> None:
    surroundings = _surroundings(existing(name))
    running = surroundings.process(_checked(name, component))
    if running:
        processes.stop(running, grace_seconds=10)


def start(name: str, component: str) -> None:
    known = existing(name)
    wanted = _plan(known)[_checked(name, component)]
    surroundings = _surroundings(known)
    components.ensure(wanted, surroundings)
    components.await_ready(wanted, surroundings)


def status(name: str) -> list[tuple[str, str]]:
    """Each component with ``ready``, ``not ready`` or ``down``."""
    known = existing(name)
    surroundings = _surroundings(known)
    return [(component.name, _health(component, surroundings)) for stage in _stages(known) for component in stage]


def existing(name: str) -> Record:
    known = record.read(name)
    if not known:
        raise Complaint(f"there is no cluster {name!r}; make one with: python -m tests.localcluster up …")
    return known


def _health(component: Component, surroundings: Surroundings) -> str:
    running = surroundings.process(component.name)
    if running is None:
        return "down"
    return f"ready (pid {running.pid})" if component.is_ready() else f"not ready (pid {running.pid})"


def _recorded(name: str, level: Level, *, owned: bool) -> Record:
    known = record.read(name)
    if known is None:
        known = _new(name, level, owned=owned)
    if known.level is not level:
        raise Complaint(
            f"cluster {name!r} is a {known.level}; take it down first, or choose another --name for a {level}"
        )
    known.places.create()
    return known


def _new(name: str, level: Level, *, owned: bool) -> Record:
    machine.check(level)
    with locks.exclusive(record.allocation_lock(), waiting_for="ports are being chosen"):
        if level is Level.NODE:
            known = node.new_record(name)
        else:
            known = Record(name, level, "127.0.0.1", record.free_ports(controlplane.PORTS))
        if owned:
            own = processes.identify(os.getpid())
            known = replace(known, owner_pid=own.pid, owner_started=own.started)
        record.write(known)
    return known


def _stages(known: Record) -> Sequence[Sequence[Component]]:
    return node.stages(known) if known.level is Level.NODE else controlplane.stages(known)


def _plan(known: Record) -> dict[str, Component]:
    return {component.name: component for stage in _stages(known) for component in stage}


def _checked(name: str, component: str) -> str:
    plan = _plan(existing(name))
    if component not in plan:
        raise Complaint(f"{name} has no component {component!r}; it has {', '.join(plan)}")
    return component


def _surroundings(known: Record, *, heal: bool = False) -> Surroundings:
    if known.level is Level.NODE:
        return sandbox.ensure(known) if heal else sandbox.current(known)
    return Surroundings(known.places)


@contextmanager
def _lock(name: str) -> Iterator[None]:
    """The lock's file goes with the cluster, or when none came about."""
    with locks.exclusive(places.lock_of(name), waiting_for=f"cluster {name} is changing"):
        try:
            yield
        finally:
            if not places.of(name).directory.exists():
                places.lock_of(name).unlink(missing_ok=True)
