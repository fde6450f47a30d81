"""The schema of KServe's bodies against what the Open Inference Protocol says of them.

Its names, JSON types and requirements are retold here from the published description: kserve/open-inference-protocol
on GitHub (Apache-2.0), `specification/protocol/open_inference_rest.yaml` at 18d5991e9e45, with what
`inference_rest.md` and `inference_grpc.md` beside it (7ef512b1f171) say of paths, parameters and datatypes.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from tests.unit.guard.described import passes

from bartizan.guard.inspection import LetPass
from bartizan.guard.profiles import kserve, schema
from bartizan.guard.profiles import kserve_schema as ours
from bartizan.guard.profiles.contract import Terms
from bartizan.guard.refusal import Refusal
from bartizan.guard.tally import Tally
from bartizan.policy.reasons import Reason

TENSOR: dict[str, Any] = {"name": "input0", "shape": [2, 2], "datatype": "UINT32", "data": [1, 2, 3, 4]}
JSON: dict[str, Any] = {
    "string": "x",
    "number": 1.5,
    "integer": 1,
    "boolean": True,
    "array": [[]],
    "object": {"x": 1},
    "null": None,
}
"""A value of each JSON type."""


@dataclass(frozen=True)
class Described:
    """An object of the protocol's: the JSON type of each field, of which some must be there."""

    record: schema.Record
    types: Mapping[str, str]
    required: set[str]
    extensions: Mapping[str, str] = field(default_factory=dict)
    """Parameters that we know, and whose they are: the protocol itself defines none."""

    @property
    def parameters(self) -> schema.Record:
        found = self.record.fields["parameters"]
        assert isinstance(found, schema.Record)
        return found


DESCRIBED = {
    "inference_request": Described(
        ours.INFER,
        {"id": "string", "parameters": "object", "inputs": "array", "outputs": "array"},
        {"inputs"},
        {"binary_data_output": "of Triton's binary tensors, which we refuse: its client says that it wants none"},
    ),
    "request_input": Described(
        ours.TENSOR.record,
        {"name": "string", "shape": "array", "datatype": "string", "parameters": "object", "data": "array"},
        {"name", "shape", "datatype", "data"},
        {
            "binary_data": "of Triton's binary tensors: its client says that this is none",
            "content_type": "of MLServer's: how the tensor is meant",
        },
    ),
    "request_output": Described(
        ours.OUTPUT,
        {"name": "string", "parameters": "object"},
        {"name"},
        {
            "binary_data": "of Triton's binary tensors: its client says that it wants none",
            "classification": "of Triton's: the best classes in place of all values",
        },
    ),
}
GOOD: dict[str, Any] = {
    "id": "42",
    "parameters": {},
    "inputs": [TENSOR],
    "outputs": [{"name": "output0"}],
    "name": "x",
    "shape": [1],
    "datatype": "BOOL",
    "data": [True],
}
"""A described value of each field."""
RESPONSE = {"model_name", "model_version", "id", "parameters", "outputs"}
RESPONSE_OUTPUT = {"name", "shape", "datatype", "parameters", "data"}
WHOLE = [f"{sign}INT{bits}" for sign in ("", "U") for bits in (8, 16, 32, 64)]
DATATYPES: dict[str, tuple[str, ...]] = {
    "BOOL": ("boolean",),
    **dict.fromkeys(WHOLE, ("integer",)),
    **dict.fromkeys(("FP16", "FP32", "FP64"), ("integer", "number")),
    "BYTES": ("string",),
}
MODEL = "/v2/models/demo"
PATHS = {
    "/v2/health/live": {"live"},
    "/v2/health/ready": {"live"},
    f"{MODEL}/ready": {"name", "ready"},
    MODEL: {"name", "platform", "inputs", "outputs"},
}
"""The described GETs, and what an answer must hold."""
REFUSED_PATHS = {
    "/v2": "it tells which server and which extensions stand behind the gate",
    "/v2/": "it is the same, as the description in YAML spells it",
    f"{MODEL}/versions/1": "another version is another model, and one model is declared",
    f"{MODEL}/versions/1/ready": "as above",
    f"{MODEL}/versions/1/infer": "as above",
}


