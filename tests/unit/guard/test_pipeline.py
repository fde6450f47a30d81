"""The one place that fails closed: whatever breaks inside, the caller is refused and the slot comes back."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.unit.guard.running import CHAT
from tests.unit.guard.stand import BODY, Stand

from bartizan.guard.refusal import Refusal
from bartizan.policy.reasons import Reason


@pytest.fixture
def stand(tmp_path: Path) -> Stand:
    return Stand(tmp_path)


class Broken:
    """Breaks whatever is asked of it."""

    def __call__(self) -> "Broken":
        return self

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError("a secret prompt")


def test_an_unbroken_request_passes(stand: Stand) -> None:
    assert stand.ask()[0] == 200
    assert [entry["reason"] for entry in stand.tape.entries] == ["Allowed", "Completed"]


@pytest.mark.parametrize("part", ["documents", "rates", "slots", "budgets", "inspector", "upstream"])
def test_a_fault_in_any_part_is_a_refusal(stand: Stand, part: str, capfd: pytest.CaptureFixture[str]) -> None:
    status, error = stand.ask(BODY, CHAT, **{part: Broken()})
    assert (status, error["code"]) == (500, "internal_error")
    assert stand.tape.entries[-1]["reason"] == "InternalFault"
    assert stand.gate.slots.taken == 0
    assert stand.model.bodies == []
    assert "secret" not in capfd.readouterr().err + json.dumps(error)


@pytest.mark.parametrize("fault", [RuntimeError, MemoryError, RecursionError, KeyError, OSError, AssertionError])
def test_any_kind_of_fault_is_a_refusal(stand: Stand, fault: type[Exception]) -> None:
    stand.model.breaks = fault
    assert stand.ask()[0] == 500
    assert [entry["reason"] for entry in stand.tape.entries] == ["Allowed", "InternalFault"]
    assert stand.gate.slots.taken == 0


def test_a_fault_within_an_answer_cuts_it(stand: Stand) -> None:
    stand.model.breaks, stand.model.breaks_late = RuntimeError, True
    assert stand.ask()[0] == 200
    assert stand.wire.is_cut
    assert b'data: {"error": {"message": "The request could not be handled.' in stand.wire.written
    assert stand.tape.entries[-1]["reason"] == "InternalFault"


def test_t61_a_decision_that_cannot_be_written_is_none(stand: Stand) -> None:
    stand.tape.fails_on = "decision"
    status, error = stand.ask()
    assert (status, error["code"], stand.model.bodies) == (503, "service_unavailable", [])
    assert stand.gate.audit.lost == 2, "neither the decision nor the refusal could be written"


def test_an_outcome_that_cannot_be_written_changes_no_answer(stand: Stand) -> None:
    stand.tape.fails_on = "outcome"
    assert stand.ask()[0] == 200
    assert stand.gate.audit.lost == 1


def test_a_refusal_of_the_model_keeps_its_reason(stand: Stand) -> None:
    stand.model.breaks = Refusal(Reason.UPSTREAM_TIMEOUT, "late")
    assert stand.ask()[0] == 504
    assert stand.tape.entries[-1]["reason"] == "UpstreamTimeout"


def test_what_is_sent_is_what_was_judged(stand: Stand) -> None:
    body = (
        b' { "messages" : [ {"content":"\\u0068i \\ud83d\\ude00", "role":"user"} ], "model" : "demo", "stream":true } '
    )
    assert stand.ask(body)[0] == 200
    told = '"stream":true,"max_tokens":1000000,"stream_options":{"include_usage":true}}'
    said = '{"messages":[{"content":"hi 😀","role":"user"}],"model":"demo",'
    assert stand.model.bodies == [(said + told).encode()]
