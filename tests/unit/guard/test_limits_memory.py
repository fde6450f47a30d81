"""A guard that starts anew refills no long window, whatever ended it and whatever became of its memory.

Threat 57's other half: who can make a guard restart (a crash, an eviction, a full node) must gain no allowance by it.
"""

import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.guard import running
from tests.unit.guard.running import Guard, Model, chat, credential, document, eventually, request_bytes

from bartizan.guard import limits_file
from bartizan.guard.budgets import Budgets
from bartizan.guard.limits_file import MOST_RECORDS, RECORD_BYTES, Owner
from bartizan.guard.limits_memory import FILE_NAME, LONG_SECONDS, LimitsMemory
from bartizan.guard.rates import Rates
from bartizan.guard.refusal import Refusal
from bartizan.policy import limits, tokens
from bartizan.policy.document import GuardDocument, RequestWindow, TokenWindow
from bartizan.policy.limits import NANOSECONDS, Scope, Scoped
from bartizan.policy.reasons import Reason
from bartizan.policy.tokens import Amount, Kind

OWNER, FOREIGN = Owner("uid-1", "boot-1"), Owner("uid-2", "boot-1")
HOUR = 3600
DAY = 86400
PACES = Scoped((limits.share(24, DAY, replicas=1),), (limits.share(48, DAY, replicas=1),))
BUDGETS = Scoped(
    (tokens.share(Kind.TOTAL, 2400, DAY, replicas=1),), (tokens.share(Kind.OUTPUT, 4800, HOUR, replicas=1),)
)


OPENED: list[LimitsMemory] = []


@contextmanager
def all_closed() -> Iterator[None]:
    """At the end: a guard that is killed while others live on keeps its file, as one that hangs would."""
    try:
        yield
    finally:
        while OPENED:
            OPENED.pop()._close()


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    with all_closed():
        yield


@dataclass
class Process:
    """What a guard that has just started knows of its windows."""

    folder: Path
    now_s: float = 0.0
    owner: Owner = OWNER
    is_new_endpoint: bool = True
    memory: LimitsMemory = field(init=False)
    rates: Rates = field(init=False)
    budgets: Budgets = field(init=False)

    def __post_init__(self) -> None:
        self.memory = LimitsMemory(self.folder, self.owner, self.now_ns)
        OPENED.append(self.memory)
        self.memory.begin(is_new_endpoint=self.is_new_endpoint)
        self.rates, self.budgets = Rates(self.memory), Budgets(self.memory, self.now_ns)

    def now_ns(self) -> int:
        return int(self.now_s * NANOSECONDS)

    def take(self, client: str = "a") -> None:
        self.rates.take(client, PACES, self.now_ns())

    @contextmanager
    def hold(self, most: int, spent: int, client: str = "a") -> Iterator[None]:
        with self.budgets.hold(client, BUDGETS, Amount(0, most), lambda: Amount(0, spent)):
            yield

    def spend(self, amount: int, client: str = "a") -> None:
        with self.hold(amount, amount, client):
            pass

    def left(self, client: str = "a") -> tuple[int, int]:
        """Requests and tokens."""
        requests = self.rates.left(client, PACES, self.now_ns()).remaining
        return requests, self.budgets.left(client, BUDGETS).remaining


def test_what_was_used_is_used_after_a_restart(tmp_path: Path) -> None:
    first = Process(tmp_path)
    for _ in range(10):
        first.take()
    first.spend(900)
    first.spend(100, "b")
    again = Process(tmp_path, now_s=1)
    assert again.left() == first.left() == (14, 1500)
    assert again.left("b") == (24, 2300)
    assert Process(tmp_path, now_s=HOUR + 1).left() == (15, 1600), "it refills as if there had been no restart"


def test_what_all_share_is_kept_too(tmp_path: Path) -> None:
    first = Process(tmp_path)
    for client in "abc":
        first.spend(1500, client)
    with pytest.raises(Refusal) as refused:
        Process(tmp_path).spend(400, "d")
    assert refused.value.reason is Reason.ENDPOINT_TOKENS_LIMITED


