"""The body of KServe's v2 inference (Open Inference Protocol), as data: tensors whose values are what they say.

Left out on purpose, and so refused: tensors that do not stand in the JSON (binary, shared memory), and parameters,
which every server reads in its own way. Numbers pass as numbers: nobody can inspect them as text.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bartizan.guard.profiles.schema import Choice, Only, Record, Rule, Sequence, Text, Whole, invalid

MAX_TENSORS = 64
MAX_DIMENSIONS = 8
MAX_ELEMENTS = 50_000
"""Of one tensor; a body has no more values in all."""

_NAME = Text(256, 1)
_LONG = Text()
_WHOLE = {f"{sign}{bits}": (-(1 << bits - 1) if sign == "INT" else 0, (1 << bits - (sign == "INT")) - 1)
          for sign in ("INT", "UINT") for bits in (8, 16, 32, 64)}  # fmt: skip
DATATYPES: Mapping[str, tuple[type, ...]] = {
    "BOOL": (bool,),
    **dict.fromkeys(_WHOLE, (int,)),
    **dict.fromkeys(("FP16", "FP32", "FP64"), (int, float)),
    "BYTES": (str,),
}
"""Each datatype, and the JSON types of its elements."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """An input, whose data has the elements that its datatype and shape say, flat or nested along the shape."""

    record: Record

    def judge(self, value: Any, path: str) -> None:  # noqa: ANN401
        self.record.judge(value, path)
        shape, datatype = value["shape"], value["datatype"]
        if (size := math.prod(shape)) > MAX_ELEMENTS:
            raise invalid(f"{path}.shape", f"must be of at most {MAX_ELEMENTS} elements")
        elements = _flat(value["data"], shape, f"{path}.data")
        if len(elements) != size:
            raise invalid(f"{path}.data", f"must have {size} elements, as the shape says")
        _judge_elements(elements, datatype, f"{path}.data")


@dataclass(frozen=True, slots=True)
class List:
    """Any list; the tensor that it stands in judges its elements."""

    def judge(self, value: Any, path: str) -> None:  # noqa: ANN401
        if type(value) is not list:
            raise invalid(path, "must be a list")


def _flat(data: list[Any], shape: list[int], path: str) -> list[Any]:
    """The elements in their order; nested lists must follow the shape."""
    for depth, length in enumerate(shape[:-1], 1):
        if not data or type(data[0]) is not list:
            return data
        inner = math.prod(shape[:depth])
        if len(data) != inner or any(type(row) is not list for row in data):
            raise invalid(path, f"must be nested as the shape says: {length} lists at depth {depth}")
        if any(len(row) != shape[depth] for row in data):
            raise invalid(path, f"must be nested as the shape says: {shape[depth]} items at depth {depth + 1}")
        data = [item for row in data for item in row]
    return data


def _judge_elements(elements: list[Any], datatype: str, path: str) -> None:
    if not {*map(type, elements)} <= set(DATATYPES[datatype]):
        raise invalid(path, f"must hold what {datatype} stands for, and nothing else")
    if elements and (bounds := _WHOLE.get(datatype)) and not bounds[0] <= min(elements) <= max(elements) <= bounds[1]:
        raise invalid(path, f"must hold numbers within {datatype}")


TENSOR = Tensor(
    Record(
        {
            "name": _NAME,
            "shape": Sequence(Whole(0, MAX_ELEMENTS), MAX_DIMENSIONS, 1),
            "datatype": Choice(tuple(DATATYPES)),
            "data": List(),
            "parameters": Record({"binary_data": Only(False), "content_type": Choice(("np", "pd", "str"))}),
        },
        ("name", "shape", "datatype", "data"),
    )
)
"""MLServer's `content_type` says how a tensor is meant; of its kinds, base64 and the like would hide a text."""
OUTPUT = Record(
    {"name": _NAME, "parameters": Record({"binary_data": Only(False), "classification": Whole(0, 1000)})}, ("name",)
)
PARAMETERS: Mapping[str, Rule] = {"binary_data_output": Only(False)}


def infer(parameters: Record) -> Record:
    """The body of an inference with these parameters."""
    return Record(
        {
            "id": Text(256),
            "parameters": parameters,
            "inputs": Sequence(TENSOR, MAX_TENSORS, 1),
            "outputs": Sequence(OUTPUT, MAX_TENSORS),
        },
        ("inputs",),
    )


INFER = infer(Record(PARAMETERS))
