"""Asks and asks until its standard input ends, then prints, as one line of JSON, what became of each request."""

import argparse
import http.client
import itertools
import json
import os
import socket
import sys
import threading
import time
from collections import Counter

parser = argparse.ArgumentParser()
parser.add_argument("address", help="host:port")
parser.add_argument("--parallel", type=int, default=4)
parser.add_argument("--pause", type=float, default=0.02, help="seconds between one worker's requests")
parser.add_argument("--prefix", default="load", help="begins each prompt; a number makes it unlike all others")
arguments = parser.parse_args()

host, _, port = arguments.address.rpartition(":")
ADDRESS = f"{socket.gethostbyname(host)}:{port}"
"""Asked for once: a Service's address stays, and how a loaded node's DNS fares is not what is being tried."""
HEADERS = {
    "Host": arguments.address,
    "Authorization": f"Bearer {os.environ['OPENAI_API_KEY']}",
    "Content-Type": "application/json",
}
TIMEOUT_SECONDS = 20
numbers = itertools.count()
ended = threading.Event()
answered: list[str] = []
outcomes: Counter[str] = Counter()


def ask(prompt: str, *, streamed: bool) -> str:
    """The outcome of one request in a word or two; what came whole is kept in `answered`."""
    body = {"model": "demo", "stream": streamed, "messages": [{"role": "user", "content": prompt}]}
    connection = http.client.HTTPConnection(ADDRESS, timeout=TIMEOUT_SECONDS)
    try:
        connection.request("POST", "/v1/chat/completions", body=json.dumps(body), headers=HEADERS)
        answer = connection.getresponse()
        text = answer.read().decode()
    except (OSError, http.client.HTTPException) as error:
        return f"no answer: {type(error).__name__}"
    finally:
        connection.close()
    if answer.status != 200:
        return f"{answer.status} {json.loads(text)['error']['code']}"
    if streamed and not text.endswith("data: [DONE]\n\n"):
        return "cut"
    answered.append(prompt)
    return "200"


def work() -> None:
    while not ended.is_set():
        number = next(numbers)
        outcomes[ask(f"{arguments.prefix}-{number}", streamed=number % 3 == 0)] += 1
        if len(answered) == 1:
            print("going", flush=True)
        ended.wait(arguments.pause)


began = time.monotonic()
workers = [threading.Thread(target=work) for _ in range(arguments.parallel)]
for worker in workers:
    worker.start()
sys.stdin.read()
ended.set()
for worker in workers:
    worker.join()
print(json.dumps({"outcomes": outcomes, "answered": answered, "seconds": time.monotonic() - began}))