def test_what_was_held_when_it_was_killed_counts_as_spent(tmp_path: Path) -> None:
    first = Process(tmp_path)
    with first.hold(700, 3):
        again = Process(tmp_path)
        assert again.left() == (24, 1700)
        third = Process(tmp_path)
        assert third.left() == (24, 1700), "once"
        third.spend(100)
        assert Process(tmp_path).left() == (24, 1600)


def test_short_windows_are_not_written_down(tmp_path: Path) -> None:
    process = Process(tmp_path)
    paces = Scoped((limits.share(9, LONG_SECONDS, replicas=1),))
    process.rates.take("a", paces, 0)
    assert (tmp_path / FILE_NAME).stat().st_size == RECORD_BYTES


def test_another_boot_refills_nothing_for_the_time_between(tmp_path: Path) -> None:
    first = Process(tmp_path, now_s=500_000)
    first.spend(2400)
    first.now_s += 12 * HOUR
    assert first.left()[1] == 1200
    first.spend(1000)
    rebooted = Process(tmp_path, now_s=5, owner=Owner("uid-1", "boot-2"))
    assert rebooted.left()[1] == 200
    rebooted.spend(1)
    assert Process(tmp_path, now_s=10, owner=Owner("uid-1", "boot-3")).left()[1] == 199


