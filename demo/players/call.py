"""Plain HTTP without an SDK: prints status and body, or why there is none."""

import argparse
import http.client

parser = argparse.ArgumentParser()
parser.add_argument("address", help="host:port")
parser.add_argument("path")
parser.add_argument("--method", default="GET")
parser.add_argument("--key")
parser.add_argument("--lines", type=int, default=12)
parser.add_argument("--grep", default="")
arguments = parser.parse_args()

connection = http.client.HTTPConnection(arguments.address, timeout=3)
headers = {"Authorization": f"Bearer {arguments.key}"} if arguments.key else {}
body = None
if arguments.method == "POST":
    headers["Content-Type"] = "application/json"
    body = '{"model": "demo", "messages": [{"role": "user", "content": "hello"}]}'
try:
    connection.request(arguments.method, arguments.path, body=body, headers=headers)
    answer = connection.getresponse()
    text = answer.read().decode()
    print(answer.status, answer.reason)
    print("\n".join([line for line in text.splitlines() if arguments.grep in line][: arguments.lines]))
except OSError as error:
    print("no answer:", error)
