"""A guard whose pod is new begins with what the operator says that others have used, once, and with its own besides."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.guard import running
from tests.unit.guard.running import ENDPOINT, SIGNING_KEY, Answer, Guard, Model, chat, client_key, document

from bartizan.guard import enforcement, limits_file
from bartizan.guard.budgets import Budgets
from bartizan.guard.enforcement import Enforcement
from bartizan.guard.limits_file import NEVER_NS, Name, Owner
from bartizan.guard.limits_memory import FILE_NAME, LONG_SECONDS, LimitsMemory
from bartizan.guard.rates import Rates
from bartizan.guard.shared import Own
from bartizan.guard.usage import UsageOfWindows
from bartizan.policy import document as documents
from bartizan.policy import signed, usage
from bartizan.policy.document import GuardDocument, RequestWindow, TokenWindow
from bartizan.policy.limits import NANOSECONDS, Scope
from bartizan.policy.tokens import Amount
from bartizan.policy.usage import Notice, Usage, UsageError

DAY, HOUR = 86400, 3600
CLIENTS = ("batch", "chat-ui")
DOCUMENT = document(
    requests=(
        RequestWindow(24, DAY),
        RequestWindow(1000, 60),
        RequestWindow(240, DAY, Scope.ENDPOINT),
        RequestWindow(96, DAY, Scope.TIER, "basic"),
        RequestWindow(48, DAY, Scope.CLIENT, "basic"),
    ),
    tokens=(TokenWindow("Total", 2400, DAY), TokenWindow("Output", 36_000, HOUR)),
    tiers={"batch": "basic"},
    max_output_tokens=1000,
)


@dataclass
class Pod:
    """A guard's limits without the guard, by a clock that is told."""

    folder: Path
    now_s: int = 1_000_000
    is_new_endpoint: bool = False
    boot: str = "boot-1"
    given: GuardDocument = DOCUMENT
    own: Own = field(init=False)
    usage: UsageOfWindows = field(init=False)

    def __post_init__(self) -> None:
        memory = LimitsMemory(self.folder, Owner("uid-1", self.boot), self.now_ns)
        memory.begin(is_new_endpoint=self.is_new_endpoint)
        rates, budgets = Rates(memory), Budgets(memory, self.now_ns)
        self.own = Own(memory, rates, budgets, self.folder, 600, self.now_ns)
        self.usage = UsageOfWindows(self.own, SIGNING_KEY.public_key(), ENDPOINT)

    @property
    def enforcement(self) -> Enforcement:
        return enforcement.prepare(self.given, documents.encode(self.given, SIGNING_KEY).encode())

    def now_ns(self) -> int:
        return self.now_s * NANOSECONDS

    def close(self) -> None:
        self.own.memory._close()

    def tell(self, told: Usage | None, **changes: Any) -> None:
        notice = Notice(ENDPOINT, self.usage.nonce, told, begins=self.usage.is_awaited)
        self.usage.take(usage.encode(replace(notice, **changes), SIGNING_KEY).encode(), self.enforcement)

    def take(self, client: str = "chat-ui", times: int = 1) -> None:
        for _ in range(times):
            self.own.rates.take(client, self.enforcement.of(client).paces, self.now_ns())

    def spend(self, output: int, client: str = "chat-ui") -> None:
        spent = Amount(0, output)
        with self.own.budgets.hold(client, self.enforcement.of(client).budgets, spent, lambda: spent):
            pass

    def left(self, client: str = "chat-ui") -> tuple[int, int]:
        """Requests and tokens."""
        measures = self.enforcement.of(client)
        requests = self.own.rates.left(client, measures.paces, self.now_ns()).remaining
        return requests, self.own.budgets.left(client, measures.budgets).remaining


@contextmanager
def pod(folder: Path, **given: Any) -> Iterator[Pod]:
    folder.mkdir(exist_ok=True)
    made = Pod(folder, **given)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Pod]:
    with pod(tmp_path / "fresh") as made:
        yield made


def name(name: Name) -> str:
    return limits_file.digest(name).hex()


OF_REQUESTS, OF_TOKENS = name(("chat-ui", "Requests", DAY)), name(("chat-ui", "Total", DAY))


