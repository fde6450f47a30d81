"""A client of the model, as its developers would write it: the OpenAI SDK, configured by its environment alone."""

import argparse
from pathlib import Path
from typing import Any, cast

import openai

parser = argparse.ArgumentParser()
parser.add_argument("prompt")
parser.add_argument("--stream", action="store_true")
parser.add_argument("--key", help="another key than the environment's")
parser.add_argument("--key-file", help="a file with the key, or a token, that is read anew for each request")
parser.add_argument("--times", type=int, default=1)
arguments = parser.parse_args()

key = Path(arguments.key_file).read_text if arguments.key_file else arguments.key
client = openai.OpenAI(max_retries=0, api_key=key)
messages: Any = [{"role": "user", "content": arguments.prompt}]
for _ in range(arguments.times):
    try:
        if arguments.stream:
            stream: Any = client.chat.completions.create(model="demo", messages=messages, stream=True)
            parts = [chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices]
            print(f"{len(parts)} chunks:", "|".join(parts))
        else:
            answer = client.chat.completions.create(model="demo", messages=messages)
            print("answer:", answer.choices[0].message.content)
    except openai.APIStatusError as error:
        retry = error.response.headers.get("retry-after")
        told = cast("dict[str, str]", error.body)
        print(
            f"{type(error).__name__} {error.status_code}: {told['message']}",
            f"Retry-After: {retry}" if retry else "",
        )
