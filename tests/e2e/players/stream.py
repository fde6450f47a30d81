"""Asks for one stream; prints `begun` at its first piece, and how it ended as one line of JSON."""

import http.client
import json
import os
import sys

address, prompt = sys.argv[1:]
host, _, port = address.rpartition(":")
body = json.dumps({"model": "demo", "stream": True, "messages": [{"role": "user", "content": prompt}]})
headers = {"Authorization": f"Bearer {os.environ['OPENAI_API_KEY']}", "Content-Type": "application/json"}

connection = http.client.HTTPConnection(host, int(port), timeout=60)
connection.request("POST", "/v1/chat/completions", body=body, headers=headers)
answer = connection.getresponse()
text = answer.readline()
print("begun", flush=True)
cut = ""
try:
    text += answer.read()
except http.client.IncompleteRead as error:
    text += error.partial
    cut = type(error).__name__
events = [line for line in text.decode().splitlines() if line]
errors = [json.loads(event.removeprefix("data: "))["error"]["code"] for event in events if '"error"' in event]
ending = {"status": answer.status, "events": len(events), "last": events[-1][:300], "errors": errors, "cut": cut}
print(json.dumps(ending))
