"""Guards that count together in a real Valkey: never more than the limit, whatever becomes of guards and store.

Threat 57: many replicas, one limit. And the store itself as the target: killed, paused, slow, empty, in wrong hands.
"""

import json
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import valkey
from tests.unit.guard import running, valkeys
from tests.unit.guard.running import (
    Answer,
    Guard,
    Model,
    chat,
    client_key,
    credential,
    document,
    eventually,
    request_bytes,
)
from tests.unit.guard.valkeys import PASSWORD, Valkey

from bartizan.guard.shared import PAUSE_NS
from bartizan.guard.store import DEADLINE_SECONDS, PASSWORD_FILE, USER_FILE
from bartizan.policy.document import GuardDocument, RequestWindow, SharedStore, TokenWindow
from bartizan.policy.limits import Scope

DAY = 86400
BATCH = credential("batch").reveal()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    with valkeys.running(tmp_path_factory.mktemp("valkey")) as started:
        yield started


@pytest.fixture
def store(server: Valkey) -> Valkey:
    server.client().flushall()
    return server


def limited(port: int, **changes: Any) -> GuardDocument:
    given: dict[str, Any] = {
        "keys": tuple(client_key(client) for client in ("chat-ui", "batch", "third")),
        "requests": (RequestWindow(1000, DAY),),
        "tokens": (TokenWindow("Output", 100_000, DAY),),
        "max_output_tokens": 100,
        "replicas": 2,
        "created": 4_000_000_000,
    }
    return document(**{**given, "store": SharedStore("127.0.0.1", port), **changes})


def counted_by(guard: Guard, answer: Answer) -> str:
    word: str = guard.audited(answer.headers["X-Request-Id"])[0]["countedBy"]
    return word


def counts_together(guard: Guard) -> None:
    """Asks as a client whose limits are none of the test's."""
    key = credential("third").reveal()
    eventually(lambda: counted_by(guard, guard.ask(chat(max_tokens=1), key=key)) == "Store", "the store counts")


class Fleet:
    """Guards of one endpoint, each in a folder of its own."""

    def __init__(self, stack: ExitStack, folder: Path, model: Model) -> None:
        self._stack = stack
        self._folder = folder
        self._model = model
        self._number = 0

    def start(self, given: GuardDocument, *flags: str, password: str = PASSWORD, user: str = "") -> Guard:
        self._number += 1
        folder = self._folder / f"guard-{self._number}"
        folder.mkdir()
        (folder / PASSWORD_FILE).write_text(password)
        (folder / USER_FILE).write_text(user)
        return self._stack.enter_context(running.guard(folder, self._model.upstream, *flags, given=given))

    def together(self, given: GuardDocument, *flags: str) -> Guard:
        """Once the store counts for it: the first connection may take longer than a request waits."""
        started = self.start(given, *flags)
        counts_together(started)
        return started


@pytest.fixture
def fleet(tmp_path: Path, model: Model) -> Iterator[Fleet]:
    with ExitStack() as stack:
        yield Fleet(stack, tmp_path, model)


def statuses(guard: Guard, times: int, **more: Any) -> list[int]:
    return [guard.ask(chat(**more)).status for _ in range(times)]


def settled(store: Valkey) -> None:
    eventually(lambda: store.leases() == 0, "all is settled")


def orphaned(store: Valkey, fleet: Fleet, given: GuardDocument) -> Guard:
    """A guard beside one that was killed while chat-ui held 100 tokens, whose lease is the only one."""
    dead = fleet.together(given, "--answer-seconds", "1")
    settled(store)
    with dead.connect() as sock:
        sock.sendall(request_bytes(json.dumps(chat("/hold", max_tokens=100)).encode()))
        eventually(lambda: store.leases() == 1, "held in the store")
        dead.process.kill()
    other = fleet.together(given)
    eventually(lambda: store.leases() == 1, "nobody's but the dead one's")
    return other


