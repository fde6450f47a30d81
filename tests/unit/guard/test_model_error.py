"""What goes on of a model's errors: one text about the request, through the seam, in the protocol's form."""

import json
from collections.abc import Callable

import pytest
from tests.unit.guard.inspectors import Blot

from bartizan.guard import model_error
from bartizan.guard.inspection import LetPass
from bartizan.guard.model_error import MAX_MESSAGE, ModelError
from bartizan.guard.profiles import anthropic, kserve, openai

FORMS = {
    "OpenAI's": {"error": {"message": "too long", "type": "invalid_request_error", "code": 400, "n_ctx": 4096}},
    "Anthropic's": {"type": "error", "error": {"type": "invalid_request_error", "message": "too long"}},
    "KServe's": {"error": "too long"},
    "vLLM's old one": {"object": "error", "message": "too long", "type": "invalid_request_error"},
    "FastAPI's": {"detail": "too long"},
    "FastAPI's list": {"detail": [{"loc": ["body", "x"], "msg": "too long", "input": "secret"}]},
}


def read(body: object, status: int = 400) -> ModelError:
    return model_error.read(status, json.dumps(body).encode(), LetPass())


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_the_message_is_found_in_every_form_that_servers_use(form: object) -> None:
    assert read(form).message == "too long"


@pytest.mark.parametrize(
    "body",
    [b"", b"oops", b"[]", b"{}", b'{"error":7}', b'{"error":{"message":{}}}', b'{"detail":[7,{"msg":7}]}', b"\xff"],
)
def test_what_says_nothing_has_words_of_ours(body: bytes) -> None:
    assert model_error.read(400, body, LetPass()) == ModelError(400, "The model refuses this request.")


@pytest.mark.parametrize("status", [500, 502, 503, 529])
def test_what_went_wrong_within_the_server_stays_there(status: int) -> None:
    told = read({"error": {"message": "KeyError at /srv/weights/secret.gguf", "code": "rate_limit_exceeded"}}, status)
    assert told == ModelError(status, "The model could not answer this request; try again shortly.")


def test_the_message_goes_through_the_seam_and_has_a_bound() -> None:
    body = json.dumps({"error": {"message": "a secret " * 1000}}).encode()
    told = model_error.read(422, body, Blot("secret"))
    assert "secret" not in told.message
    assert len(told.message) <= MAX_MESSAGE


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ({"code": "context_length_exceeded"}, "context_length_exceeded"),
        ({"code": 400, "type": "exceed_context_size_error"}, "context_length_exceeded"),
        ({"code": "a word of its own", "type": ["invalid_value"]}, None),
    ],
)
def test_codes_that_clients_know_go_on_and_no_others(said: dict[str, object], code: str | None) -> None:
    assert read({"error": {"message": "no", **said}}).code == code


def test_half_a_character_that_a_server_has_cut_is_told_too() -> None:
    body = b'{"error":{"message":"cut \\ud83d"}}'
    for tell in (openai.model_error, anthropic.model_error, kserve.model_error):
        assert b"cut \\ud83d" in tell(model_error.read(400, body, LetPass()), "req_1")


@pytest.mark.parametrize(
    ("tell", "expected"),
    [
        (
            openai.model_error,
            {"error": {"message": "no", "type": "invalid_request_error", "param": None, "code": "invalid_value"}},
        ),
        (
            anthropic.model_error,
            {"type": "error", "error": {"type": "invalid_request_error", "message": "no"}, "request_id": "req_1"},
        ),
        (kserve.model_error, {"error": "no"}),
    ],
)
def test_each_protocol_tells_it_as_it_tells_a_refusal(
    tell: Callable[[ModelError, str], bytes], expected: dict[str, object]
) -> None:
    assert json.loads(tell(ModelError(422, "no", "invalid_value"), "req_1")) == expected
