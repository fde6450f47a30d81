"""Which events become keys, and which are echoes."""

import copy
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bartizan.controller import handlers, kinds
from bartizan.controller.handlers import LISTED_SECONDS, LONGEST_SPREAD_SECONDS, POD_DEBOUNCE_SECONDS, Observer
from bartizan.controller.kinds import Kind
from bartizan.controller.settings import Settings
from bartizan.controller.work_queue import Key, Priority, WorkQueue
from bartizan.policy import names

KEY = Key("ml", "llama")


class Sink:
    def __init__(self) -> None:
        self.got: list[tuple[Key, float, Priority]] = []

    def __call__(self, key: Key, seconds: float, priority: Priority) -> None:
        self.got.append((key, seconds, priority))


def endpoint(**metadata: Any) -> dict[str, Any]:
    return {"metadata": {"namespace": "ml", "name": "llama", "uid": "u1", "generation": 1, **metadata}}


def owned(**labels: str) -> dict[str, Any]:
    return {"metadata": {"namespace": "ml", "name": "x", "labels": {names.ENDPOINT_LABEL: "llama", **labels}}}


def observer() -> tuple[Observer, Sink]:
    sink = Sink()
    return Observer(sink, clock=lambda: 0.0), sink


def test_what_a_listing_shows_comes_with_low_priority() -> None:
    watcher, sink = observer()
    watcher.see_endpoint(None, endpoint())
    assert sink.got == [(KEY, 0.0, Priority.RESYNC)]


def test_the_echo_of_our_status_is_ignored() -> None:
    watcher, sink = observer()
    watcher.see_endpoint("ADDED", endpoint() | {"status": {"address": "x"}})
    ours = [{"manager": names.STATUS_FIELD_MANAGER, "subresource": "status", "time": "t1"}]
    watcher.see_endpoint("MODIFIED", endpoint(managedFields=ours, resourceVersion="2") | {"status": {"address": "y"}})
    assert len(sink.got) == 1


def test_a_status_that_lost_a_field_is_seen() -> None:
    watcher, sink = observer()
    watcher.see_endpoint("ADDED", endpoint() | {"status": {"address": "x", "epochFloor": 3}})
    watcher.see_endpoint("MODIFIED", endpoint() | {"status": {"address": "x"}})
    assert len(sink.got) == 2


def test_a_status_written_by_somebody_else_is_seen() -> None:
    watcher, sink = observer()
    watcher.see_endpoint("ADDED", endpoint())
    theirs = [{"manager": "kubectl-edit", "subresource": "status", "time": "t1"}]
    watcher.see_endpoint("MODIFIED", endpoint(managedFields=theirs))
    assert len(sink.got) == 2


@given(
    st.sampled_from(
        [
            {"generation": 2},
            {"uid": "u2"},
            {"finalizers": ["x"]},
            {"deletionTimestamp": "2026-01-01T00:00:00Z"},
            {"labels": {"a": "b"}},
            {"annotations": {"a": "b"}},
        ]
    )
)
def test_every_change_that_matters_is_seen(change: dict[str, Any]) -> None:
    watcher, sink = observer()
    watcher.see_endpoint("ADDED", endpoint())
    watcher.see_endpoint("MODIFIED", endpoint(**change))
    assert sink.got[1:] == [(KEY, 0.0, Priority.EVENT)]


def test_a_deleted_and_recreated_endpoint_is_seen_each_time() -> None:
    watcher, sink = observer()
    for event in ("ADDED", "DELETED", "ADDED"):
        watcher.see_endpoint(event, endpoint())
    assert len(sink.got) == 3


def test_an_owned_objects_event_becomes_its_endpoints_key() -> None:
    watcher, sink = observer()
    watcher.see_owned(kinds.NETWORK_POLICY, "DELETED", owned())
    assert sink.got == [(KEY, 0.0, Priority.EVENT)]


def test_pods_are_debounced() -> None:
    watcher, sink = observer()
    watcher.see_owned(kinds.POD, "MODIFIED", owned())
    assert sink.got == [(KEY, POD_DEBOUNCE_SECONDS, Priority.EVENT)]