def expire(store: Valkey) -> float:
    """As if the only lease's time had passed, which is given back, in microseconds."""
    ((member, expiry),) = store.client().zrange("bartizan:{uid-1}:leases", 0, -1, withscores=True)  # type: ignore[misc]
    store.client().zadd("bartizan:{uid-1}:leases", {member: 1})
    return float(expiry)


def test_two_guards_give_one_limit(store: Valkey, fleet: Fleet) -> None:
    given = limited(store.port, requests=(RequestWindow(10, DAY),))
    one, other = fleet.together(given), fleet.together(given)
    assert statuses(one, 7) == [200] * 7, "more than the half that a share would be"
    assert statuses(other, 5) == [200] * 3 + [429] * 2
    refused = one.ask(chat())
    assert (refused.status, refused.code) == (429, "rate_limit_exceeded")
    assert DAY / 10 - 60 < int(refused.headers["Retry-After"]) <= DAY / 10
    assert one.audited(refused.headers["X-Request-Id"])[0]["reason"] == "RateLimited"
    assert one.ask(chat(), key=BATCH).status == 200, "each client's own"
    assert one.status()["limitsReason"] == "LimitsKept"
    assert one.metric("bartizan_guard_store_up") == 1


def test_what_all_clients_share_is_shared_by_all_guards(store: Valkey, fleet: Fleet) -> None:
    windows = (RequestWindow(10, DAY), RequestWindow(6 + 2, DAY, Scope.ENDPOINT))
    given = limited(store.port, requests=windows)
    one, other = fleet.together(given), fleet.together(given)
    assert statuses(one, 4) == [200] * 4
    assert [other.ask(chat(), key=BATCH).status for _ in range(3)] == [200, 200, 429]
    refused = other.ask(chat(), key=BATCH)
    assert "all clients together" in refused.json()["error"]["message"]
    assert other.audited(refused.headers["X-Request-Id"])[0]["reason"] == "EndpointRateLimited"


def test_tokens_are_held_and_charged_for_all_guards(store: Valkey, fleet: Fleet) -> None:
    given = limited(store.port, tokens=(TokenWindow("Output", 250, DAY),), max_output_tokens=500)
    one, other = fleet.together(given), fleet.together(given)
    with one.connect() as sock:
        sock.sendall(request_bytes(json.dumps(chat("/hold", max_tokens=100)).encode()))
        eventually(lambda: store.leases() == 1, "held in the store")
        assert other.ask(chat(max_tokens=100)).status == 200
        refused = other.ask(chat(max_tokens=151))
        assert (refused.status, refused.headers["Retry-After"]) == (429, "1"), "it waits for the other to end"
        never = other.ask(chat(max_tokens=100, n=3))
        assert (never.status, other.audited(never.headers["X-Request-Id"])[0]["reason"]) == (400, "TokensNeverFit")
    settled(store)
    figures = store.figures()
    assert figures["ho:chat-ui"] == figures["hi:chat-ui"] == figures["ho:"] == 0
    charged = other.ask(chat("/count 100", max_tokens=100))
    assert charged.status == 200
    settled(store)
    assert one.ask(chat(max_tokens=100)).status == 200, "of which little is used"


