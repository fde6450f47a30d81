"""Small parts on their own: rates, slots, deadlines, refusals, flags, metrics, and what is declared once."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.metrics import MetricWrapperBase
from tests.unit.guard.running import SIGNING_KEY, arguments
from tests.unit.guard.stand import FORGETFUL

from bartizan.guard import allowance, settings
from bartizan.guard.budgets import Budgets
from bartizan.guard.deadlines import NEVER, Deadlines
from bartizan.guard.enforcement import DEFAULT_PROFILE
from bartizan.guard.metrics import Metrics
from bartizan.guard.rates import Rates
from bartizan.guard.refusal import STATUS, Refusal, headers
from bartizan.guard.series import Counts, Spreads
from bartizan.guard.slots import Caps, Slots
from bartizan.policy import keys, limits, tokens
from bartizan.policy.limits import Scoped
from bartizan.policy.reasons import EXPLANATIONS, Reason
from bartizan.policy.tokens import Amount

GUARD = Path(settings.__file__).parent


class Thing:
    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self.expirations = 0

    def expire(self) -> None:
        self.expirations += 1


def test_a_deadline_expires_once_and_only_what_is_watched() -> None:
    deadlines, due, later, forgotten = Deadlines(), Thing(5), Thing(50), Thing(5)
    for thing in (due, later, forgotten):
        deadlines.watch(thing)
    deadlines.forget(forgotten)
    deadlines.sweep(10)
    deadlines.sweep(11)
    assert (due.expirations, later.expirations, forgotten.expirations) == (1, 0, 0)
    assert due.deadline == NEVER


def test_each_client_has_a_rate_of_its_own() -> None:
    rates, paces = Rates(FORGETFUL), Scoped((limits.share(2, 60, replicas=1),))
    for _ in range(2):
        rates.take("a", paces, 0)
    with pytest.raises(Refusal) as refused:
        rates.take("a", paces, 0)
    assert (refused.value.reason, refused.value.retry_after_seconds) == (Reason.RATE_LIMITED, 30)
    for _ in range(3):
        rates.judge("b", paces, 0)
    rates.take("b", paces, 0)
    rates.take("a", paces, 30 * limits.NANOSECONDS)


def test_what_is_left_is_told_of_the_window_that_has_least() -> None:
    rates, paces = Rates(FORGETFUL), Scoped((limits.share(100, 1, replicas=1), limits.share(4, 60, replicas=2)))
    rates.take("a", paces, 0)
    assert rates.left("a", paces, 0) == limits.Allowance(2, 1, 30 * limits.NANOSECONDS)
    assert rates.left("a", paces, 30 * limits.NANOSECONDS) == limits.Allowance(2, 2, 0)


def test_what_was_held_is_let_go_where_it_was_held_though_the_document_changed_meanwhile() -> None:
    budgets = Budgets(FORGETFUL, lambda: 0)
    minute, smaller = (tokens.share(tokens.Kind.TOTAL, limit, 60, replicas=1) for limit in (1000, 10))
    day = tokens.share(tokens.Kind.TOTAL, 100, 86400, replicas=1)
    with budgets.hold("a", Scoped((minute,)), Amount(900), lambda: Amount(50)):
        with pytest.raises(Refusal), budgets.hold("a", Scoped((smaller, day)), Amount(1), Amount):
            raise AssertionError("the smaller limit is full of what is held")
        with budgets.hold("a", Scoped((day,)), Amount(100), lambda: Amount(30)):
            pass
    assert budgets.left("a", Scoped((minute,))).remaining == 950
    assert budgets.left("a", Scoped((day,))).remaining == 70


@pytest.mark.parametrize(
    ("nanoseconds", "told"),
    [(0, b"0ms"), (1, b"1ms"), (999_000_000, b"999ms"), (10**9, b"1s"), (10**9 + 1, b"2s"), (360 * 10**9, b"6m0s"),
     (7205 * 10**9, b"2h0m5s"), (86_400 * 10**9, b"24h0m0s")],
)  # fmt: skip
def test_a_time_is_told_as_openai_does(nanoseconds: int, told: bytes) -> None:
    assert allowance.span(nanoseconds) == told


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=60))
def test_slots_never_exceed_their_caps_and_all_come_back(steps: list[tuple[str, bool]]) -> None:
    slots, open_leases = Slots(), list[tuple[str, object]]()
    for client, is_coming in steps:
        if not is_coming and open_leases:
            _, lease = open_leases.pop(0)
            lease.__exit__(None, None, None)  # type: ignore[attr-defined]
            continue
        lease = slots.lease(client, Caps(2, 4))
        held = [name for name, _ in open_leases]
        if held.count(client) >= 2 or len(held) >= 4:
            with pytest.raises(Refusal):
                lease.__enter__()
        else:
            lease.__enter__()
            open_leases.append((client, lease))
        assert slots.taken == len(open_leases)
    for _, lease in open_leases:
        lease.__exit__(ValueError, ValueError(), None)  # type: ignore[attr-defined]
    assert slots.taken == 0
    assert not slots._by_client


def test_a_slot_comes_back_whatever_ends_the_request() -> None:
    slots = Slots()
    for end in (ValueError, KeyboardInterrupt, GeneratorExit):
        with pytest.raises(end), slots.lease("a", Caps(1, 1)):
            raise end
    assert slots.taken == 0


@pytest.mark.parametrize("reason", STATUS)
def test_every_refusal_has_openais_form(reason: Reason) -> None:
    refusal = Refusal(reason, "message", param="field", retry_after_seconds=3, allow=b"POST")
    error = json.loads(DEFAULT_PROFILE.refusal_body(refusal, "req_1"))["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert re.fullmatch(r"[a-z_]+", error["code"])
    assert 400 <= STATUS[reason] < 600
    assert headers(refusal).endswith(b"Allow: POST\r\nRetry-After: 3\r\n")


def test_every_reason_that_the_guard_refuses_with_has_a_status() -> None:
    text = "".join(file.read_text() for file in GUARD.rglob("*.py"))
    refused = set(re.findall(r"(?:Refusal|unavailable)\(\s*Reason\.([A-Z_]+)", text))
    assert {Reason[name] for name in refused} <= set(STATUS)
    assert all(reason in EXPLANATIONS for reason in Reason)


def test_each_metric_has_help_and_our_prefix_and_known_labels() -> None:
    metrics = Metrics()
    for metric in metrics.registry.collect():
        assert metric.name.startswith(("bartizan_guard_", "gen_ai_"))
        assert metric.documentation.endswith(".")
    declared = (vars(metrics) | vars(metrics.models)).values()
    kept = {label for each in declared if isinstance(each, MetricWrapperBase) for label in each._labelnames}
    counted = {label for each in declared if isinstance(each, Counts | Spreads) for label in each.labels}
    assert kept | counted == {
        *("route", "reason", "port"),
        *("gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model", "gen_ai_token_type", "error_type"),
    }


def test_flags_become_settings(tmp_path: Path) -> None:
    chosen = settings.parse(arguments(tmp_path, "unix:/run/model/model.sock"))
    assert chosen.upstream == settings.Address(path="/run/model/model.sock")
    assert chosen.document_not_before == 0
    assert keys.public_key_text(chosen.document_key) == keys.public_key_text(SIGNING_KEY.public_key())


def test_flags_default_to_the_declared_ports(tmp_path: Path) -> None:
    given_flags = arguments(tmp_path, "tcp:127.0.0.1:9000")
    chosen = settings.parse(given_flags[: given_flags.index("--address")])
    assert (chosen.ports, chosen.farewell_seconds, chosen.drain_seconds) == (settings.Ports(8080, 8081, 9090), 0, 25)


@pytest.mark.parametrize(
    "upstream",
    ["", "unix:relative.sock", "tcp:10.0.0.1:80", "tcp:127.0.0.1:0", "tcp:127.0.0.1:70000", "tcp:localhost:80",
     "http://127.0.0.1:80", "tcp:127.0.0.1:8o", "tcp:127.0.0.1:٣"],
)  # fmt: skip
def test_the_model_is_on_a_socket_or_on_loopback_only(tmp_path: Path, upstream: str) -> None:
    with pytest.raises(SystemExit):
        settings.parse(arguments(tmp_path, upstream))


@pytest.mark.parametrize("key", ["", "x", "A" * 43 + "B", "A" * 42])
def test_a_key_that_is_none_is_refused(tmp_path: Path, key: str) -> None:
    given_flags = arguments(tmp_path, "unix:/model.sock")
    given_flags[given_flags.index("--document-key") + 1] = key
    with pytest.raises(SystemExit):
        settings.parse(given_flags)
