"""Prints the guard's resident memory: idle, after 1,000 requests, and with 200 streams open."""

import argparse
import contextlib
import json
import resource
import socket
import sys
import tempfile
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[1] / "operator")]

from tests.unit.guard import accounts, running  # noqa: E402 -- the checkout is not installed

STREAMS = 200


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--goal-mib", type=float, default=45.0, help="the goal for the idle guard (default %(default)s)"
    )
    goal = parser.parse_args().goal_mib
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    with tempfile.TemporaryDirectory() as name, running.model(Path(name)) as model:
        folder = Path(name) / "guard"
        folder.mkdir()
        given = accounts.trusting(concurrent=1000, concurrent_per_client=1000)
        with running.guard(folder, model.upstream, given=given) as guard:
            idle = guard.rss_mib()
            print(f"guard, idle:                 {idle:5.1f} MiB (goal: at most {goal:g})")
            for _ in range(1000):
                guard.ask(running.chat("x" * 1000))
            print(f"guard, after 1,000 requests: {guard.rss_mib():5.1f} MiB")
            with contextlib.ExitStack() as held:
                streams = [held.enter_context(_stream(guard)) for _ in range(STREAMS)]
                print(f"guard, {len(streams)} streams open:     {guard.rss_mib():5.1f} MiB")
    return 0 if idle <= goal else 1


def _stream(guard: running.Guard) -> socket.socket:
    """A stream whose first event has come."""
    sock = guard.connect()
    body = json.dumps(running.chat("/count 100000 /slow 500", stream=True)).encode()
    sock.sendall(running.request_bytes(body))
    sock.recv(4096)
    return sock


if __name__ == "__main__":
    sys.exit(main())
