"""What is told of the model, in the names that OpenTelemetry gave it."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.guard import running, scripted
from tests.unit.guard.running import Guard, Model, chat, eventually, request_bytes

from bartizan.guard.metrics import Metrics
from bartizan.guard.model_metrics import error_type

CHAT = 'gen_ai_operation_name="chat",gen_ai_provider_name="openai",gen_ai_request_model="demo"'
DURATION = "gen_ai_server_request_duration_seconds_count"
FIRST = "gen_ai_server_time_to_first_token_seconds_count"
EACH = "gen_ai_server_time_per_output_token_seconds"
USAGE = "gen_ai_client_token_usage"


@pytest.fixture
def fresh(tmp_path: Path, model: Model) -> Iterator[Guard]:
    with running.guard(tmp_path, model.upstream) as started:
        yield started


def ended(guard: Guard, error: str = "") -> float:
    return guard.metric(f'{DURATION}{{error_type="{error}",{CHAT}}}')


def test_a_whole_answer_is_counted_with_its_tokens(fresh: Guard) -> None:
    assert fresh.ask(chat("/count 30")).status == 200
    assert ended(fresh) == 1
    for of, tokens in (("input", 2), ("output", 30)):
        labels = f'{CHAT},gen_ai_token_type="{of}"'
        assert fresh.metric(f"{USAGE}_sum{{{labels}}}") == tokens
        assert fresh.metric(f"{USAGE}_count{{{labels}}}") == 1
    assert fresh.metric(FIRST) == 0, "when its first token came nobody can tell"


def test_a_stream_tells_when_its_first_token_came_and_how_fast_the_others(fresh: Guard) -> None:
    fresh.raw(request_bytes(json.dumps(chat("/count 5 /slow 20", stream=True)).encode()))
    assert (ended(fresh), fresh.metric(FIRST), fresh.metric(f"{EACH}_count")) == (1, 1, 1)
    assert 0.02 <= fresh.metric(f"{EACH}_sum") < fresh.metric("gen_ai_server_request_duration_seconds_sum")


def test_a_stream_of_one_token_has_no_time_between_tokens(fresh: Guard) -> None:
    fresh.raw(request_bytes(json.dumps(chat("/count 1", stream=True)).encode()))
    assert (fresh.metric(FIRST), fresh.metric(f"{EACH}_count")) == (1, 0)


def test_an_end_that_is_not_a_good_one_names_its_reason(fresh: Guard) -> None:
    assert fresh.ask(chat("/status 503")).status == 503
    assert (ended(fresh, "503"), ended(fresh)) == (1, 0)
    with fresh.connect() as sock:
        sock.sendall(request_bytes(json.dumps(chat("/count 1000 /slow 20", stream=True)).encode()))
        sock.recv(4096)
    eventually(lambda: ended(fresh, "ClientGone") == 1, "the caller's going is counted")
    assert fresh.metric(FIRST) == 0, "of an answer that went wrong no time is told"


def test_what_reaches_no_model_says_nothing_of_one(fresh: Guard) -> None:
    assert fresh.ask(path="/v1/models").status == 200
    assert fresh.ask(chat(), key="").status == 401
    assert fresh.ask(chat(nonsense=1)).status == 400
    assert fresh.metric(DURATION) == 0


def test_a_models_own_statuses_make_few_series(tmp_path: Path) -> None:
    answer = scripted.whole(b"{}", status=b"577 Nonsense")
    with scripted.scripted(tmp_path / "s", answer) as server, running.guard(tmp_path, server.upstream) as started:
        assert started.ask(chat()).status == 577
        assert ended(started, "_OTHER") == 1
    assert [error_type(status) for status in (200, 399, 400, 429, 599)] == ["", "", "400", "429", "_OTHER"]


@pytest.mark.parametrize("name", ["duration", "first_token", "each_token", "tokens"])
def test_buckets_and_names_are_the_conventions(name: str) -> None:
    """As of the conventions' page, read on 2026-11-26."""
    metric = getattr(Metrics().models, name)
    expected = {
        "duration": ("gen_ai_server_request_duration_seconds", 0.01, 81.92, 14),
        "first_token": ("gen_ai_server_time_to_first_token_seconds", 0.001, 10.0, 16),
        "each_token": ("gen_ai_server_time_per_output_token_seconds", 0.01, 2.5, 13),
        "tokens": ("gen_ai_client_token_usage", 1, 67108864, 14),
    }[name]
    bounds = metric._bounds
    assert (metric.name, bounds[0], bounds[-1], len(bounds)) == expected