def test_strangers_are_ignored() -> None:
    watcher, sink = observer()
    watcher.see_owned(kinds.SERVICE, "ADDED", {"metadata": {"namespace": "ml", "name": "x"}})
    assert sink.got == []


@pytest.mark.parametrize("kind", [kinds.NETWORK_POLICY, kinds.POD], ids=lambda kind: kind.kind)
def test_what_changed_in_a_gap_of_the_watch_is_seen_in_the_list_after_it(kind: Kind) -> None:
    watcher, sink = observer()
    watcher.see_owned(kind, None, owned())
    assert sink.got == [(KEY, LISTED_SECONDS, Priority.RESYNC)]


class Line:
    """The queue itself behind an observer; time moves by hand."""

    def __init__(self) -> None:
        self.now = 0.0
        self.queue = WorkQueue(lambda: self.now, random.Random(1))
        self.watcher = Observer(self.queue.enqueue_after, clock=lambda: self.now)

    def list_owned(self, endpoints: list[str]) -> None:
        """As Kopf does: every kind by itself."""
        for kind in kinds.OWNED:
            for name in endpoints:
                self.watcher.see_owned(kind, None, owned(**{names.ENDPOINT_LABEL: name}))

    def work_off(self, most: int = 100_000) -> list[str]:
        taken: list[str] = []
        while len(taken) < most and (key := self.queue.poll()):
            taken.append(key.name)
            self.queue.done(key)
        return taken


def test_a_start_looks_at_each_endpoint_once_however_much_is_listed() -> None:
    line, endpoints = Line(), [f"e{number:03}" for number in range(200)]
    for name in endpoints:
        line.watcher.see_endpoint(None, endpoint(name=name))
    line.list_owned(endpoints)
    assert sorted(line.work_off()) == endpoints
    line.now += LISTED_SECONDS
    assert line.work_off() == []


def test_one_that_is_listed_after_it_was_looked_at_is_looked_at_once_more() -> None:
    """Between the two something may have changed, which no event tells of any more."""
    line, endpoints = Line(), ["a", "b", "c", "d"]
    for name in endpoints:
        line.watcher.see_endpoint(None, endpoint(name=name))
    early = line.work_off(2)
    line.list_owned(endpoints)
    assert len(line.work_off()) == 2
    line.now += LISTED_SECONDS
    assert sorted(line.work_off()) == sorted(early)
    line.now += 1000
    assert line.work_off() == []


def _running(count: int) -> tuple[Line, list[str]]:
    """An operator that started a while ago and has nothing to do."""
    line, endpoints = Line(), [f"e{number:04}" for number in range(count)]
    for name in endpoints:
        line.watcher.see_endpoint(None, endpoint(name=name))
    line.work_off()
    line.now += 1000
    return line, endpoints


def _busiest_second(line: Line) -> tuple[int, list[str]]:
    """The most keys that fall due in one, and all that do so within a minute."""
    seconds = []
    for _ in range(60):
        line.now += 1
        seconds.append(line.work_off())
    return max(map(len, seconds)), [name for taken in seconds for name in taken]


@pytest.mark.parametrize("kind", kinds.OWNED, ids=lambda kind: kind.kind)
def test_a_later_list_of_one_kind_is_no_thunderclap(kind: Kind) -> None:
    line, endpoints = _running(1000)
    for name in endpoints:
        line.watcher.see_owned(kind, None, owned(**{names.ENDPOINT_LABEL: name}))
    most, taken = _busiest_second(line)
    assert sorted(taken) == endpoints
    assert most < 1000 / LONGEST_SPREAD_SECONDS * 2


def test_a_later_list_of_all_kinds_looks_at_each_endpoint_once_and_comes_spread() -> None:
    line, endpoints = _running(1000)
    for name in endpoints:
        line.watcher.see_endpoint(None, endpoint(name=name))
    line.list_owned(endpoints)
    most, taken = _busiest_second(line)
    assert sorted(taken) == endpoints
    assert most < 1000 / LONGEST_SPREAD_SECONDS * 2


def test_a_later_list_shows_an_edit_at_once() -> None:
    line, _ = _running(1000)
    line.watcher.see_endpoint(None, endpoint(name="e0007", generation=2))
    assert line.work_off() == ["e0007"]