def test_a_new_pod_of_an_endpoint_that_is_not_new_begins_with_ten_minutes_worth(tmp_path: Path) -> None:
    process = Process(tmp_path, is_new_endpoint=False)
    assert process.left() == (0, 2400 * LONG_SECONDS // DAY)
    process.now_s = HOUR
    assert process.left() == (1, 2400 * (HOUR + LONG_SECONDS) // DAY)
    again = Process(tmp_path, now_s=HOUR)
    assert again.left() == process.left(), "the container's next start gives no more"


def bit(position: int) -> Callable[[bytes], bytes]:
    return lambda data: data[:position] + bytes([data[position] ^ 4]) + data[position + 1 :]


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "half a header": lambda data: data[:40],
    "header": bit(50),
    "half a record": lambda data: data[:-10],
    "record": bit(RECORD_BYTES + 17),
    "record's name": bit(RECORD_BYTES + 1),
    "record's checksum": bit(RECORD_BYTES + 63),
    "zeros": lambda data: bytes(len(data)),
    "too long": lambda data: data + bytes(RECORD_BYTES * MOST_RECORDS),
    "another endpoint's": lambda data: (
        limits_file.pack_header(Owner("uid-2", "boot-1"), limits_file.Header()) + data[64:]
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_memory_counts_as_used_up_and_is_said(
    tmp_path: Path, damage: str, capfd: pytest.CaptureFixture[str]
) -> None:
    Process(tmp_path).take()
    file = tmp_path / FILE_NAME
    file.write_bytes(DAMAGES[damage](file.read_bytes()))
    process = Process(tmp_path)
    assert (process.memory.reason, process.left("unknown")) == (Reason.LIMITS_FORGOTTEN, (0, 0))
    assert "limits memory cannot be read" in capfd.readouterr().err
    process.now_s = HOUR
    assert process.left("unknown") == (1, 100), "it refills: nobody is locked out"
    again = Process(tmp_path, now_s=HOUR)
    assert (again.memory.reason, again.left("unknown")) == (Reason.LIMITS_FORGOTTEN, (1, 100))
    healed = Process(tmp_path, now_s=DAY + 1)
    assert (healed.memory.reason, healed.left("unknown")) == (Reason.LIMITS_KEPT, (24, 2400))


def test_what_is_whole_beside_what_is_damaged_is_kept(tmp_path: Path) -> None:
    first = Process(tmp_path)
    first.spend(900, "b")
    first.take("a")
    file = tmp_path / FILE_NAME
    file.write_bytes(bit(len(file.read_bytes()) - 30)(file.read_bytes()))
    assert Process(tmp_path).left("b")[1] == 1500


def test_memory_is_bounded_and_what_has_no_room_counts_as_used_up(tmp_path: Path) -> None:
    process = Process(tmp_path)
    for number in range(MOST_RECORDS + 10):
        process.memory.keep((f"client-{number}", "Requests", DAY), DAY * NANOSECONDS // 2)
    assert (tmp_path / FILE_NAME).stat().st_size == (MOST_RECORDS + 1) * RECORD_BYTES
    again = Process(tmp_path)
    assert again.left("client-1")[0] == 12
    assert again.left(f"client-{MOST_RECORDS + 5}")[0] == 0
    assert Process(tmp_path, now_s=DAY + 1).left("x") == (24, 2400)
    assert (tmp_path / FILE_NAME).stat().st_size == RECORD_BYTES, "what has refilled is forgotten"


def test_a_volume_that_cannot_be_written_is_said_and_written_again_when_it_can(tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    process = Process(folder)
    process.spend(100)
    os.close(process.memory._descriptor)
    folder.rename(tmp_path / "elsewhere")
    process.spend(200)
    assert (process.memory.reason, process.left()[1]) == (Reason.LIMITS_UNKEPT, 2100)
    folder.mkdir()
    process.memory._descriptor = -1
    process.now_s = 2
    process.spend(300)
    assert process.memory.reason is Reason.LIMITS_KEPT
    assert Process(folder, now_s=2).left()[1] == 1800


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["take", "spend", "hold", "end", "kill", "wait"]), st.integers(0, 900), st.sampled_from("ab")
    ),
    max_size=40,
)


@dataclass
class Twins:
    """A guard that is killed now and then, and one that never is and spends all that it holds."""

    folder: Path
    dies: Process = field(init=False)
    lives: Process = field(init=False)
    under_way: list[tuple[ExitStack, ExitStack]] = field(default_factory=list)
    dead: list[tuple[ExitStack, ExitStack]] = field(default_factory=list)

    def __post_init__(self) -> None:
        for name in ("dies", "lives"):
            (self.folder / name).mkdir()
            setattr(self, name, Process(self.folder / name))

    def wait(self, seconds: int) -> None:
        self.lives.now_s += seconds
        self.dies.now_s += seconds

    def kill(self) -> None:
        self.dies = Process(self.folder / "dies", now_s=self.dies.now_s)
        for _, living in self.under_way:
            living.close()
        self.dead += self.under_way
        self.under_way = []

    def end(self) -> None:
        if self.under_way:
            for stack in self.under_way.pop():
                stack.close()

    def ask(self, what: str, figure: int, client: str) -> None:
        """The one that lives is asked only what the other has given."""
        stacks = ExitStack(), ExitStack()
        try:
            for process, stack in zip((self.dies, self.lives), stacks, strict=True):
                if what == "take":
                    process.take(client)
                else:
                    stack.enter_context(process.hold(figure, figure, client))
        except Refusal:
            return
        self.under_way.append(stacks)
        if what != "hold":
            self.end()

    def judge(self) -> None:
        for who in "ab":
            given, most = self.dies.left(who), self.lives.left(who)
            assert given[0] <= most[0]
            assert given[1] <= most[1]


@settings(max_examples=1000)
@given(steps=STEPS)
def test_no_order_of_requests_and_kills_gives_more_than_a_guard_that_lives(steps: list[tuple[str, int, str]]) -> None:
    with TemporaryDirectory() as name, all_closed():
        twins = Twins(Path(name))
        for what, figure, client in steps:
            if what == "wait":
                twins.wait(figure * 10)
            elif what in ("kill", "end"):
                getattr(twins, what)()
            else:
                twins.ask(what, figure, client)
            twins.judge()


def limited(**changes: Any) -> GuardDocument:
    windows = (RequestWindow(10, DAY), RequestWindow(15, DAY, Scope.ENDPOINT))
    return document(requests=windows, tokens=(TokenWindow("Total", 10_000, DAY),), max_output_tokens=1000, **changes)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    folder = tmp_path / "state"
    folder.mkdir()
    return folder


def left(guard: Guard) -> tuple[int, int]:
    """Reads without a charge: a body that is not JSON would cost a request, the list of models costs one, too."""
    headers = guard.ask(path="/v1/models").headers
    return int(headers["x-ratelimit-remaining-requests"]), int(headers["x-ratelimit-remaining-tokens"])


def new(**changes: Any) -> GuardDocument:
    """Of an endpoint that was made just now."""
    return limited(created=4_000_000_000, **changes)


def test_a_guard_that_is_killed_under_load_refills_nothing(tmp_path: Path, state: Path, model: Model) -> None:
    flags = ["--state-directory", str(state)]
    with running.guard(tmp_path, model.upstream, *flags, given=new()) as guard:
        assert guard.status()["limitsReason"] == "LimitsKept"
        assert guard.metric("bartizan_guard_limits_kept") == 1
        assert [guard.ask(chat("/count 100")).status for _ in range(3)] == [200] * 3
        with guard.connect() as sock:
            sock.sendall(request_bytes(json.dumps(chat("/hold", max_tokens=500)).encode()))
            eventually(lambda: guard.metric("bartizan_guard_requests_in_flight") == 1, "one under way")
            before = left(guard)
            guard.process.kill()
            guard.process.wait()
    with running.guard(tmp_path, model.upstream, *flags, given=new()) as guard:
        assert left(guard) == (before[0] - 1, before[1]), "the request that was asked for it, and nothing back"
        batch = [guard.ask(chat(max_tokens=1), key=credential("batch").reveal()).status for _ in range(10)]
        assert batch == [200] * 9 + [429], "15 of the endpoint, of which 6 are used"


def test_a_memory_that_was_damaged_shows_and_closes(tmp_path: Path, state: Path, model: Model) -> None:
    (state / FILE_NAME).write_bytes(b"garbage")
    with running.guard(tmp_path, model.upstream, "--state-directory", str(state), given=new()) as guard:
        assert guard.status()["limitsReason"] == "LimitsForgotten"
        assert guard.metric("bartizan_guard_limits_kept") == 0
        refused = guard.ask(chat())
        assert (refused.status, refused.code) == (429, "rate_limit_exceeded")
        assert DAY / 15 < int(refused.headers["Retry-After"]) <= DAY / 10 + 1


def test_pods_that_are_replaced_gain_ten_minutes_at_most(tmp_path: Path, state: Path, model: Model) -> None:
    given = document(tokens=(TokenWindow("Total", 864_000, DAY),), created=1, max_output_tokens=1000)
    with running.guard(tmp_path, model.upstream, "--state-directory", str(state), given=given) as guard:
        remaining = int(guard.ask(path="/v1/models").headers["x-ratelimit-remaining-tokens"])
        assert 6000 <= remaining <= 6000 + 10 * running.DEADLINE_SECONDS


def test_without_a_place_to_keep_them_it_says_so(tmp_path: Path, model: Model) -> None:
    with running.guard(tmp_path, model.upstream, given=new()) as guard:
        assert guard.status()["limitsReason"] == "LimitsUnkept"
        assert guard.ask(chat()).status == 200


def test_many_callers_at_once_are_all_written_down(tmp_path: Path, state: Path, model: Model) -> None:
    flags = ["--state-directory", str(state)]
    many = document(tokens=(TokenWindow("Output", 1_000_000, DAY),), max_output_tokens=100, created=4_000_000_000)
    with running.guard(tmp_path, model.upstream, *flags, given=many) as guard:

        def ask() -> None:
            for _ in range(10):
                assert guard.ask(chat("/count 50")).status == 200

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        guard.process.kill()
        guard.process.wait()
    with running.guard(tmp_path, model.upstream, *flags, given=many) as guard:
        remaining = int(guard.ask(path="/v1/models").headers["x-ratelimit-remaining-tokens"])
        # An answer that came just before the kill may not be settled: what was held for it counts then.
        assert 1_000_000 - 80 * 50 - 8 * 50 <= remaining <= 1_000_000 - 80 * 50 + 12 * running.DEADLINE_SECONDS
