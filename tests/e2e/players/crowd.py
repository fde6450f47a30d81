"""Sends requests side by side that the model answers slowly: which are taken, which refused?"""

import collections
import concurrent.futures
import http.client
import json
import os
import sys
import threading

address, count, milliseconds = sys.argv[1], int(sys.argv[2]), sys.argv[3]
headers = {"Authorization": f"Bearer {os.environ['OPENAI_API_KEY']}", "Content-Type": "application/json"}
body = json.dumps({"model": "demo", "messages": [{"role": "user", "content": f"/slow {milliseconds} crowd"}]})


together = threading.Barrier(count)


def ask(_: int) -> int:
    connection = http.client.HTTPConnection(address, timeout=20)
    connection.connect()
    together.wait(20)  # on a busy node some would else be answered before others ask
    connection.request("POST", "/v1/chat/completions", body=body, headers=headers)
    return connection.getresponse().status


with concurrent.futures.ThreadPoolExecutor(count) as pool:
    print(json.dumps(collections.Counter(pool.map(ask, range(count)))))
