"""Raw bytes against a running guard: documented answers only, and the model sees nothing but what was allowed."""

import hashlib
import secrets
from pathlib import Path

import pytest
import uvloop
from tests.fuzz.wire import run, seeds
from tests.fuzz.wire.audit_tail import AuditTail
from tests.fuzz.wire.counting_model import CountingModel
from tests.fuzz.wire.fuzzer import FLAGS, STAYS, Wire
from tests.unit.guard import running
from tests.unit.guard.running import chat, forwarded

CASES = 1500


@pytest.mark.parametrize("seed", [20260, None], ids=["fixed", "another"])
def test_no_bytes_get_past_the_decision(tmp_path: Path, seed: int | None) -> None:
    statuses = run.fuzz(tmp_path, seed or secrets.randbits(32), CASES)
    assert statuses[200]
    assert statuses[400]


def _sent(text: str) -> str:
    """The hash of the body as the model gets it."""
    return hashlib.sha256(forwarded(chat(text)).encode()).hexdigest()


async def _each_shape(folder: Path, guard: running.Guard) -> Wire:
    model = CountingModel()
    async with await model.open(folder / "model.sock"):
        wire = Wire(guard, model, AuditTail(folder / "audit"))
        await wire.run([bytes([STAYS, 0]) + shape for shape in seeds.SHAPES])
        for writer in list(model.writers):
            writer.close()
    return wire


def test_what_is_smuggled_behind_a_request_reaches_nobody(tmp_path: Path) -> None:
    """Every shape of smuggling carries a second request; no shape brings it to the model."""
    with running.guard(tmp_path, f"unix:{tmp_path / 'model.sock'}", *FLAGS) as guard:
        wire = uvloop.run(_each_shape(tmp_path, guard))
    assert wire.tail.decisions >= len(seeds.SHAPES)
    assert wire.model.bodies.total() == wire.model.bodies[_sent("fuzz")]
