"""Prints the guard's memory, without TLS and with it: idle, after 1,000 requests, and with 200 streams open."""

import argparse
import contextlib
import json
import resource
import socket
import ssl
import sys
import tempfile
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[1] / "operator")]

from tests.unit.guard import accounts, running  # noqa: E402 -- the checkout is not installed
from tests.unit.guard.authority import Authority, Mount  # noqa: E402 -- the same

STREAMS = 200
AUTHORITY = Authority()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--goal-mib", type=float, default=45.0, help="the goal for the idle guard (default %(default)s)"
    )
    goal = parser.parse_args().goal_mib
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    with tempfile.TemporaryDirectory() as name, running.model(Path(name)) as model:
        kept = [_measure(Path(name), model, goal, has_tls=has_tls) for has_tls in (False, True)]
        return 0 if all(kept) else 1


def _measure(folder: Path, model: running.Model, goal: float, *, has_tls: bool) -> bool:
    """Whether the idle guard keeps to the goal."""
    mount = Mount(folder / f"tls-{has_tls}")
    mount.put(AUTHORITY.issue("guard"))
    context = AUTHORITY.client() if has_tls else None
    given = accounts.trusting(concurrent=1000, concurrent_per_client=1000)
    with running.guard(folder, model.upstream, *(mount.flags if has_tls else ()), given=given) as guard:
        title = "guard with TLS" if has_tls else "guard"
        idle = guard.rss_mib()
        print(f"{title}, idle:                 {idle:5.1f} MiB (goal: at most {goal:g})")
        for _ in range(1000):
            with _connected(guard, context) as sock:
                sock.sendall(running.request_bytes(json.dumps(running.chat("x" * 1000)).encode()))
                running.read_all(sock)
        print(f"{title}, after 1,000 requests: {guard.rss_mib():5.1f} MiB")
        with contextlib.ExitStack() as held:
            streams = [held.enter_context(_stream(guard, context)) for _ in range(STREAMS)]
            print(f"{title}, {len(streams)} streams open:     {guard.rss_mib():5.1f} MiB")
    return idle <= goal


def _connected(guard: running.Guard, context: ssl.SSLContext | None) -> socket.socket:
    sock = guard.connect()
    return context.wrap_socket(sock, server_hostname="127.0.0.1") if context else sock


def _stream(guard: running.Guard, context: ssl.SSLContext | None) -> socket.socket:
    """A stream whose first event has come."""
    sock = _connected(guard, context)
    body = json.dumps(running.chat("/count 100000 /slow 500", stream=True)).encode()
    sock.sendall(running.request_bytes(body))
    sock.recv(4096)
    return sock


if __name__ == "__main__":
    sys.exit(main())