def test_a_new_pod_awaits_what_others_have_used_and_gives_ten_minutes_worth_meanwhile(fresh: Pod) -> None:
    assert fresh.usage.is_awaited
    assert fresh.left() == (0, 2400 * LONG_SECONDS // DAY)


def test_it_has_its_share_of_what_is_left(fresh: Pod) -> None:
    fresh.tell({OF_REQUESTS: DAY // 2, OF_TOKENS: DAY // 4})
    assert (fresh.left(), fresh.left("batch")) == ((12, 1800), (48, 2400))
    assert not fresh.usage.is_awaited


def test_what_it_gave_before_it_was_told_is_used_too(fresh: Pod) -> None:
    fresh.spend(16)
    fresh.tell({OF_TOKENS: DAY // 2})
    assert fresh.left() == (24, 1200 - 16)


def test_a_pod_that_began_with_everything_has_less_once_it_is_told(tmp_path: Path) -> None:
    with pod(tmp_path / "new", is_new_endpoint=True) as new:
        new.take(times=2)
        new.spend(100)
        assert new.left() == (22, 2300)
        new.tell({OF_REQUESTS: DAY // 2, OF_TOKENS: DAY // 2})
        assert new.left() == (10, 1100)


def test_what_requests_under_way_hold_stays_held(fresh: Pod) -> None:
    most = Amount(0, 16)
    with fresh.own.budgets.hold("chat-ui", fresh.enforcement.of("chat-ui").budgets, most, lambda: Amount(0, 6)):
        fresh.tell({OF_TOKENS: DAY // 2})
        assert fresh.left()[1] == 1200 - 16
    assert fresh.left()[1] == 1200 - 6


def test_a_guard_that_dies_after_it_was_told_has_forgotten_nothing_that_was_held(tmp_path: Path) -> None:
    with pod(tmp_path / "pod", is_new_endpoint=True) as first:
        first.spend(100)
        most = Amount(0, 600)
        with first.own.budgets.hold("chat-ui", first.enforcement.of("chat-ui").budgets, most, Amount):
            first.tell({})
            with pod(tmp_path / "pod") as again:
                assert again.left()[1] == 2400 - 100 - 600


def test_a_node_that_starts_anew_before_it_was_told_still_has_it_await_that(tmp_path: Path) -> None:
    with pod(tmp_path / "pod") as first:
        first.spend(16)
    with pod(tmp_path / "pod", boot="boot-2", now_s=10) as again:
        assert again.left() == (0, 0)
        again.tell({OF_TOKENS: DAY // 2})
        assert again.left() == (24, 1200)


def test_nobody_is_told_of_more_than_a_share_that_is_used_up(fresh: Pod) -> None:
    """Whoever speaks in a guard's place may say anything: no word of its own keeps clients out for long."""
    fresh.tell(dict.fromkeys((OF_REQUESTS, OF_TOKENS, name(("chat-ui", "Output", HOUR))), usage.MOST_SECONDS))
    fresh.now_s += HOUR
    assert fresh.left() == (1, 100)


def test_where_nobody_knows_it_keeps_what_it_began_with(fresh: Pod) -> None:
    before = fresh.left()
    fresh.tell(None)
    assert (fresh.left(), fresh.usage.is_awaited) == (before, False)


@pytest.mark.parametrize("told", [{OF_REQUESTS: DAY // 2, OF_TOKENS: DAY // 4}, {}, None])
def test_a_restart_of_the_container_asks_for_nothing_again(tmp_path: Path, told: Usage | None) -> None:
    with pod(tmp_path / "pod") as first:
        first.spend(16)
        first.tell(told)
        with pod(tmp_path / "pod") as again:
            assert (again.usage.is_awaited, again.left(), again.left("batch")) == (
                False,
                first.left(),
                first.left("batch"),
            )


def test_a_restart_before_it_was_told_still_awaits_it_and_has_forgotten_nothing(tmp_path: Path) -> None:
    with pod(tmp_path / "pod") as first:
        first.spend(16)
        with pod(tmp_path / "pod", now_s=first.now_s + 1) as again:
            assert again.usage.is_awaited
            assert again.usage.nonce != first.usage.nonce
            again.tell({OF_TOKENS: DAY // 2})
            assert again.left()[1] == 1200 - 16
        with pod(tmp_path / "pod", now_s=first.now_s + 1) as third:
            assert (third.usage.is_awaited, third.left()[1]) == (False, 1200 - 16)


def test_a_memory_that_is_damaged_awaits_nothing(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(b"garbage")
    with pod(tmp_path) as damaged:
        assert (damaged.usage.is_awaited, damaged.left()) == (False, (0, 0))


def test_each_window_says_in_seconds_what_is_used_of_it(fresh: Pod) -> None:
    fresh.tell({})
    fresh.take("batch", 2)
    fresh.spend(240, "batch")
    used = fresh.usage.said(fresh.enforcement)
    assert used == {
        name(("batch", "Requests", DAY)): DAY // 24,
        name(("/basic", "Requests", DAY)): DAY // 48,
        name(("", "Requests", DAY)): DAY // 120,
        name(("batch", "Total", DAY)): DAY // 10,
        name(("batch", "Output", HOUR)): HOUR // 150,
    }


def test_what_is_held_is_said_to_be_used(fresh: Pod) -> None:
    fresh.tell({})
    most = Amount(0, 240)
    with fresh.own.budgets.hold("chat-ui", fresh.enforcement.of("chat-ui").budgets, most, Amount):
        used = fresh.usage.said(fresh.enforcement)
        assert used is not None
        assert used[OF_TOKENS] == DAY // 10
    assert not fresh.usage.said(fresh.enforcement)


def test_it_says_who_the_clients_are_to_nobody(fresh: Pod) -> None:
    fresh.tell({})
    fresh.take("batch")
    assert not [client for client in CLIENTS if client in str(fresh.usage.said(fresh.enforcement))]


def test_more_windows_than_can_be_said_are_not_said_in_part(tmp_path: Path) -> None:
    many = [f"client-{number}" for number in range(usage.MOST_WINDOWS + 1)]
    with pod(tmp_path, given=document(keys=tuple(map(client_key, many)), requests=(RequestWindow(24, DAY),))) as full:
        assert full.usage.said(full.enforcement) is None


SPENT = st.lists(st.tuples(st.sampled_from(CLIENTS), st.integers(0, 300), st.integers(0, 4 * HOUR)), max_size=8)


@given(spent=SPENT, waited=st.integers(0, 700))
def test_a_pod_that_takes_over_is_as_the_one_before_it_to_the_second(
    tmp_path_factory: pytest.TempPathFactory, spent: list[tuple[str, int, int]], waited: int
) -> None:
    folder = tmp_path_factory.mktemp("pods")
    with pod(folder / "old", is_new_endpoint=True) as old:
        old.tell({})
        for client, output, seconds in spent:
            old.now_s += seconds
            if min(old.left(client)[1], 2400) >= output and old.left(client)[0]:
                old.take(client)
                old.spend(output, client)
        with pod(folder / "new", now_s=old.now_s) as new:
            new.tell(old.usage.said(old.enforcement))
            old.now_s = new.now_s = old.now_s + waited
            for client in CLIENTS:
                assert old.left(client)[0] - 1 <= new.left(client)[0] <= old.left(client)[0]
                assert old.left(client)[1] - 1 <= new.left(client)[1] <= old.left(client)[1]


STRANGE: dict[str, Any] = {
    "another endpoint's": {"endpoint": replace(ENDPOINT, uid="uid-2")},
    "another namespace's life": {"endpoint": replace(ENDPOINT, namespace_uid="other")},
    "another guard's": {"nonce": "0" * 32},
    "without a nonce": {"nonce": ""},
    "half a letter for a nonce": {"nonce": "\ud800"},
    "one that is no first": {"begins": False},
    "one that does not say": {"begins": None},
    "no object": {"usage": [OF_TOKENS]},
    "no digest": {"usage": {"chat-ui": 1}},
    "a digest in capitals": {"usage": {OF_TOKENS.upper(): 1}},
    "a fraction": {"usage": {OF_TOKENS: 1.5}},
    "nothing used": {"usage": {OF_TOKENS: 0}},
    "less than nothing used": {"usage": {OF_TOKENS: -DAY}},
    "more than can be": {"usage": {OF_TOKENS: usage.MOST_SECONDS + 1}},
    "true": {"usage": {OF_TOKENS: True}},
    "too many": {"usage": {f"{number:032x}": 1 for number in range(usage.MOST_WINDOWS + 1)}},
}


@pytest.mark.parametrize("strange", STRANGE)
def test_a_notice_that_is_not_for_it_changes_nothing(fresh: Pod, strange: str) -> None:
    before = fresh.left()
    with pytest.raises(UsageError):
        fresh.tell(
            **{"told": {}, **STRANGE[strange]}
            if "usage" not in STRANGE[strange]
            else {"told": STRANGE[strange]["usage"]}
        )
    assert (fresh.left(), fresh.usage.is_awaited) == (before, True)


def test_what_another_key_signed_or_is_of_another_kind_changes_nothing(fresh: Pod) -> None:
    notice = Notice(ENDPOINT, fresh.usage.nonce, {})
    payload = signed.verified(usage.encode(notice, SIGNING_KEY).encode(), SIGNING_KEY.public_key(), kind=usage.TYPE)
    for text in (
        usage.encode(notice, Ed25519PrivateKey.generate()),
        signed.sign(payload, SIGNING_KEY, kind=documents.TYPE),
        documents.encode(DOCUMENT, SIGNING_KEY),
        usage.encode(notice, SIGNING_KEY)[:-4],
        "",
        "a.b.c",
    ):
        with pytest.raises(UsageError):
            fresh.usage.take(text.encode(), fresh.enforcement)
    assert fresh.usage.is_awaited


def test_a_notice_is_taken_once(fresh: Pod) -> None:
    text = usage.encode(Notice(ENDPOINT, fresh.usage.nonce, {}), SIGNING_KEY).encode()
    fresh.usage.take(text, fresh.enforcement)
    fresh.spend(2400)
    with pytest.raises(UsageError, match="taken already"):
        fresh.usage.take(text, fresh.enforcement)
    assert fresh.left()[1] == 0


def test_what_others_have_used_is_charged_besides(fresh: Pod) -> None:
    fresh.tell({})
    fresh.spend(240)
    fresh.tell({OF_TOKENS: DAY // 10, OF_REQUESTS: DAY // 2})
    assert (fresh.left(), fresh.left("batch")) == ((12, 2400 - 240 - 240), (48, 2400))
    fresh.tell({OF_TOKENS: DAY // 10})
    assert fresh.left()[1] == 2400 - 3 * 240


def test_what_is_charged_besides_outlives_a_restart_with_what_is_held(tmp_path: Path) -> None:
    most = Amount(0, 240)
    with pod(tmp_path / "pod") as first:
        first.tell({})
        with first.own.budgets.hold("chat-ui", first.enforcement.of("chat-ui").budgets, most, Amount):
            first.tell({OF_TOKENS: DAY // 2})
            with pod(tmp_path / "pod") as again:
                assert again.left()[1] == first.left()[1] == 1200 - 240


def test_nothing_is_charged_beyond_a_share_that_is_used_up(fresh: Pod) -> None:
    fresh.tell({OF_TOKENS: DAY // 2})
    fresh.tell({OF_TOKENS: usage.MOST_SECONDS})
    fresh.now_s += DAY
    assert fresh.left()[1] == 2400


@pytest.mark.parametrize("begins", [True, False])
def test_each_notice_has_its_turn(fresh: Pod, begins: bool) -> None:
    if not begins:
        fresh.tell({})
    with pytest.raises(UsageError):
        fresh.tell({}, begins=not begins)
    before = fresh.usage.nonce
    fresh.tell({})
    assert fresh.usage.nonce != before


def test_a_notice_is_no_document(tmp_path: Path) -> None:
    text = usage.encode(Notice(ENDPOINT, "nonce", {}), SIGNING_KEY)
    with pytest.raises(documents.DocumentError, match="of another kind"):
        documents.decode(text.encode(), SIGNING_KEY.public_key(), ENDPOINT)


def post(guard: Guard, body: bytes, path: str = "/usage", **headers: str) -> Answer:
    return running.send(guard.ports["statusPort"], "POST", path, body, headers)


@contextmanager
def started(tmp_path: Path, model: Model, **changes: Any) -> Iterator[Guard]:
    state = tmp_path / "state"
    state.mkdir(exist_ok=True)
    given = replace(DOCUMENT, created=1, **changes)
    with running.guard(tmp_path, model.upstream, "--state-directory", str(state), given=given) as guard:
        yield guard


def test_a_guard_takes_it_at_its_status_port(tmp_path: Path, model: Model) -> None:
    with started(tmp_path, model, max_output_tokens=100) as guard:
        awaited = guard.status()["usageNonce"]
        assert guard.ask(chat(max_tokens=50)).code == "rate_limit_exceeded"
        text = usage.encode(Notice(ENDPOINT, awaited, {OF_REQUESTS: 23 * HOUR}), SIGNING_KEY).encode()
        told = post(guard, text)
        assert (told.status, told.body) == (200, b"taken\n")
        assert guard.status()["usageAwaited"] is False
        assert [guard.ask(chat(max_tokens=50)).status for _ in range(2)] == [200, 429]
        assert guard.status()["usage"][OF_REQUESTS] > 23 * HOUR
        assert (post(guard, text).status, '"usage told"' in guard.log()) == (409, True)


def test_its_status_port_takes_nothing_else(tmp_path: Path, model: Model) -> None:
    with started(tmp_path, model) as guard:
        long = b"x" * (64 * 1024 + 1)
        assert post(guard, long).status == 413
        assert post(guard, b"").status == 413
        assert post(guard, b"not signed").status == 409
        assert post(guard, b"x", "/status").status == 400
        assert post(guard, b"x", "/nothing").status == 400
        assert running.send(guard.ports["statusPort"], "PUT", "/usage", b"x", {}).status == 400
        assert guard.get("statusPort", "/usage").status == 404
        assert guard.status()["usageAwaited"]


def test_a_guard_without_a_document_takes_nothing(tmp_path: Path, model: Model) -> None:
    with running.guard(tmp_path, model.upstream, given=None) as guard:
        text = usage.encode(Notice(ENDPOINT, "", {}), SIGNING_KEY).encode()
        assert (post(guard, text).status, guard.status()["usage"], guard.status()["usageAwaited"]) == (503, None, False)


def test_no_guess_is_no_time(fresh: Pod) -> None:
    assert fresh.own.memory.guess_ns(("x", "Requests", DAY)) == fresh.now_ns() + (DAY - LONG_SECONDS) * NANOSECONDS
    assert NEVER_NS + DAY * NANOSECONDS < 0
