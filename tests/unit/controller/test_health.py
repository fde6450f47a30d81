"""Liveness judges work, readiness what is still waited for; both over real HTTP."""

import asyncio
import dataclasses
import random
import re

import aiohttp
import pytest
from tests.unit.controller.log_capture import capture

from bartizan.controller import health
from bartizan.controller.health import Doctor, Facts, Signs
from bartizan.controller.settings import Settings
from bartizan.controller.work_queue import Key, WorkQueue

WELL = Facts(
    loop_lag_seconds=0.0,
    watch_silence_seconds=1.0,
    resync_silence_seconds=100.0,
    resync_seconds=600.0,
    oldest_seconds=0.0,
    stall_seconds=5000.0,
)


ROUTES = [("health", "livez"), ("health", "readyz"), ("health", "metrics"), ("metrics", "metrics")]


def test_a_working_operator_has_no_ailments() -> None:
    assert health.ailments(WELL) == ()


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"loop_lag_seconds": 11.0}, "event loop lags 11 s"),
        ({"watch_silence_seconds": 31.0}, "watches silent for 31 s"),
        ({"resync_silence_seconds": 1921.0}, "no resync ended for 1921 s"),
        ({"oldest_seconds": 301.0}, "oldest key waits 301 s, workers stall"),
    ],
)
def test_each_ailment_shows(change: dict[str, float], text: str) -> None:
    assert health.ailments(dataclasses.replace(WELL, **change)) == (text,)


def test_a_long_queue_that_moves_is_no_ailment() -> None:
    assert health.ailments(dataclasses.replace(WELL, oldest_seconds=900.0, stall_seconds=2.0)) == ()


def test_failed_resyncs_are_no_reason_to_restart_but_age_the_last_good_one() -> None:
    now = [0.0]
    signs = Signs(lambda: now[0], 600.0)
    signs.resync_ended(is_whole=True, has_failed=False)
    now[0] = 5000.0
    signs.resync_ended(is_whole=False, has_failed=True)
    assert (signs.resync_silence_seconds, signs.resync_age_seconds) == (0.0, 5000.0)


def test_ready_means_nothing_is_waited_for() -> None:
    signs = Signs(lambda: 0.0, 600.0)
    assert health.impediments(signs) == ("waits for start", "waits for first resync")
    signs.waits_for = ""
    signs.resync_ended(is_whole=True, has_failed=False)
    assert health.impediments(signs) == ()
    signs.is_stopping = True
    assert health.impediments(signs) == ("stopping",)


def test_the_ports_answer_and_keep_their_purposes_apart() -> None:
    settings = Settings(guard_image="x", health_port=0, metrics_port=0)

    async def scenario() -> dict[str, tuple[int, str]]:
        loop = asyncio.get_running_loop()
        queue = WorkQueue(loop.time, random.Random(1))
        queue.enqueue(Key("ml", "llama"))
        signs = Signs(loop.time, 600.0)
        async with health.serve(Doctor(signs, queue), settings), aiohttp.ClientSession() as session:
            ports = dict(re.findall(r"purpose=(\w+) port=(\d+)", lines.getvalue()))
            answers: dict[str, tuple[int, str]] = {}
            for purpose, path in [
                ("health", "livez"),
                ("health", "readyz"),
                ("health", "metrics"),
                ("metrics", "metrics"),
            ]:
                async with session.get(f"http://127.0.0.1:{ports[purpose]}/{path}") as answer:
                    answers[f"{purpose}/{path}"] = (answer.status, await answer.text())
            return answers

    with capture("text") as lines:
        answers = asyncio.run(scenario())
    assert answers["health/livez"] == (200, "ok\n")
    assert answers["health/readyz"] == (503, "waits for start\nwaits for first resync\n")
    assert answers["health/metrics"][0] == 404
    assert 'bartizan_operator_queue_depth{priority="event"} 1.0' in answers["metrics/metrics"][1]


def test_the_beat_measures_a_blocked_event_loop() -> None:
    now = [0.0]

    def clock() -> float:
        now[0] += 12.0  # each look at the clock, as if the loop had been blocked since the last one
        return now[0]

    async def scenario() -> float:
        signs = Signs(clock, 600.0)
        echoed = asyncio.Event()
        beating = asyncio.create_task(health.beat(signs, echoed.set))
        async with asyncio.timeout(10):
            await echoed.wait()
        beating.cancel()
        return signs.loop_lag_seconds

    assert asyncio.run(scenario()) == 11.0
