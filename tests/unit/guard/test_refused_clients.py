"""What curl and LangChain make of a refusal: a 401 is final, a 429 and a 503 are tried again when they say so."""

import contextlib
import json
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import openai
import pytest
from langchain_openai import ChatOpenAI
from pydantic import SecretStr
from tests.unit.guard import running
from tests.unit.guard.running import Guard, Model, chat, credential, document, eventually

from bartizan.policy.document import RequestWindow

WRONG = credential(epoch=2).reveal()
WINDOW_SECONDS = OUTAGE_SECONDS = 2
RARELY = document(requests=(RequestWindow(1, WINDOW_SECONDS),))
HTTP_ERROR = 22
"""curl's exit code for a status of 400 and above, where `--fail` or its like is given."""
PATIENT = 4
"""Attempts after the first: more than any of these tests needs."""
Asking = Callable[[Guard], str]
"""Asks once, with patience; gives the answer's text, whatever it took."""


@pytest.fixture
def limited(tmp_path: Path, model: Model) -> Iterator[Guard]:
    """A guard that lets one request through in two seconds."""
    with running.guard(tmp_path, model.upstream, given=RARELY) as started:
        yield started


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Guard]:
    """A guard whose model is not there; `running.model(guard.folder)` is."""
    with running.guard(tmp_path, f"unix:{tmp_path / 'model.sock'}") as started:
        yield started


def curl(guard: Guard, *flags: str, key: str = "") -> tuple[int, bytes, list[str]]:
    """Its exit code, the body that it kept, and the last answer's status and Retry-After."""
    kept = guard.folder / "kept"
    asked = ["curl", "-sS", "--fail-with-body", *flags, "-o", str(kept), "-w", "%{http_code} %header{retry-after}",
             f"{guard.base_url}/chat/completions", "-H", f"Authorization: Bearer {key or credential().reveal()}",
             "--json", json.dumps(chat("hello"))]  # fmt: skip
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    return done.returncode, kept.read_bytes(), done.stdout.split()


def patient_curl(guard: Guard) -> str:
    code, body, _ = curl(guard, "--retry", str(PATIENT))
    assert code == 0, body
    said: str = json.loads(body)["choices"][0]["message"]["content"]
    return said


@contextlib.contextmanager
def langchain(guard: Guard, key: str = "", max_retries: int = 0) -> Iterator[ChatOpenAI]:
    secret = SecretStr(key or credential().reveal())
    with openai.DefaultHttpxClient() as http:
        yield ChatOpenAI(
            model="demo", base_url=guard.base_url, api_key=secret, max_retries=max_retries, http_client=http
        )


def patient_langchain(guard: Guard) -> str:
    with langchain(guard, max_retries=PATIENT) as chat_model:
        return chat_model.invoke("hello").text


def streaming_langchain(guard: Guard) -> str:
    with langchain(guard, max_retries=PATIENT) as chat_model:
        return "".join(chunk.text for chunk in chat_model.stream("hello"))


CLIENTS: dict[str, Asking] = {
    "curl": patient_curl,
    "langchain": patient_langchain,
    "langchain, streaming": streaming_langchain,
}


def audited(guard: Guard, kind: str = "decision") -> list[str]:
    return [line["reason"] for line in guard.audit() if line["audit"] == kind]


def audited_to_the_end(guard: Guard, kind: str = "decision") -> list[str]:
    assert guard.end() == 0
    return audited(guard, kind)


def error_of(body: bytes) -> tuple[str, str]:
    error = json.loads(body)["error"]
    return error["type"], error["code"]


def test_curl_fails_at_once_without_a_good_key(limited: Guard) -> None:
    code, body, said = curl(limited, "--retry", str(PATIENT), key=WRONG)
    assert (code, said) == (HTTP_ERROR, ["401"])
    assert error_of(body) == ("invalid_request_error", "invalid_api_key")
    assert audited_to_the_end(limited) == ["KeyUnknown"], "a 401 is final"


def test_curl_is_told_when_to_come_back(limited: Guard) -> None:
    assert curl(limited)[0] == 0
    code, body, said = curl(limited)
    assert (code, said[0]) == (HTTP_ERROR, "429")
    assert 1 <= int(said[1]) <= WINDOW_SECONDS
    assert error_of(body) == ("requests", "rate_limit_exceeded")


def test_curl_is_told_of_an_outage(alone: Guard) -> None:
    code, body, said = curl(alone)
    assert (code, said) == (HTTP_ERROR, ["503", str(OUTAGE_SECONDS)])
    assert error_of(body) == ("server_error", "service_unavailable")


ASKED: dict[str, Callable[[ChatOpenAI, str], object]] = {
    "whole": ChatOpenAI.invoke,
    "streaming": lambda made, said: list(made.stream(said)),
}


@pytest.mark.parametrize("asked", ASKED.values(), ids=ASKED)
def test_langchain_takes_a_401_for_final(limited: Guard, asked: Callable[[ChatOpenAI, str], object]) -> None:
    with langchain(limited, WRONG, PATIENT) as made, pytest.raises(openai.AuthenticationError) as refused:
        asked(made, "hello")
    assert refused.value.code == "invalid_api_key"
    assert audited_to_the_end(limited) == ["KeyUnknown"]


@pytest.mark.parametrize("asked", ASKED.values(), ids=ASKED)
def test_langchain_sees_what_is_used_up(limited: Guard, asked: Callable[[ChatOpenAI, str], object]) -> None:
    with langchain(limited) as made:
        made.invoke("hello")
        with pytest.raises(openai.RateLimitError) as refused:
            asked(made, "hello")
    assert refused.value.code == "rate_limit_exceeded"
    assert 1 <= int(refused.value.response.headers["Retry-After"]) <= WINDOW_SECONDS


@pytest.mark.parametrize("asked", ASKED.values(), ids=ASKED)
def test_langchain_sees_an_outage(alone: Guard, asked: Callable[[ChatOpenAI, str], object]) -> None:
    with langchain(alone) as made, pytest.raises(openai.InternalServerError) as refused:
        asked(made, "hello")
    assert (refused.value.status_code, refused.value.code) == (503, "service_unavailable")
    assert refused.value.response.headers["Retry-After"] == str(OUTAGE_SECONDS)


@pytest.mark.parametrize("ask", CLIENTS.values(), ids=CLIENTS)
def test_who_is_over_a_limit_waits_as_told_and_is_answered(limited: Guard, ask: Asking) -> None:
    began = time.monotonic()
    assert [ask(limited), ask(limited)] == ["hello", "hello"]
    assert time.monotonic() - began >= WINDOW_SECONDS - 0.1
    assert audited_to_the_end(limited) == ["Allowed", "RateLimited", "Allowed"], (
        "one attempt was too early, and no other"
    )


@pytest.mark.parametrize("ask", CLIENTS.values(), ids=CLIENTS)
def test_who_meets_an_outage_waits_as_told_and_is_answered_after_it(alone: Guard, ask: Asking) -> None:
    with ThreadPoolExecutor(1) as pool:
        began = time.monotonic()
        asking = pool.submit(ask, alone)
        eventually(lambda: "UpstreamUnavailable" in audited(alone, "outcome"), "the first attempt was refused")
        with running.model(alone.folder):
            assert asking.result(running.DEADLINE_SECONDS) == "hello"
            assert time.monotonic() - began >= OUTAGE_SECONDS - 0.1
            assert audited_to_the_end(alone, "outcome") == ["UpstreamUnavailable", "Completed"], "no attempt in between"
