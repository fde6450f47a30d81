"""Asks over TLS, on new connections, until it sees another certificate than at first or its time is up; then tells."""

import hashlib
import http.client
import json
import os
import ssl
import sys
import time
import urllib.parse

authority, seconds = sys.argv[1], float(sys.argv[2])
address = urllib.parse.urlsplit(os.environ["OPENAI_BASE_URL"])
context = ssl.create_default_context(cadata=authority)
headers = {"Authorization": f"Bearer {os.environ['OPENAI_API_KEY']}"}
seen: list[str] = []
failures: list[str] = []
asked = 0
ends = time.monotonic() + seconds
while not asked or (len(seen) < 2 and time.monotonic() < ends):
    asked += 1
    connection = http.client.HTTPSConnection(address.hostname or "", address.port, context=context, timeout=10)
    try:
        connection.request("GET", "/v1/models", headers=headers)
        shown = hashlib.sha256(connection.sock.getpeercert(binary_form=True) or b"").hexdigest()
        status = connection.getresponse().status
        failures += [str(status)] if status != 200 else []
        seen += [shown] if shown not in seen else []
    except OSError as error:
        failures.append(repr(error))
    connection.close()
    print("going", flush=True) if asked == 1 else time.sleep(0.05)
print(json.dumps({"asked": asked, "failures": failures, "seen": seen, "base": address.geturl()}))