@pytest.mark.parametrize("it", DESCRIBED.values(), ids=DESCRIBED)
def test_every_described_field_is_known_and_no_other(it: Described) -> None:
    assert set(it.record.fields) == set(it.types)
    assert set(it.record.required) == it.required


@pytest.mark.parametrize("it", DESCRIBED.values(), ids=DESCRIBED)
def test_values_of_the_described_type_pass_and_others_do_not(it: Described) -> None:
    for name, rule in it.record.fields.items():
        assert passes(rule, GOOD[name]), name
        assert [kind for kind, value in JSON.items() if kind != it.types[name] and passes(rule, value)] == [], name


@pytest.mark.parametrize("it", DESCRIBED.values(), ids=DESCRIBED)
def test_of_parameters_only_named_extensions_are_known(it: Described) -> None:
    assert set(it.parameters.fields) == set(it.extensions)
    for kind in ("string", "number", "boolean"):
        with pytest.raises(Refusal) as refused:
            it.parameters.judge({"made_up": JSON[kind]}, "parameters")
        assert (refused.value.reason, refused.value.param) == (Reason.FIELD_UNKNOWN, "parameters.made_up")


def test_every_described_datatype_is_known_and_holds_what_it_stands_for() -> None:
    assert set(ours.DATATYPES) == set(DATATYPES)
    for datatype, kinds in DATATYPES.items():
        tensor = {"name": "x", "shape": [1], "datatype": datatype}
        taken = {kind for kind, value in JSON.items() if passes(ours.TENSOR, {**tensor, "data": [value]})}
        assert taken == set(kinds), datatype


@pytest.mark.parametrize("data", [[1, 2, 4, 5], [[1, 2], [4, 5]]], ids=["flat", "nested"])
def test_a_matrix_passes_in_both_described_forms(data: list[Any]) -> None:
    ours.INFER.judge({"inputs": [{**TENSOR, "data": data}]}, "")


def test_the_described_request_passes_where_its_shapes_are_right() -> None:
    """The published one says `shape: [3]` of a tensor with one element; no server could tell which of the two it is."""
    flags = {"name": "input1", "shape": [3], "datatype": "BOOL", "data": [True]}
    body = {"id": "42", "inputs": [TENSOR, flags], "outputs": [{"name": "output0"}]}
    with pytest.raises(Refusal) as refused:
        ours.INFER.judge(body, "")
    assert refused.value.param == "inputs[1].data"
    ours.INFER.judge({**body, "inputs": [TENSOR, {**flags, "shape": [1]}]}, "")


def test_a_described_answer_passes_as_it_is() -> None:
    output = {
        "name": "output0",
        "shape": [3, 2],
        "datatype": "FP32",
        "parameters": {},
        "data": [1, 1.1, 2, 2.1, 3, 3.1],
    }
    answer = {"model_name": "demo", "model_version": "1", "id": "42", "parameters": {}, "outputs": [output]}
    assert (set(answer), set(output)) == (RESPONSE, RESPONSE_OUTPUT)
    body = json.dumps(answer).encode()
    assert kserve.read_whole(body, LetPass(), Tally()) == body
    more = json.dumps({**answer, "made_up": "x"}).encode()
    assert set(json.loads(kserve.read_whole(more, LetPass(), Tally()))) == RESPONSE


def test_every_described_path_is_served_or_refused_on_purpose() -> None:
    routes = kserve.build(Terms("demo")).routes
    assert {path.decode() for path in routes} == {*PATHS, f"{MODEL}/infer"}
    assert not {path.encode() for path in REFUSED_PATHS} & set(routes)
    assert routes[f"{MODEL}/infer".encode()].method == b"POST"
    for path, must in PATHS.items():
        route = routes[path.encode()]
        assert route.method == b"GET"
        assert route.answer is not None
        assert must <= set(json.loads(route.answer("demo"))), path


def test_an_error_is_the_described_object() -> None:
    refusal = Refusal(Reason.FIELD_INVALID, "inputs: must be a list")
    assert json.loads(kserve.build(Terms("demo")).refusal_body(refusal, "id")) == {"error": "inputs: must be a list"}