def test_where_endpoints_are_few_a_later_list_is_looked_at_as_soon_as_the_first() -> None:
    line, endpoints = _running(3)
    line.list_owned(endpoints)
    line.now += LISTED_SECONDS + 0.1
    assert sorted(line.work_off()) == endpoints


LABELS = [None, {}, {names.ENDPOINT_LABEL: "x"}, {names.ENDPOINT_LABEL: "llama.x"}]


@pytest.mark.parametrize("labels", LABELS, ids=["none", "stripped", "another's", "no endpoint's"])
@pytest.mark.parametrize("name", ["llama", "llama.1", "llama.client", names.policy_twin("llama")])
def test_whatever_an_objects_label_says_its_name_tells_its_endpoint(name: str, labels: dict[str, str] | None) -> None:
    watcher, sink = observer()
    watcher.see_endpoint("ADDED", endpoint())
    sink.got.clear()
    watcher.see_owned(
        kinds.NETWORK_POLICY, "MODIFIED", {"metadata": {"namespace": "ml", "name": name, "labels": labels}}
    )
    assert (KEY, 0.0, Priority.EVENT) in sink.got


def test_an_objects_owner_tells_its_endpoint() -> None:
    watcher, sink = observer()
    watcher.see_endpoint("ADDED", endpoint())
    sink.got.clear()
    owners = [{"kind": "ConfigMap", "name": "qwen"}, {"kind": names.KIND, "name": "llama", "controller": True}]
    watcher.see_owned(
        kinds.SERVICE, "MODIFIED", {"metadata": {"namespace": "ml", "name": "x", "ownerReferences": owners}}
    )
    assert sink.got == [(KEY, 0.0, Priority.EVENT)]


def test_an_object_that_names_many_owners_concerns_the_one_that_controls_it() -> None:
    """One edit of it would else be a reconcile of every endpoint of the namespace, before all that waits."""
    watcher, sink = observer()
    for number in range(100):
        watcher.see_endpoint("ADDED", endpoint(name=f"e{number}"))
    sink.got.clear()
    owners = [{"kind": names.KIND, "name": f"e{number}", "controller": number in (7, 9)} for number in range(100)]
    forged = {"metadata": {"namespace": "ml", "name": "x", "ownerReferences": owners}}
    watcher.see_owned(kinds.SERVICE, "MODIFIED", forged)
    assert sink.got == [(Key("ml", "e7"), 0.0, Priority.EVENT)]


def test_a_name_that_is_no_living_endpoints_tells_nothing() -> None:
    watcher, sink = observer()
    watcher.see_endpoint("ADDED", endpoint())
    watcher.see_endpoint("DELETED", endpoint())
    sink.got.clear()
    for namespace, name in (("ml", "llama"), ("ml", "qwen"), ("other", "llama")):
        watcher.see_owned(kinds.SERVICE, "ADDED", {"metadata": {"namespace": namespace, "name": name}})
    assert sink.got == []


def test_pods_are_told_by_their_label_alone() -> None:
    """Their names are not ours to give: a stranger's may begin with an endpoint's, dot and all."""
    watcher, sink = observer()
    watcher.see_endpoint("ADDED", endpoint())
    sink.got.clear()
    watcher.see_owned(kinds.POD, "ADDED", {"metadata": {"namespace": "ml", "name": "llama.x"}})
    assert sink.got == []


def test_events_are_read_and_never_changed() -> None:
    watcher, _ = observer()
    body = endpoint(labels={"a": "b"})
    before = copy.deepcopy(body)
    watcher.see_endpoint("ADDED", body)
    assert body == before


def test_secrets_are_watched_only_where_they_may_be_read() -> None:
    assert kinds.SECRET not in handlers.owned_kinds(Settings(guard_image="x"))
    assert kinds.SECRET in handlers.owned_kinds(Settings(guard_image="x", namespaces=("a",), watch_secrets=True))


def test_a_label_that_names_a_twin_names_no_endpoint() -> None:
    """As a key it would be an endpoint that is gone, whose policy of that name, the twin, could be let go."""
    watcher, sink = observer()
    watcher.see_owned(kinds.SERVICE, "ADDED", owned(**{names.ENDPOINT_LABEL: names.policy_twin("llama")}))
    assert sink.got == []
