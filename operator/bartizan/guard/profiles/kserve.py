"""KServe's v2 protocol (Open Inference Protocol, REST) as the guard speaks it: one model, whole answers, JSON only."""

import json
from collections.abc import Iterator
from typing import Any

import orjson

from bartizan.guard.costs import Account
from bartizan.guard.inspection import Inspector, Place
from bartizan.guard.model_error import ModelError
from bartizan.guard.profiles import answer_json
from bartizan.guard.profiles import kserve_schema as schema
from bartizan.guard.profiles.contract import Profile, Reading, Route, Terms
from bartizan.guard.profiles.schema import Record
from bartizan.guard.refusal import Refusal
from bartizan.guard.request import Head
from bartizan.guard.tally import AnswerError, Tally
from bartizan.policy.reasons import Reason

MAX_DEPTH = 8
"""Lists within one another in an output's data: its dimensions."""

_ACCOUNT = Account("inputs", says_no_output=True)
_NAMES = frozenset({"name", "datatype", "shape", "parameters", "data"})
"""The protocol's own names in an output; the seam sees every other one."""
_WORDS = {"datatype": schema.DATATYPES.keys()}
_FIELDS = frozenset({"model_name", "model_version", "id", "parameters", "outputs"})
"""What of an answer passes."""
_ALL = -1
"""Stands for the index of texts that belong to no output."""


def judge_head(head: Head) -> None:
    """Raises Refusal where tensors would follow the JSON in binary."""
    if head.values(b"inference-header-content-length"):
        message = "Send tensors as JSON (binary_data=False), without Inference-Header-Content-Length."
        raise Refusal(Reason.REQUEST_MALFORMED, message)


def refusal_body(refusal: Refusal, _request_id: str) -> bytes:
    """The protocol's error object, which is a text."""
    return b'{"error": %b}' % orjson.dumps(refusal.message)


def model_error(error: ModelError, _request_id: str) -> bytes:
    """As a refusal's."""
    return answer_json.encode({"error": error.message})


def read_whole(body: bytes, inspector: Inspector, tally: Tally) -> bytes:
    """An inference's answer, as it goes to the caller; raises AnswerError, and Refusal.

    No server counts tokens here, so each byte of the answer's text counts as one: the most that it can be.
    """
    answer = answer_json.load(body)
    outputs = answer.get("outputs")
    if not isinstance(outputs, list):
        raise AnswerError("an answer without outputs")
    has_changed = answer_json.trim(answer, _FIELDS)
    for index, output in enumerate(outputs):
        if not isinstance(output, dict):
            raise AnswerError("an output that is none")
        has_changed |= answer_json.see(inspector, output, index, (), answer_json.quiet(output, _WORDS) | {"data"})
        data = output.get("data")
        if not _is_numeric(data, MAX_DEPTH):
            tally.floor += sum(len(text.encode("utf-8", "surrogatepass")) for text in _texts(data))
            has_changed |= answer_json.see(inspector, output, index, (), output.keys() - {"data"})
        has_changed |= answer_json.see_names(inspector, output, Place(index, ()), _NAMES)
    has_changed |= answer_json.see(inspector, answer, _ALL, (), ("outputs",))
    return answer_json.encode(answer) if has_changed else body


def no_usage(_tail: bytes) -> None:
    """No server counts."""


def refused_whole(body: bytes) -> bytes:
    """There are no streams that could tell of an error."""
    return body


def _is_numeric(data: Any, depth: int) -> bool:  # noqa: ANN401 - whatever JSON the server sent
    """Whether there is no text in a tensor's data; asked first, since tensors of numbers are long."""
    if not isinstance(data, list):
        return False
    kinds = {*map(type, data)}
    if kinds == {list}:
        return depth > 0 and all(_is_numeric(row, depth - 1) for row in data)
    return kinds <= {int, float, bool}


def _texts(data: Any, depth: int = answer_json.MAX_DEPTH) -> Iterator[str]:  # noqa: ANN401 - whatever was sent
    if isinstance(data, str):
        yield data
    elif isinstance(data, list | dict):
        if not depth:
            raise AnswerError("an output that is nested too deep")
        for item in data.values() if isinstance(data, dict) else data:
            yield from _texts(item, depth - 1)


def _told(**said: object) -> bytes:
    return json.dumps(said).encode()


def _metadata(model: str) -> bytes:
    """What is declared, and nothing that the server would say of itself."""
    return _told(name=model, versions=[], platform="", inputs=[], outputs=[])


_READING = Reading(None, read_whole, no_usage, refused_whole, model_error)


def build(terms: Terms) -> Profile:
    """Paths name the model, so that another one has none. A version of the model in the path would be another one."""
    model = f"/v2/models/{terms.model}".encode()
    schema_of_infer = schema.infer(terms.open(Record(schema.PARAMETERS)))
    infer = Route(
        "infer",
        b"POST",
        model + b"/infer",
        schema_of_infer,
        _ACCOUNT,
        _READING,
        answers_text=True,
        is_of_model=True,
        operation="infer",
    )
    routes = (
        infer,
        Route("model_metadata", b"GET", model, answer=_metadata),
        Route(
            "model_ready", b"GET", model + b"/ready", answer=lambda name: _told(name=name, ready=True), asks_model=True
        ),
        Route("server_live", b"GET", b"/v2/health/live", answer=lambda _: _told(live=True)),
        Route(
            "server_ready", b"GET", b"/v2/health/ready", answer=lambda _: _told(live=True, ready=True), asks_model=True
        ),
    )
    return Profile("KServeV2", "kserve", {route.path: route for route in routes}, refusal_body, judge_head=judge_head)