def test_many_callers_at_two_guards_never_pass_a_budget(store: Valkey, fleet: Fleet) -> None:
    windows = (TokenWindow("Total", 2000, DAY), TokenWindow("Total", 3000, DAY, Scope.ENDPOINT))
    given = limited(store.port, tokens=windows, concurrent=500, concurrent_per_client=500)
    guards = fleet.together(given), fleet.together(given)
    answers: list[tuple[str, Answer]] = []

    def ask(guard: Guard, client: str) -> None:
        key = credential(client).reveal()
        answers.extend((client, guard.ask(chat("/count 20 /slow 1", max_tokens=20), key=key)) for _ in range(8))

    threads = [
        threading.Thread(target=ask, args=(guard, client))
        for guard in guards
        for client in ("chat-ui", "batch")
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    settled(store)
    assert {answer.status for _, answer in answers} == {200, 429}
    used = {
        client: sum(a.json()["usage"]["total_tokens"] for name, a in answers if name == client and a.status == 200)
        for client in ("chat-ui", "batch")
    }
    assert max(used.values()) <= 2000 + 1
    assert 1000 < sum(used.values()) <= 3000 + 1
    assert all(guard.metric("bartizan_guard_store_up") == 1 for guard in guards), "none of it was given alone"


def test_a_guard_that_is_killed_leaves_nothing_held_for_ever(store: Valkey, fleet: Fleet) -> None:
    given = limited(store.port, tokens=(TokenWindow("Output", 150, DAY),), max_stream_seconds=1)
    other = orphaned(store, fleet, given)
    assert other.ask(chat(max_tokens=100)).status == 429
    assert 0 < expire(store) / 1e6 - time.time() <= 61 + 1
    refused = other.ask(chat(max_tokens=100))
    assert (refused.status, int(refused.headers["Retry-After"]) > 3600) == (429, True), "charged in full: nobody knows"
    assert (store.leases(), store.figures()["ho:chat-ui"]) == (0, 0)
    assert other.ask(chat(max_tokens=50)).status == 200


TIERS = {"chat-ui": "basic", "batch": "basic"}


def test_a_tiers_limits_hold_for_all_guards(store: Valkey, fleet: Fleet) -> None:
    own, shared = RequestWindow(3, DAY, Scope.CLIENT, "basic"), RequestWindow(4, DAY, Scope.TIER, "basic")
    given = limited(store.port, requests=(RequestWindow(1000, DAY), own, shared), tiers=TIERS)
    one, other = fleet.together(given), fleet.together(given)
    assert statuses(one, 2) + statuses(other, 2) == [200] * 3 + [429], "in place of the thousand"
    assert [other.ask(chat(), key=BATCH).status for _ in range(2)] == [200, 429]
    refused = one.ask(chat(), key=BATCH)
    assert one.audited(refused.headers["X-Request-Id"])[0]["reason"] == "TierRateLimited"
    assert one.ask(chat(), key=credential("third").reveal()).status == 200


def test_tokens_of_a_tier_are_held_and_charged_for_all_guards(store: Valkey, fleet: Fleet) -> None:
    windows = (TokenWindow("Output", 1000, DAY), TokenWindow("Output", 150, DAY, Scope.TIER, "basic"))
    given = limited(store.port, tokens=windows, tiers=TIERS)
    one, other = fleet.together(given), fleet.together(given)
    with one.connect() as sock:
        sock.sendall(request_bytes(json.dumps(chat("/hold", max_tokens=100)).encode()))
        eventually(lambda: store.leases() == 1, "held in the store")
        refused = other.ask(chat(max_tokens=100), key=BATCH)
        assert other.audited(refused.headers["X-Request-Id"])[0]["reason"] == "TierTokensLimited"
        assert other.ask(chat(max_tokens=100), key=credential("third").reveal()).status == 200
    settled(store)
    assert store.figures()["ho:/basic"] == 0


def test_what_a_dead_guard_held_is_charged_by_its_clients_tier_whoever_asks(store: Valkey, fleet: Fleet) -> None:
    windows = (TokenWindow("Output", 1000, DAY // 2), TokenWindow("Output", 150, DAY, Scope.CLIENT, "basic"))
    given = limited(store.port, tokens=windows, max_stream_seconds=1, tiers={"chat-ui": "basic"})
    other = orphaned(store, fleet, given)
    expire(store)
    assert other.ask(chat(), key=BATCH).status == 200, "of no tier"
    assert f"o:{DAY // 2}:chat-ui" not in store.figures()
    assert [other.ask(chat(max_tokens=most)).status for most in (100, 50)] == [429, 200]


def test_what_a_dead_guard_held_is_charged_too_where_a_release_finds_it(store: Valkey, fleet: Fleet) -> None:
    given = limited(store.port, tokens=(TokenWindow("Output", 150, DAY),), max_stream_seconds=1)
    other = orphaned(store, fleet, given)
    expire(store)
    store.kill()
    try:
        assert other.ask(chat(max_tokens=1), key=BATCH).status == 200, "by its share; the rest is to release"
    finally:
        store.restart()
    eventually(lambda: store.leases() == 0, "released, before anybody asks")
    assert [other.ask(chat(max_tokens=most)).status for most in (100, 50)] == [429, 200]


def test_a_lease_that_is_none_of_ours_breaks_nothing(store: Valkey, fleet: Fleet) -> None:
    one = fleet.together(limited(store.port))
    settled(store)
    store.client().zadd("bartizan:{uid-1}:leases", {"x:1": 1, "aaaa:1:2:chat-ui": 1})
    answer = one.ask(chat())
    assert (answer.status, counted_by(one, answer)) == (200, "Store")
    settled(store)


def test_t59_a_tier_that_needs_the_store_is_refused_while_it_is_away(store: Valkey, fleet: Fleet) -> None:
    given = limited(store.port, tiers={"chat-ui": "basic"}, refused_without_store=("basic",))
    one = fleet.together(given)
    assert one.ask(chat()).status == 200
    store.kill()
    try:
        refused = [one.ask(chat()) for _ in range(20)]
        assert {(answer.status, answer.code) for answer in refused} == {(503, "service_unavailable")}
        assert one.audited(refused[-1].headers["X-Request-Id"])[0]["reason"] == "StoreAway"
        assert one.ask(chat(), key=BATCH).status == 200, "the others have this guard's share"
    finally:
        store.restart()
    eventually(lambda: one.ask(chat()).status == 200, "who needs it finds it back, without anybody else's help")


def test_t59_a_store_that_is_killed_leaves_each_guard_its_share_of_what_was_left(store: Valkey, fleet: Fleet) -> None:
    given = limited(store.port, tokens=(TokenWindow("Output", 4000, DAY),), max_output_tokens=500)
    one = fleet.together(given)
    assert one.ask(chat("/count 400")).status == 200
    settled(store)
    counts_together(one)  # and the guard knows that it is: what it does not know it charges to its share, too
    store.kill()
    try:
        answer = one.ask(chat("/count 400"))
        assert (answer.status, counted_by(one, answer)) == (200, "Guard")
        assert one.status()["limitsReason"] == "StoreUnavailable"
        assert one.metric("bartizan_guard_store_up") == 0
        assert statuses(one, 5, max_tokens=500)[-1] == 200, "each costs little"
        got = 400
        while (answer := one.ask(chat("/count 400", max_tokens=400))).status == 200:
            got += answer.json()["usage"]["completion_tokens"]
        assert 800 <= got <= 2000 * 0.9 + 1, "half of it, of which a tenth was used when the store went"
    finally:
        store.restart()
    other = fleet.together(given)
    counts_together(one)
    assert one.ask(chat("/count 1", max_tokens=1)).status == 200, "with it comes what it gave meanwhile"
    while (answer := other.ask(chat("/count 400", max_tokens=400))).status == 200:
        got += answer.json()["usage"]["completion_tokens"]
        settled(store)
    assert 2800 < got <= 4000 + 1, "what it gave meanwhile is counted, once"


def test_a_store_that_is_paused_makes_no_request_wait_for_long(store: Valkey, fleet: Fleet) -> None:
    one = fleet.together(limited(store.port))
    assert one.ask(chat()).status == 200
    store.signal(signal.SIGSTOP)
    try:
        times = []
        for _ in range(30):
            began = time.monotonic()
            assert one.ask(chat()).status == 200
            times.append(time.monotonic() - began)
        assert max(times) < DEADLINE_SECONDS + 1.0
        slow = [seconds for seconds in times if seconds > DEADLINE_SECONDS]
        assert len(slow) <= 1 + sum(times) / (PAUSE_NS / 1e9), "one in each pause finds out, the others do not wait"
    finally:
        store.signal(signal.SIGCONT)
    counts_together(one)
    settled(store)
    assert statuses(one, 3) == [200] * 3


def test_a_slow_store_is_waited_for_up_to_the_deadline(store: Valkey, fleet: Fleet) -> None:
    with valkeys.wire(store.port) as wire:
        one = fleet.start(limited(wire.port))
        wire.delay_seconds = DEADLINE_SECONDS / 8
        answer = one.ask(chat())
        eventually(lambda: counted_by(one, one.ask(chat())) == "Store", "slow, but in time")
        wire.delay_seconds = DEADLINE_SECONDS * 2
        began = time.monotonic()
        answer = one.ask(chat())
        assert (answer.status, counted_by(one, answer)) == (200, "Guard")
        assert time.monotonic() - began < DEADLINE_SECONDS + 1.0


def test_what_guards_give_alone_and_together_stays_within_the_limit(store: Valkey, fleet: Fleet) -> None:
    """The store comes and goes while two guards are asked without a pause."""
    terms = limited(store.port, requests=(RequestWindow(60, DAY),), concurrent=500, concurrent_per_client=500)
    guards = fleet.together(terms), fleet.together(terms)
    over, turns = threading.Event(), (threading.Lock(), threading.Lock())

    def ask(guard: Guard, turn: threading.Lock) -> None:
        while not over.is_set():
            with turn:
                guard.ask(chat())
            time.sleep(0.01)

    threads = [threading.Thread(target=ask, args=pair) for pair in zip(guards, turns, strict=True)]
    for thread in threads:
        thread.start()
    for _ in range(3):
        time.sleep(0.1)
        with turns[0], turns[1]:  # each knows what the other gave: a share is half of what its guard knows to be left
            for guard in guards:
                guard.ask(chat())
            store.signal(signal.SIGSTOP)
        time.sleep(0.6)
        store.signal(signal.SIGCONT)
        time.sleep(0.6)
    eventually(lambda: all(guard.ask(chat()).status == 429 for guard in guards), "used up")
    over.set()
    for thread in threads:
        thread.join()
    lines = [line for guard in guards for line in guard.audit()]
    given = [line for line in lines if line.get("reason") == "Allowed" and line["client"] == "chat-ui"]
    assert 30 <= len(given) <= 60


def test_an_emptied_store_learns_what_the_guards_know(store: Valkey, fleet: Fleet) -> None:
    one = fleet.together(limited(store.port, requests=(RequestWindow(10, DAY),)))
    assert statuses(one, 9) == [200] * 9
    store.client().flushall()
    assert statuses(one, 3) == [200, 429, 429]
    store.client().script_flush()
    assert statuses(one, 1) == [429]
    assert one.metric("bartizan_guard_store_up") == 1


@pytest.mark.parametrize("password", ["wrong", ""])
def test_without_the_right_password_the_share_holds(store: Valkey, fleet: Fleet, password: str) -> None:
    one = fleet.start(limited(store.port, requests=(RequestWindow(10, DAY),)), password=password)
    assert statuses(one, 6) == [200] * 5 + [429]
    assert one.status()["limitsReason"] == "StoreUnavailable"
    assert PASSWORD not in one.log()


def test_a_password_that_is_put_right_is_taken_without_a_restart(store: Valkey, fleet: Fleet) -> None:
    one = fleet.start(limited(store.port), password="old")
    assert counted_by(one, one.ask(chat())) == "Guard"
    (one.folder / PASSWORD_FILE).write_text(PASSWORD + "\n")
    eventually(lambda: counted_by(one, one.ask(chat())) == "Store", "the new password")


def test_a_user_of_its_own_needs_few_commands_and_its_own_keys(store: Valkey, fleet: Fleet) -> None:
    """As docs/limits.md says: such a user can do nothing else to the store, nor to other endpoints' limits."""
    rules = ["on", ">of its own", "resetkeys", "~bartizan:{uid-1}*", "-@all", *ACL]
    valkeys.run(store.client(), "ACL", "SETUSER", "guards", *rules)
    one = fleet.start(limited(store.port), password="of its own", user="guards")
    answer = one.ask(chat())
    assert (answer.status, counted_by(one, answer)) == (200, "Store")
    mine = valkey.Valkey(port=store.port, username="guards", password="of its own")
    for command in (["FLUSHALL"], ["CONFIG", "GET", "*"], ["KEYS", "*"], ["HGETALL", "bartizan:{uid-2}"]):
        with pytest.raises(valkey.ResponseError, match="permission"):
            valkeys.run(mine, *command)


ACL = ("+eval", "+evalsha", "+time", "+hget", "+hset", "+zrem", "+zadd", "+zrangebyscore", "+pexpire")


def test_t57_the_model_shares_the_network_and_can_do_nothing_there_without_the_password(store: Valkey) -> None:
    with pytest.raises(valkey.AuthenticationError):
        valkeys.run(valkey.Valkey(port=store.port), "HSET", "bartizan:{uid-1}", "r:86400:chat-ui", "0")


def test_tls_is_spoken_to_the_named_server_only(store: Valkey, fleet: Fleet, tmp_path: Path, model: Model) -> None:
    context, ca = valkeys.certified(tmp_path, "store.valkey.svc")
    with valkeys.wire(store.port, context) as wire:
        right = SharedStore("127.0.0.1", wire.port, server_name="store.valkey.svc", ca=ca)
        one = fleet.start(limited(wire.port, store=right))
        assert counted_by(one, one.ask(chat())) == "Store"
        wrong = SharedStore("127.0.0.1", wire.port, server_name="other.valkey.svc", ca=ca)
        other = fleet.start(limited(wire.port, store=wrong))
        assert counted_by(other, other.ask(chat())) == "Guard"
    plain = fleet.start(limited(store.port, store=SharedStore("127.0.0.1", store.port, "store.valkey.svc", ca)))
    assert counted_by(plain, plain.ask(chat())) == "Guard"


def test_a_document_may_bring_a_store_and_take_it_away(store: Valkey, fleet: Fleet) -> None:
    one = fleet.start(limited(store.port, store=None))
    assert "countedBy" not in one.audited(one.ask(chat()).headers["X-Request-Id"])[0]
    one.take_up(limited(store.port, version=1001))
    assert counted_by(one, one.ask(chat())) == "Store"
    one.take_up(limited(store.port, version=1002, store=None))
    assert "countedBy" not in one.audited(one.ask(chat()).headers["X-Request-Id"])[0]
    assert one.metric("bartizan_guard_store_up") == 0


def test_a_caller_who_leaves_leaves_nothing_held(store: Valkey, fleet: Fleet) -> None:
    one = fleet.together(limited(store.port))
    for _ in range(5):
        with one.connect() as sock:
            sock.sendall(request_bytes(json.dumps(chat("/hold")).encode()))
            eventually(lambda: store.leases() == 1, "held in the store")
        settled(store)
    assert store.figures()["ho:chat-ui"] == 0


def test_at_its_end_a_guard_settles_what_is_under_way(store: Valkey, fleet: Fleet) -> None:
    one = fleet.together(limited(store.port), "--drain-seconds", "5")
    with one.connect() as sock:
        sock.sendall(request_bytes(json.dumps(chat("/count 50 /slow 10")).encode()))
        eventually(lambda: store.leases() == 1, "held in the store")
        assert one.end() == 0
    assert store.leases() == 0
