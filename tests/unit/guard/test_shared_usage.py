"""However pods come and go, no more of a long window is given than it says: real guards, told by the operator."""

import asyncio
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from tests.unit.controller import worlds
from tests.unit.controller.reconciling import KEY
from tests.unit.guard.running import ENDPOINT, SIGNING_KEY, document
from tests.unit.guard.test_usage import DAY, Pod

from bartizan.controller.builders.guard_container import GUARD
from bartizan.controller.guards import GuardReport
from bartizan.controller.usages import Usages
from bartizan.guard.refusal import Refusal
from bartizan.policy.document import GuardDocument, RequestWindow, TokenWindow

LIMIT, REQUESTS = 8640, 48
RUNNING = [{"name": GUARD, "state": {"running": {}}}]
MOST_PODS = 5


def owned_by(uid: str) -> list[dict[str, Any]]:
    return [{"kind": "any", "uid": uid, "controller": True}]


class Endpoint(RuleBasedStateMachine):
    """`given` are times and tokens, `asked` times and requests."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.now = 1_000_000
        self.pods: dict[str, Pod] = {}
        self.ending: set[str] = set()
        self.shares = 1
        self.made = 0
        self.given: list[tuple[int, int]] = []
        self.asked: list[tuple[int, int]] = []
        self.begin_operator()

    def teardown(self) -> None:
        for pod in self.pods.values():
            pod.close()
        self.folder.cleanup()

    def begin_operator(self) -> None:
        self.usages = Usages(self.tell, clock=lambda: float(self.now))

    async def tell(self, address: str, notice: str) -> bool:
        pod = self.pods[address]
        pod.usage.take(notice.encode(), pod.enforcement)
        return True

    @property
    def document(self) -> GuardDocument:
        return document(
            requests=(RequestWindow(REQUESTS, DAY),),
            tokens=(TokenWindow("Total", LIMIT, DAY),),
            max_output_tokens=1000,
            replicas=self.shares,
        )

    def look(self) -> None:
        """A reconcile: the document first, then what guards say, then what they are told."""
        for pod in self.pods.values():
            pod.given = self.document
        pods = []
        for name in self.pods:
            gone: dict[str, Any] = {"deletionTimestamp": "2026-01-01T00:00:00Z"} if name in self.ending else {}
            status = {"podIP": name, "initContainerStatuses": RUNNING}
            pods.append(worlds.pod(name, status=status, ownerReferences=owned_by("set"), **gone))
        sets = [{"metadata": {"uid": "set", "ownerReferences": owned_by("deployment")}}]
        live = {**worlds.deployment(), "metadata": {"uid": "deployment"}}
        world = worlds.world(pods=pods, deployment=live, replica_sets=sets)
        reports: dict[str, GuardReport | None] = {}
        for name, pod in self.pods.items():
            said = pod.usage.said(pod.enforcement)
            of = pod.usage
            reports[name] = GuardReport("hash", "", usage=said, usage_nonce=of.nonce, awaits_usage=of.is_awaited)
        self.usages.meet(world)
        self.usages.note(KEY, reports)
        told = replace(self.document, endpoint=ENDPOINT)
        assert asyncio.run(self.usages.tell(world, reports, told, SIGNING_KEY))

    def make(self, *, is_new: bool = False) -> None:
        folder = Path(self.folder.name) / str(self.made)
        folder.mkdir()
        self.pods[f"pod-{self.made}"] = Pod(folder, self.now, is_new_endpoint=is_new, given=self.document)
        self.made += 1

    def end(self, name: str) -> None:
        self.pods.pop(name).close()
        self.ending.discard(name)

    def pick(self, number: int) -> str:
        return list(self.pods)[number % len(self.pods)]

    @initialize(pods=st.integers(1, 3))
    def start(self, pods: int) -> None:
        self.shares = pods
        for _ in range(pods):
            self.make(is_new=True)
        self.look()

    @rule(number=st.integers(0, 9), tokens=st.integers(1, 6000))
    def spend(self, number: int, tokens: int) -> None:
        self.spend_at(self.pick(number), tokens)

    def spend_at(self, name: str, tokens: int) -> None:
        try:
            self.pods[name].spend(tokens)
        except Refusal:
            return
        self.given.append((self.now, tokens))

    @rule(number=st.integers(0, 9), times=st.integers(1, 20))
    def ask(self, number: int, times: int) -> None:
        pod = self.pods[self.pick(number)]
        for _ in range(times):
            try:
                pod.take()
            except Refusal:
                return
            self.asked.append((self.now, 1))

    @rule(seconds=st.integers(0, DAY // 6))
    def wait(self, seconds: int) -> None:
        self.now += seconds
        for pod in self.pods.values():
            pod.now_s = self.now

    @rule(number=st.integers(0, 9), is_heard=st.booleans(), early=st.integers(0, 700))
    def replace_one(self, number: int, is_heard: bool, early: int) -> None:
        name = self.pick(number)
        self.ending = {name} if is_heard else set()
        self.look()
        self.end(name)
        self.wait(early)
        self.make()
        self.spend(len(self.pods) - 1, 1 + early % 60)  # before it is told
        self.look()

    @rule()
    def replace_all(self) -> None:
        self.look()
        count = len(self.pods)
        for name in list(self.pods):
            self.end(name)
        self.look()
        for _ in range(count):
            self.make()
        self.look()

    @rule(more=st.integers(1, 2))
    def grow(self, more: int) -> None:
        if len(self.pods) + more > MOST_PODS:
            return
        self.shares += more
        self.look()
        for _ in range(more):
            self.make()
        self.look()

    @rule(number=st.integers(0, 9), old=st.integers(1, 9000), new=st.integers(1, 9000), seconds=st.integers(0, 2000))
    def roll_out(self, number: int, old: int, new: int, seconds: int) -> None:
        """One pod more while it lasts; the old one goes on giving until it ends."""
        if len(self.pods) == MOST_PODS:
            return
        leaving = self.pick(number)
        self.shares += 1
        self.look()
        self.make()
        self.look()
        self.wait(seconds)
        self.spend_at(leaving, old)
        self.spend_at(list(self.pods)[-1], new)
        self.take_away(leaving)

    @rule(number=st.integers(0, 9))
    def shrink(self, number: int) -> None:
        if len(self.pods) > 1:
            self.take_away(self.pick(number))

    def take_away(self, name: str) -> None:
        self.ending = {name}
        self.look()
        self.end(name)
        self.shares -= 1
        self.look()

    @rule(number=st.integers(0, 9))
    def restart_container(self, number: int) -> None:
        name = self.pick(number)
        before = self.pods[name]
        before.close()
        self.pods[name] = Pod(before.folder, self.now, given=self.document)
        self.look()

    @rule()
    def restart_operator(self) -> None:
        self.begin_operator()
        self.look()

    @invariant()
    def no_more_is_given_than_the_limit_says(self) -> None:
        for given, limit in ((self.given, LIMIT), (self.asked, REQUESTS)):
            for index, (began, _) in enumerate(given):
                total = 0
                for at, amount in given[index:]:
                    total += amount
                    assert total <= limit + (at - began) * limit / DAY + MOST_PODS, "each share rounds"


Endpoint.TestCase.settings = settings(max_examples=50, stateful_step_count=25, deadline=None)
TestEndpoint = Endpoint.TestCase


def test_old_pods_that_give_all_they_have_while_new_ones_begin_give_no_day_again() -> None:
    endpoint = Endpoint()
    try:
        endpoint.start(1)
        for _ in range(4):
            (old,) = endpoint.pods
            endpoint.shares += 1
            endpoint.look()
            endpoint.make()
            endpoint.look()
            for _ in range(LIMIT // 100):
                endpoint.spend_at(old, 100)
            endpoint.take_away(old)
        for _ in range(LIMIT // 100):
            endpoint.spend_at(next(iter(endpoint.pods)), 100)
        given = sum(tokens for _, tokens in endpoint.given)
        assert LIMIT - 500 <= given <= LIMIT
    finally:
        endpoint.teardown()
