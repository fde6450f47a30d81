"""KServe's v2 protocol: tensors that are what they say, texts that the seam sees, and nothing that is not JSON."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.guard import running, scripted
from tests.unit.guard.inspectors import Blot, HoldBack
from tests.unit.guard.running import Answer, Guard, Model, credential, document, request_bytes

from bartizan.guard.inspection import LetPass, Place
from bartizan.guard.profiles import kserve
from bartizan.guard.profiles import kserve_schema as ours
from bartizan.guard.refusal import Refusal
from bartizan.guard.tally import AnswerError, Tally
from bartizan.policy.document import TokenWindow
from bartizan.policy.reasons import Reason

MODEL = "/v2/models/demo"
INFER = f"{MODEL}/infer"


@pytest.fixture(scope="module")
def guard(tmp_path_factory: pytest.TempPathFactory, model: Model) -> Iterator[Guard]:
    given_document = document(protocol="KServeV2", max_output_tokens=1000)
    with running.guard(tmp_path_factory.mktemp("kserve"), model.upstream, given=given_document) as started:
        yield started


def tensor(datatype: str = "BYTES", data: Any = ("hello there",), shape: Any = None, **more: Any) -> dict[str, Any]:
    elements = list(data)
    return {"name": "text", "shape": [len(elements)] if shape is None else shape, "datatype": datatype,
            "data": elements, **more}  # fmt: skip


def ask(guard: Guard, *tensors: dict[str, Any], **more: Any) -> Answer:
    return guard.ask({"inputs": tensors or [tensor()], **more}, path=INFER)


def test_texts_and_numbers_are_answered(guard: Guard, model: Model) -> None:
    answer = ask(guard, tensor(), tensor("FP32", [1, 2.5], [1, 2], name="n"), id="42").json()
    assert (answer["id"], answer["model_name"]) == ("42", "demo")
    assert [output["data"] for output in answer["outputs"]] == [["hello there"], [3.5]]
    sent = {"inputs": [tensor(), tensor("FP32", [1, 2.5], [1, 2], name="n")], "id": "42"}
    assert model.received()[-1]["body"] == json.dumps(sent, separators=(",", ":"))


def test_curl_is_answered(guard: Guard) -> None:
    key = f"Authorization: Bearer {credential().reveal()}"
    url = f"http://127.0.0.1:{guard.port}{INFER}"
    asked = ["curl", "-sS", url, "-H", key, "--json", json.dumps({"inputs": [tensor()]})]
    said = subprocess.run(asked, capture_output=True, check=True).stdout
    assert json.loads(said)["outputs"][0]["data"] == ["hello there"]


def test_what_is_asked_of_the_server_is_answered_by_the_guard(guard: Guard, model: Model) -> None:
    before = len(model.received())
    assert guard.ask(path="/v2/health/live").json() == {"live": True}
    assert guard.ask(path="/v2/health/ready").json() == {"live": True, "ready": True}
    assert guard.ask(path=f"{MODEL}/ready").json() == {"name": "demo", "ready": True}
    assert guard.ask(path=MODEL).json()["name"] == "demo"
    assert guard.ask(path="/v2/health/live", key="").status == 401
    assert len(model.received()) == before


def test_a_model_that_cannot_be_reached_is_not_ready(tmp_path: Path) -> None:
    absent = f"unix:{tmp_path / 'absent.sock'}"
    with running.guard(tmp_path, absent, given=document(protocol="KServeV2")) as guard:
        for path in ("/v2/health/ready", f"{MODEL}/ready"):
            refused = guard.ask(path=path)
            assert (refused.status, refused.headers["Retry-After"]) == (503, "2")
        assert guard.ask(path="/v2/health/live").status == 200


@pytest.mark.parametrize(
    "path",
    [f"{MODEL}/versions/1/infer", f"{MODEL}/versions/1", "/v2/models/other/infer", "/v2/models/other", "/v2", "/v2/",
     f"{MODEL}/generate", f"{MODEL}/generate_stream", "/v2/repository/index", "/v2/models/demo%2Finfer", "/v2/models",
     "/v2/models/../models/demo/infer", f"{INFER}?x=1", f"{MODEL}/config", f"{MODEL}/stats",
     "/v2/repository/models/x/load",
     "/v2/systemsharedmemory/status", "/v2/cudasharedmemory/region/x/register", "/v2/logging", "/v2/trace/setting"],
)  # fmt: skip
def test_other_paths_are_not_there(guard: Guard, path: str) -> None:
    assert guard.ask({"inputs": [tensor()]}, path=path).status == 404
    assert guard.ask(path=path).status == 404


def test_errors_are_the_protocols(guard: Guard) -> None:
    refused = ask(guard, tensor(secret=1))
    assert (refused.status, refused.json()) == (
        400,
        {"error": "inputs[0].secret: this field is not known here; leave it out"},
    )
    assert ask(guard, tensor(data=["/status 422"])).json() == {"error": "the prompt asked for this"}
    assert guard.ask({"inputs": [tensor()]}, path=INFER, key="wrong").json().keys() == {"error"}


def test_tensors_in_binary_are_refused(guard: Guard) -> None:
    data = json.dumps({"inputs": [tensor()]}).encode()
    raw = guard.raw(request_bytes(data, b"Inference-Header-Content-Length: 10", path=INFER.encode()))
    assert raw.startswith(b"HTTP/1.1 400")
    assert b"binary_data=False" in raw
    octets = guard.raw(request_bytes(data, b"Content-Type: application/octet-stream", path=INFER.encode()))
    assert octets.startswith(b"HTTP/1.1 415")


def test_the_answers_text_is_charged_by_its_bytes(tmp_path: Path, model: Model) -> None:
    given_document = document(
        protocol="KServeV2", max_output_tokens=1000, tokens=(TokenWindow("Total", 10_000, 86400),)
    )
    with running.guard(tmp_path, model.upstream, given=given_document) as guard:
        answer = ask(guard, tensor(data=["grüße"]))
        sent = len(model.received()[-1]["body"].encode())
        (decision, outcome) = guard.audited(answer.headers["X-Request-Id"])
        assert decision["heldTokens"] == sent + 8 + 1000, "the model cannot be told how much it may say"
        assert (outcome["inputTokens"], outcome["outputTokens"]) == (sent + 8, len("grüße".encode()))
        numbers = ask(guard, tensor("INT64", [1, 2]))
        assert guard.audited(numbers.headers["X-Request-Id"])[-1]["outputTokens"] == 0


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "a tensor in shared memory": ({"inputs": [tensor(parameters={"shared_memory_region": "r"})]},
                                  "inputs[0].parameters.shared_memory_region"),
    "binary data": ({"inputs": [tensor(parameters={"binary_data_size": 8})]}, "inputs[0].parameters.binary_data_size"),
    "an answer in binary": ({"inputs": [tensor()], "parameters": {"binary_data_output": True}},
                            "parameters.binary_data_output"),
    "an output in binary": ({"inputs": [tensor()], "outputs": [{"name": "x", "parameters": {"binary_data": True}}]},
                            "outputs[0].parameters.binary_data"),
    "a sequence": ({"inputs": [tensor()], "parameters": {"sequence_id": 1}}, "parameters.sequence_id"),
    "a priority": ({"inputs": [tensor()], "parameters": {"priority": 1}}, "parameters.priority"),
    "text in base64": ({"inputs": [tensor(parameters={"content_type": "base64"})]},
                       "inputs[0].parameters.content_type"),
    "no inputs": ({"inputs": []}, "inputs"),
    "a model": ({"inputs": [tensor()], "model": "demo"}, "model"),
    "a stream": ({"inputs": [tensor()], "stream": True}, "stream"),
    "no data": ({"inputs": [{"name": "x", "shape": [1], "datatype": "BYTES"}]}, "inputs[0].data"),
    "text among numbers": ({"inputs": [tensor("FP32", [1, "2"])]}, "inputs[0].data"),
    "numbers among text": ({"inputs": [tensor("BYTES", ["a", 1])]}, "inputs[0].data"),
    "a list among text": ({"inputs": [tensor("BYTES", ["a", ["b"]])]}, "inputs[0].data"),
    "an object as text": ({"inputs": [tensor("BYTES", [{"a": "b"}])]}, "inputs[0].data"),
    "true as a number": ({"inputs": [tensor("INT32", [True])]}, "inputs[0].data"),
    "too large a number": ({"inputs": [tensor("UINT8", [256])]}, "inputs[0].data"),
    "too small a number": ({"inputs": [tensor("UINT8", [-1])]}, "inputs[0].data"),
    "a fraction as a whole": ({"inputs": [tensor("INT8", [1.0])]}, "inputs[0].data"),
    "more than the shape": ({"inputs": [tensor("INT8", [1, 2], [1])]}, "inputs[0].data"),
    "less than the shape": ({"inputs": [tensor("INT8", [1], [2])]}, "inputs[0].data"),
    "other lists than the shape": ({"inputs": [tensor("INT8", [[1, 2], [3]], [2, 2])]}, "inputs[0].data"),
    "deeper than the shape": ({"inputs": [tensor("INT8", [[[1]]], [1, 1])]}, "inputs[0].data"),
    "a huge shape": ({"inputs": [tensor("INT8", [], [50_000, 50_000])]}, "inputs[0].shape"),
    "a shape that is none": ({"inputs": [tensor("INT8", [1], [-1])]}, "inputs[0].shape[0]"),
    "a shape of too many": ({"inputs": [tensor("INT8", [1], [1] * 9)]}, "inputs[0].shape"),
    "an unknown datatype": ({"inputs": [tensor("JSON", ["x"])]}, "inputs[0].datatype"),
    "a datatype that is none": ({"inputs": [tensor(["BYTES"], ["x"])]}, "inputs[0].datatype"),  # type: ignore[arg-type]
}  # fmt: skip


@pytest.mark.parametrize("body, param", BAD.values(), ids=BAD)  # noqa: PT006
def test_what_a_tensor_does_not_say_or_the_json_does_not_hold_is_refused(body: dict[str, Any], param: str) -> None:
    with pytest.raises(Refusal) as refused:
        ours.INFER.judge(body, "")
    assert refused.value.param == param


@pytest.mark.parametrize(
    "good",
    [
        tensor("FP32", [[1, 2], [3.5, 4]], [2, 2]),
        tensor("FP32", [1, 2, 3.5, 4], [2, 2]),
        tensor("INT64", [[[1], [2]], [[3], [4]]], [2, 2, 1]),
        tensor("BOOL", [True, False]),
        tensor("UINT64", [(1 << 64) - 1]),
        tensor("INT8", [], [0, 4]),
        tensor("BYTES", [["a"], ["b"]], [2, 1], parameters={"content_type": "str", "binary_data": False}),
    ],
)
def test_tensors_flat_and_nested_pass(good: dict[str, Any]) -> None:
    ours.INFER.judge({"inputs": [good]}, "")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(field=st.sampled_from(["name", "shape", "datatype", "data", "parameters"]), value=VALUES)
def test_any_value_in_any_field_passes_or_is_refused_and_nothing_else_happens(field: str, value: Any) -> None:
    try:
        ours.INFER.judge({"inputs": [{**tensor(), field: value}]}, "")
    except Refusal as refusal:
        assert refusal.reason in (Reason.FIELD_UNKNOWN, Reason.FIELD_INVALID)  # noqa: PT017 -- a refusal need not come


def answered(*outputs: dict[str, Any], **more: Any) -> bytes:
    return json.dumps({"model_name": "demo", "outputs": outputs, **more}).encode()


def test_every_text_of_an_answer_is_seen() -> None:
    body = answered(
        tensor(data=["a secret", ["deep secret"]], parameters={"note": "secret"}),
        tensor("FP32", [1, 2]),
        tensor("JSON", [{"secret": "secret"}]),
        {"name": "odd", "data": "secret"},
        parameters={"secret": 1},
        id="secret",
    )
    holding, tally = HoldBack(1), Tally()
    assert kserve.read_whole(body, holding, tally) == body
    assert holding.seen[Place(0, ("data", 0))] == "a secret"
    assert [text for text in holding.seen.values() if "secret" in text] == [
        "secret",
        "a secret",
        "deep secret",
        *["secret"] * 5,
    ]
    assert tally.floor == len("a secret" + "deep secret" + "secret" + "secret")
    assert b"secret" not in kserve.read_whole(body, Blot("secret"), Tally())


def test_of_an_answer_what_the_protocol_does_not_name_goes_no_further() -> None:
    body = answered(tensor("FP32", [1, 2]), timings={"note": "secret"})
    assert json.loads(kserve.read_whole(body, LetPass(), Tally())) == json.loads(answered(tensor("FP32", [1, 2])))


def test_numbers_pass_byte_for_byte() -> None:
    body = answered(tensor("FP32", [[1.5, 2], [3, 4]], [2, 2]), tensor("BOOL", [True]), tensor("INT8", [], [0]))
    holding = HoldBack(0)
    assert kserve.read_whole(body, holding, Tally()) == body
    assert set(holding.seen.values()) == {"demo", "text"}, "names alone"


UNSEEN = {
    "an output's name": {"name": "secret"},
    "a datatype": {"datatype": "secret"},
    "a datatype that is none": {"datatype": {"secret": ["secret"]}},
    "a shape": {"shape": "secret"},
    "a length": {"shape": ["secret"]},
    "a name in an output": {"secret": 1},
}


@pytest.mark.parametrize("field", UNSEEN.values(), ids=UNSEEN)
def test_no_word_of_an_output_goes_out_unseen(field: dict[str, Any]) -> None:
    out = kserve.read_whole(answered({**tensor("FP32", [1]), **field}), Blot("secret"), Tally())
    assert b"secret" not in out
    assert b"******" in out


def test_of_which_model_an_answer_is_is_seen() -> None:
    body = answered(tensor("FP32", [1]), model_name="secret", model_version=["secret"])
    out = json.loads(kserve.read_whole(body, Blot("secret"), Tally()))
    assert (out["model_name"], out["model_version"]) == ("******", ["******"])


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"outputs": {}}', b'{"outputs": [1]}', b'{"error": "x"}',
             answered({"data": json.loads("[" * 60 + "]" * 60)})],
)  # fmt: skip
def test_what_is_no_answer_of_the_protocol_is_an_error(body: bytes) -> None:
    with pytest.raises(AnswerError):
        kserve.read_whole(body, LetPass(), Tally())


def test_events_that_nobody_asked_for_are_no_answer(tmp_path: Path) -> None:
    answer = scripted.chunked(b'data: {"text_output": "x"}\n\n')
    with (
        scripted.scripted(tmp_path / "wild.sock", answer) as wild,
        running.guard(tmp_path, wild.upstream, given=document(protocol="KServeV2")) as guard,
    ):
        refused = ask(guard)
    assert (refused.status, refused.json()) == (502, {"error": "The model's answer is not what was asked for."})
