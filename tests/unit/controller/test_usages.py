"""What is left of a long window is all that new pods share: no roll-out, growth or eviction refills it."""

import asyncio
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.controller import worlds
from tests.unit.controller.reconciling import KEY, Scene

from bartizan.controller import kinds
from bartizan.controller.builders.guard_container import GUARD
from bartizan.controller.builders.guard_document import build
from bartizan.controller.guards import GuardReport
from bartizan.controller.observe import World
from bartizan.controller.usages import Usages
from bartizan.policy import keys, usage
from bartizan.policy.usage import MOST_WINDOWS, Usage

DAY = 86400
A, B = "a" * 32, "b" * 32
SIGNING_KEY = keys.signing_key(worlds.ROOT)
DEPLOYMENT: dict[str, Any] = {**worlds.deployment(), "metadata": {"uid": "uid-of-deployment"}}
RUNNING = [{"name": GUARD, "state": {"running": {}}}]


def owned_by(uid: str) -> list[dict[str, Any]]:
    return [{"kind": "any", "uid": uid, "controller": True}]


REPLICA_SETS = [{"metadata": {"uid": "uid-of-set", "ownerReferences": owned_by("uid-of-deployment")}}]


class Bench:
    """Pods by what their guards have used; those of `new` await to be told."""

    def __init__(self) -> None:
        self.now = 0.0
        self.used: dict[str, Usage | None] = {}
        self.new: set[str] = set()
        self.ending: set[str] = set()
        self.strange: set[str] = set()
        self.takes = True
        self.told: dict[str, Usage | None] = {}
        self.asked: list[str] = []
        self.meanwhile: dict[str, GuardReport | None] = {}
        """What guards say to a sounding while another is being told."""
        self.usages = Usages(self._tell, clock=lambda: self.now)

    async def _tell(self, address: str, notice: str) -> bool:
        document = self._document(1)
        told = usage.decode(notice.encode(), SIGNING_KEY.public_key(), document.endpoint)
        assert told.nonce == f"nonce of {address}"
        self.asked.append(address)
        self.usages.note(KEY, self.meanwhile)
        if self.takes:
            self.told[address] = told.usage
            assert told.begins == (address in self.new)
            self.used[address] = Counter(self.used[address] if address not in self.new else {}) + Counter(told.usage)
            self.new.discard(address)
        return self.takes

    def _document(self, shares: int) -> Any:
        return build(worlds.wish(), worlds.ROOT, {}, replicas=shares)

    def world(self) -> World:
        pods = []
        for name in self.used:
            owner = owned_by("uid-of-a-stranger" if name in self.strange else "uid-of-set")
            ending: dict[str, Any] = {"deletionTimestamp": "2026-01-01T00:00:00Z"} if name in self.ending else {}
            status = {"podIP": name, "initContainerStatuses": RUNNING}
            pods.append(worlds.pod(name, status=status, ownerReferences=owner, **ending))
        return worlds.world(pods=pods, deployment=DEPLOYMENT, replica_sets=REPLICA_SETS)

    def begin(self, *names: str) -> None:
        self.used |= {name: {} for name in names}
        self.new |= set(names)

    def end(self, *names: str) -> None:
        for name in names:
            del self.used[name]

    def look(self, shares: int) -> bool:
        world = self.world()
        reports: dict[str, GuardReport | None] = {}
        for name, used in self.used.items():
            reports[name] = GuardReport(
                "hash", "GuardReady", usage=used, awaits_usage=name in self.new, usage_nonce=f"nonce of {name}"
            )
        self.usages.meet(world)
        self.usages.note(KEY, reports)
        return asyncio.run(self.usages.tell(world, reports, self._document(shares), SIGNING_KEY))


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_the_first_pods_are_told_that_nobody_knows(bench: Bench) -> None:
    bench.begin("one", "two")
    assert bench.look(2)
    assert bench.told == {"one": None, "two": None}


