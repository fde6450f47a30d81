"""Log lines: one form, fields, and nothing that looks like a key."""

import base64
import json
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.controller.log_capture import capture

from bartizan.controller import log

KEY = "btzn_Zm9vYmFyYmF6cXV4.c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldC14"


def test_a_json_line_has_message_and_fields() -> None:
    with capture("json") as stream:
        log.logger("test").warning("reconcile failed", endpoint="ml/llama", retry_in_seconds=0.5)
    line = json.loads(stream.getvalue())
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "warning",
        "logger": "test",
        "message": "reconcile failed",
        "endpoint": "ml/llama",
        "retry_in_seconds": 0.5,
    }


def test_a_field_cannot_pass_itself_off_as_level_or_time() -> None:
    with capture("json") as stream:
        log.logger("test").info("seen", level="error", logger="other", time="never")
    line = json.loads(stream.getvalue())
    assert (line["level"], line["logger"]) == ("info", "test")


@pytest.mark.parametrize("form", ["json", "text"])
def test_no_value_breaks_a_line(form: str) -> None:
    with capture(form) as stream:
        log.logger("test").info("seen", text='a\nb "c" = d')
    assert stream.getvalue().count("\n") == 1


@pytest.mark.parametrize("form", ["json", "text"])
def test_keys_and_tokens_are_hidden_wherever_they_stand(form: str) -> None:
    encoded = base64.b64encode(KEY.encode()).decode()
    token = "eyJhbGciOiJSUzI1NiIsImtpZCI6IngifQ.eyJzdWIiOiJzeXN0ZW0ifQ.c2lnbmF0dXJl"
    with capture(form) as stream:
        line = log.logger("test")
        error = ValueError(f"bad {KEY} and {encoded}")
        line.error(f"message {KEY}", exception=error, field={"nested": [KEY, token]}, secret=encoded)
        logging.getLogger("kopf").warning("foreign %s", KEY)
    shown = stream.getvalue()
    for secret in (KEY, encoded, token, KEY.partition(".")[2]):
        assert secret not in shown
    assert shown.count(log.REDACTED) >= 5


@given(st.text(alphabet="ABCDEFabcdef0123456789-_", min_size=16, max_size=16), st.binary(min_size=32, max_size=32))
def test_no_key_passes_in_any_place(key_id: str, secret: bytes) -> None:
    key = f"btzn_{key_id}.{base64.urlsafe_b64encode(secret).decode().rstrip('=')}"
    for text in (key, f"x={key},", json.dumps({"a": key}), base64.b64encode(key.encode()).decode()):
        hidden = log.redact(text)
        assert key_id not in hidden
        assert key.partition(".")[2] not in hidden
        assert base64.b64encode(key.encode()).decode() not in hidden


def test_debug_lines_stay_out_at_info() -> None:
    with capture("text") as stream:
        log.logger("test").debug("detail")
    assert stream.getvalue() == ""
