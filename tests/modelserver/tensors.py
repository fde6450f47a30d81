"""Knows the shapes of KServe's v2 inference: text in, text out; numbers in, their sum out. Pure."""

from collections.abc import Iterator
from typing import Any

from .script import Script, read

Content = dict[str, Any]


def script_of(body: Content) -> Script:
    """What the first text that stands in a tensor asks for."""
    texts = [text for tensor in body["inputs"] if tensor["datatype"] == "BYTES" for text in flat(tensor["data"])]
    return read({"prompt": texts[:1] or [""]})


def inferred(model: str, body: Content, script: Script) -> Content:
    outputs = [_output(tensor, script) for tensor in body["inputs"]]
    return {"model_name": model, "id": body.get("id", ""), "outputs": outputs}


def _output(tensor: Content, script: Script) -> Content:
    name = f"{tensor['name']}_out"
    if tensor["datatype"] == "BYTES":
        return {"name": name, "shape": [1], "datatype": "BYTES", "data": ["".join(script.tokens)]}
    return {"name": name, "shape": [1], "datatype": "FP64", "data": [float(sum(flat(tensor["data"])))]}


def flat(data: list[Any]) -> Iterator[Any]:
    for item in data:
        if isinstance(item, list):
            yield from flat(item)
        else:
            yield item
