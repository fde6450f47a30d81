"""What of a body is read by the model: each text as it is, free objects as JSON, an image as no text."""

from typing import Any

import pytest

from bartizan.guard import model_texts

URL = "data:image/png;base64,AAAA"
CASES: dict[str, tuple[Any, list[str], int]] = {
    "prompt": ({"model": "demo", "prompt": "one", "max_tokens": 5, "stream": True}, ["one"], 0),
    "prompts": ({"prompt": ["one", "two"]}, ["one", "two"], 0),
    "what the guard adds": ({"input": "one", "stream_options": {"include_usage": True}}, ["one"], 0),
    "roles and names": ({"messages": [{"role": "user", "content": "one", "name": "a"}]}, ["user", "one", "a"], 0),
    "no content": ({"messages": [{"role": "assistant", "content": None}]}, ["assistant"], 0),
    "parts": ({"messages": [{"content": [{"type": "text", "text": "one"}]}]}, ["text", "one"], 0),
    "a tool's input": ({"messages": [{"content": [{"input": {"a": [1, {"b": None}]}}]}]}, ['{"a":[1,{"b":null}]}'], 0),
    "an object": ({"response_format": {"type": "text"}}, ['{"type":"text"}'], 0),
    "a tensor of figures": ({"inputs": [{"data": [[1, 23], [4.5, True]]}]}, [], 1 + 2 + 3 + 4),
    "a field of an unknown form": ({"documents": [{"long name": 1}]}, ['[{"long name":1}]'], 0),
}


@pytest.mark.parametrize("name", CASES)
def test_everything_that_is_read_is_counted(name: str) -> None:
    body, texts, figures = CASES[name]
    found = model_texts.read(body, (), ("documents",))
    assert (found.found, found.figures) == (texts, figures)


def test_an_image_is_no_text_and_the_same_letters_as_a_text_are_one() -> None:
    image, text = (bytes(URL, "ascii").decode() for _ in range(2))
    assert image is not text
    parts = [{"type": "image_url", "image_url": {"url": image}}, {"type": "text", "text": text}]
    found = model_texts.read({"messages": [{"content": parts}]}, {id(image)})
    assert found.found == ["image_url", "text", URL]