def test_a_pod_that_replaces_another_has_used_what_that_had(bench: Bench) -> None:
    bench.used |= {"one": {A: DAY}, "two": {A: 100, B: 50}}
    bench.look(2)
    bench.end("two")
    bench.begin("three")
    bench.look(2)
    assert bench.told == {"three": {A: 100, B: 50}}


def test_it_is_that_as_soon_as_the_other_begins_to_end(bench: Bench) -> None:
    bench.used |= {"one": {A: DAY}, "two": {A: 100}}
    bench.ending = {"two"}
    bench.begin("three")
    bench.look(3)
    assert bench.told == {"three": {A: 100}}
    bench.begin("four")
    bench.look(4)
    assert bench.told["four"] == {A: (DAY + 100 + 1) // 2}, "one share has one heir"


def test_time_goes_on_for_a_share_that_nobody_has(bench: Bench) -> None:
    bench.used |= {"one": {A: 100, B: 50}}
    bench.look(1)
    bench.end("one")
    bench.now = 60
    bench.begin("two")
    bench.look(1)
    assert bench.told == {"two": {A: 40}}


def test_where_pods_are_added_each_has_what_is_used_on_average(bench: Bench) -> None:
    bench.used |= {"one": {A: 100}, "two": {B: 51}}
    bench.begin("three", "four")
    bench.look(4)
    assert bench.told == {"three": {A: 50, B: 26}, "four": {A: 50, B: 26}}


def test_the_most_used_shares_find_heirs_first(bench: Bench) -> None:
    bench.used |= {"one": {A: 10}, "two": {A: 30}, "three": {A: 20}}
    bench.look(3)
    bench.end("one", "two", "three")
    bench.begin("four", "five")
    bench.look(3)
    assert bench.told == {"five": {A: 30}, "four": {A: 20}}


def test_what_was_used_of_shares_that_are_no_more_is_charged_to_the_others(bench: Bench) -> None:
    bench.used |= {"one": {A: 10}, "two": {A: 1000, B: 6}, "three": {A: 20}}
    bench.look(3)
    bench.end("two")
    bench.look(2)
    more = {A: 1030 // 3 + 1 - 15, B: 2}
    assert bench.told == {"one": more, "three": more}
    bench.told.clear()
    bench.look(2)
    assert bench.told == {}, "once"


def test_what_could_not_be_charged_is_charged_later_and_counts_meanwhile(bench: Bench) -> None:
    bench.used |= {"one": {A: 100}, "two": {A: 300}}
    bench.look(2)
    bench.end("two")
    bench.takes = False
    assert not bench.look(1)
    bench.look(2)
    bench.begin("three")
    bench.takes = True
    assert bench.look(2)
    assert bench.told == {"one": {A: 100}, "three": {A: 200}}


def test_nothing_is_given_back_where_less_was_used_of_a_share_that_is_no_more(bench: Bench) -> None:
    bench.used |= {"one": {A: 1000}, "two": {A: 10}}
    bench.look(2)
    bench.end("two")
    bench.look(1)
    assert bench.told == {}


def test_a_roll_out_gives_nothing_again_of_what_the_old_pod_gave_while_the_new_one_began(bench: Bench) -> None:
    bench.used |= {"old": {}}
    bench.look(1)
    bench.begin("new")
    bench.look(2)
    assert bench.told == {"new": {}}
    bench.used["old"] = {A: DAY}
    bench.ending = {"old"}
    bench.look(2)
    bench.end("old")
    bench.look(1)
    assert bench.told == {"new": {A: DAY // 2}}, "half of the whole, as the old pod had all of a half"


def test_an_endpoint_that_nobody_serves_for_a_while_has_left_what_its_pods_had(bench: Bench) -> None:
    bench.used |= {"one": {A: 90, B: 6}, "two": {}, "three": {}}
    bench.look(3)
    bench.ending = {"one", "two", "three"}
    for left, name in ((2, "two"), (1, "one"), (1, "three")):
        bench.end(name)
        bench.look(left)
    bench.begin("four", "five", "six")
    bench.look(3)
    assert bench.told == {name: {A: 30, B: 2} for name in ("four", "five", "six")}


def test_fewer_that_come_than_have_ended_have_left_what_those_had_together(bench: Bench) -> None:
    bench.used |= {"one": {A: 90}, "two": {A: 30}, "three": {}}
    bench.look(3)
    bench.end("one", "two", "three")
    bench.look(2)
    bench.begin("four", "five")
    bench.look(2)
    assert bench.told == {"four": {A: 25}, "five": {A: 55}}, "40 on average, as before"


def test_a_guard_with_more_windows_than_it_can_say_is_not_taken_at_an_older_word(bench: Bench) -> None:
    bench.used |= {"one": {A: 100}, "two": {A: 1000}}
    bench.look(2)
    bench.used["two"] = None
    bench.look(2)
    bench.now = 900
    bench.end("two")
    bench.used["one"] = {A: 500}
    bench.begin("three")
    bench.look(2)
    assert bench.told == {"three": {A: 500}}, "its share would be nearly all there"


def test_a_roll_out_refills_nothing(bench: Bench) -> None:
    bench.used |= {"one": {A: 1000}}
    bench.look(1)
    for old, new in (("one", "two"), ("two", "three"), ("three", "four")):
        bench.begin(new)
        bench.look(2)
        bench.ending = {old}
        bench.look(2)
        bench.end(old)
        bench.look(1)
    assert bench.used == {"four": {A: 1000}}


def test_a_guard_that_could_not_be_told_is_told_the_same_again(bench: Bench) -> None:
    bench.used |= {"one": {A: 100}}
    bench.look(1)
    bench.end("one")
    bench.begin("two")
    bench.takes = False
    assert not bench.look(1)
    bench.takes = True
    assert bench.look(1)
    assert bench.told == {"two": {A: 100}}


@pytest.mark.parametrize("said", [None, {}, {A: 200}])
def test_what_is_said_while_another_is_told_comes_too_late_for_that_one(bench: Bench, said: Usage | None) -> None:
    bench.used |= {"one": {A: 100}}
    bench.ending = {"one"}
    bench.begin("two")
    bench.meanwhile = {"one": GuardReport("hash", "GuardReady", usage=said)}
    bench.look(2)
    bench.end("one")
    bench.begin("three")
    bench.look(2)
    assert bench.told == {"two": {A: 100}, "three": {A: 100}}


def test_guards_that_take_nothing_are_told_after_all_others(bench: Bench) -> None:
    """Two that hang use up the time for all: whoever comes after them would never be told."""
    bench.begin("a", "b")
    bench.takes = False
    bench.look(2)
    bench.begin("aa", "c")
    bench.asked.clear()
    bench.look(4)
    assert bench.asked == ["aa", "c", "a", "b"]
    bench.takes = True
    bench.look(4)
    bench.new = {"a", "d"}
    bench.used["d"] = {}
    bench.asked.clear()
    bench.look(5)
    assert bench.asked == ["a", "d"], "it has taken one since"


def test_an_operator_that_starts_anew_goes_by_those_that_serve(bench: Bench) -> None:
    bench.used |= {"one": {A: 100}, "two": {A: 300}}
    bench.begin("three")
    bench.look(3)
    assert bench.told == {"three": {A: 200}}


def test_the_word_of_a_pod_that_is_none_of_the_deployments_counts_for_nothing(bench: Bench) -> None:
    bench.used |= {"one": {A: 100}, "stranger": {}}
    bench.strange = {"stranger", "another"}
    bench.begin("two", "another")
    assert bench.look(4)
    assert bench.told == {"two": {A: 100}}
    bench.used["stranger"] = {A: 1}
    bench.look(4)
    bench.end("stranger")
    bench.begin("three")
    bench.look(4)
    assert bench.told["three"] == {A: 100}


def test_what_a_guard_guesses_is_nobody_elses_guess(bench: Bench) -> None:
    bench.used |= {"one": {A: 100}}
    bench.look(1)
    bench.begin("two")
    bench.used["two"] = {A: DAY}
    bench.takes = False
    bench.look(3)
    bench.takes = True
    bench.begin("three")
    bench.look(3)
    assert bench.told == {"two": {A: 100}, "three": {A: 100}}


def test_guards_that_do_not_say_are_passed_over(bench: Bench) -> None:
    bench.used |= {"old build": None, "one": {A: 100}}
    bench.begin("two")
    bench.look(3)
    assert bench.told == {"two": {A: 100}}


def test_more_than_can_be_told_is_not_told_in_part(bench: Bench) -> None:
    half = MOST_WINDOWS // 2 + 1
    bench.used |= {f"{n}": {f"{n}{number:031x}": 9 for number in range(half)} for n in (1, 2)}
    bench.begin("three")
    assert bench.look(3)
    assert bench.told == {"three": None}


def test_an_endpoint_that_has_gone_is_forgotten(bench: Bench) -> None:
    bench.used |= {"one": {A: 100}}
    bench.look(1)
    bench.usages.forget(KEY)
    bench.usages.note(KEY, {"one": GuardReport("hash", "GuardReady", usage={A: 100})})
    bench.end("one")
    bench.begin("two")
    bench.look(1)
    assert bench.told == {"two": None}


def unused(bench: Bench, names: Iterable[str], shares: int) -> Fraction:
    """Of the total, in parts of one: what those may still give who serve, and shares that wait for an heir."""
    return sum((1 - Fraction((bench.used[name] or {}).get(A, 0), DAY) for name in names), Fraction()) / shares


@given(
    used=st.lists(st.integers(0, DAY), min_size=1, max_size=5),
    spent=st.lists(st.integers(0, 3 * DAY // 4), min_size=5, max_size=5),
    more=st.integers(0, 3),
)
def test_growth_leaves_what_was_left(used: list[int], spent: list[int], more: int) -> None:
    bench = Bench()
    bench.used |= {f"old-{number}": {A: seconds} if seconds else {} for number, seconds in enumerate(used)}
    bench.look(len(used))
    before = unused(bench, bench.used, len(used))
    bench.begin(*(f"new-{number}" for number in range(more)))
    shares = len(used) + more
    bench.look(shares)
    assert before - Fraction(1, DAY) <= unused(bench, bench.used, shares) <= before
    for number, seconds in enumerate(spent[: len(used)]):  # each is replaced in turn, having given more meanwhile
        old = f"old-{number}"
        bench.used[old] = {A: min(DAY, ((bench.used[old] or {}).get(A, 0) + seconds)) or 1}
        bench.look(shares)
        now = unused(bench, bench.used, shares)
        bench.end(old)
        bench.begin(f"replaced-{number}")
        bench.look(shares)
        assert unused(bench, bench.used, shares) == now


def test_a_reconcile_tells_and_looks_again_soon_where_it_could_not() -> None:
    scene = Scene().settle()
    scene.pod()
    pod = scene.cluster.must_get(kinds.POD, "ml", "llama-1")
    deployment = scene.live(kinds.DEPLOYMENT)
    scene.cluster.put(
        kinds.REPLICA_SET,
        {
            "metadata": {
                "name": "llama-set",
                "namespace": "ml",
                "labels": dict(pod["metadata"]["labels"]),
                "ownerReferences": owned_by(deployment["metadata"]["uid"]),
            }
        },
    )
    made = scene.cluster.must_get(kinds.REPLICA_SET, "ml", "llama-set")
    pod["metadata"]["ownerReferences"] = owned_by(made["metadata"]["uid"])
    scene.report = GuardReport(
        scene.endpoint["status"]["documentHash"], "GuardReady", awaits_usage=True, usage_nonce="nonce"
    )
    scene.takes_notices = False
    scene.reconcile()
    wait = scene.reconcile().requeue_after
    assert (scene.notices[-1].nonce, scene.notices[-1].usage) == ("nonce", None)
    assert wait is not None
    assert wait < 10
    scene.takes_notices = True
    scene.reconcile()
    scene.report = replace(scene.report, awaits_usage=False, usage={A: 100})
    count = len(scene.notices)
    assert scene.reconcile().requeue_after is None
    assert len(scene.notices) == count
