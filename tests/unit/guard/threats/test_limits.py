"""Ways to more than one's share: many guards, many keys, bursts, verdicts meant for others; over real sockets."""

import contextlib
import json
from pathlib import Path

from tests.unit.guard.running import (
    Model,
    chat,
    client_key,
    credential,
    document,
    eventually,
    guard,
    request_bytes,
)
from tests.unit.guard.threats.raw import status

from bartizan.policy.document import RequestWindow, TokenWindow
from bartizan.policy.limits import Scope

ALIVE = b"Connection: keep-alive"


def test_t57_two_guards_let_through_what_one_would_and_it_reaches_the_model(tmp_path: Path, model: Model) -> None:
    given = document(replicas=2, requests=(RequestWindow(10, 3600),))
    with contextlib.ExitStack() as held:
        served = []
        for name in ("one", "other"):
            (tmp_path / name).mkdir()
            replica = held.enter_context(guard(tmp_path / name, model.upstream, given=given))
            served += [replica.ask(chat()).status for _ in range(10)]
    assert sorted(served) == [200] * 10 + [429] * 10


def test_t58_all_keys_of_a_client_draw_on_one_allowance_and_reaches_no_further(tmp_path: Path, model: Model) -> None:
    keys = (client_key(), client_key(epoch=2), client_key("batch"))
    given = document(keys=keys, requests=(RequestWindow(4, 3600),))
    with guard(tmp_path, model.upstream, given=given) as limited:
        old, new = (credential(epoch=epoch).reveal() for epoch in (1, 2))
        assert [limited.ask(chat(), key=key).status for key in (old, new, old, new)] == [200] * 4
        assert [limited.ask(chat(), key=key).status for key in (old, new)] == [429, 429]
        assert limited.ask(chat(), key=credential("batch").reveal()).status == 200


def test_t58_tokens_are_the_clients_too_whatever_key_reaches_for_them(tmp_path: Path, model: Model) -> None:
    given = document(
        keys=(client_key(), client_key(epoch=2)), tokens=(TokenWindow("Output", 100, 3600),), max_output_tokens=60
    )
    with guard(tmp_path, model.upstream, given=given) as limited:
        first = limited.ask(chat("/count 60"), key=credential().reveal())
        assert first.json()["usage"]["completion_tokens"] == 60
        limited.audited(first.headers["X-Request-Id"])
        second = limited.ask(chat("/count 60"), key=credential(epoch=2).reveal())
        assert (second.status, second.headers["Retry-After"] > "0") == (429, True)


def test_t58_a_burst_at_a_windows_edge_reaches_no_more_than_the_allowance(tmp_path: Path, model: Model) -> None:
    """A counter that starts anew each second would let through two allowances within a moment."""
    with guard(tmp_path, model.upstream, given=document(requests=(RequestWindow(5, 2),))) as limited:
        assert [limited.ask(chat()).status for _ in range(5)] == [200] * 5
        first = eventually(lambda: limited.ask(chat()).status == 200, "one more is let through")
        assert first
        assert 429 in [limited.ask(chat()).status for _ in range(4)]


def test_t60_nobody_is_of_another_tier_whatever_it_reaches_for(tmp_path: Path, model: Model) -> None:
    """Which tier is whose stands in the signed document alone: no header, field or word of a request moves anybody."""
    windows = (RequestWindow(2, 3600), RequestWindow(1000, 3600, Scope.CLIENT, "verified"))
    with guard(tmp_path, model.upstream, given=document(requests=windows, tiers={"batch": "verified"})) as limited:
        claimed = {"X-Bartizan-Tier": "verified", "X-Tier": "verified", "X-Bartizan-Client": "batch", "From": "batch"}
        body = chat(user="batch", metadata={"tier": "verified"})
        answers = [limited.ask(body, **claimed) for _ in range(3)]
        assert [answer.status for answer in answers] == [200, 200, 429]
        assert {answer.headers["x-ratelimit-limit-requests"] for answer in answers} == {"2"}
        decision, *_ = limited.audited(answers[0].headers["X-Request-Id"])
        assert (decision["client"], decision.get("tier")) == ("chat-ui", None)
        batch = credential("batch").reveal()
        assert limited.ask(chat(tier="verified"), key=batch).status == 400, "the protocol knows no such field"
        assert [limited.ask(body, key=batch).status for _ in range(4)] == [200] * 4


def test_t51_no_verdict_is_kept_for_the_next_that_reaches_the_same_connection(model: Model, tmp_path: Path) -> None:
    body, right = json.dumps(chat("same again")).encode(), credential().reveal().encode()
    before = len(model.received())
    with guard(tmp_path, model.upstream) as judged, judged.connect() as sock:
        found = []
        for key in (right, b"btzn_wrong.key", right, right, b"", right):
            data = request_bytes(body, ALIVE).replace(right, key)
            sock.sendall(data)
            answer = sock.recv(65536)
            found.append(status(answer))
            if b"Connection: close" in answer:
                break
        assert found == [200, 401, 200, 200, 401, 200]
        allowed = [line for line in judged.audit() if line.get("reason") == "Allowed"]
        assert len(allowed) == len(model.received()) - before == 4
        assert len({line["request"] for line in allowed}) == 4


def test_t51_the_same_body_that_another_client_reaches_out_with_is_judged_anew(tmp_path: Path, model: Model) -> None:
    given = document(requests=(RequestWindow(1, 3600),))
    with guard(tmp_path, model.upstream, given=given) as judged:
        keys = [credential(client).reveal() for client in ("chat-ui", "batch", "chat-ui", "batch", "stranger")]
        assert [judged.ask(chat("reaches"), key=key).status for key in keys] == [200, 200, 429, 429, 401]
