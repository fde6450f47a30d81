"""Prints how long a changed spec takes until the guard in the pod enforces it, with load on the endpoint.

A change raises a client's keyEpoch. It is enforced when the guard reports, on its status port, a document newer than
the last one. Also prints the resident memory of the guard's process on the node, before and after.
"""

import argparse
import json
import statistics
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[1] / "operator")]

from demo import stage as stages  # noqa: E402 -- the checkout is not installed
from tests.e2e import victims  # noqa: E402 -- see above
from tests.e2e.endpoint import Endpoint, until  # noqa: E402 -- see above
from tests.e2e.ground import BENCH, NAMESPACES, Ground  # noqa: E402 -- see above
from tests.e2e.theatre import PATHS, window  # noqa: E402 -- see above
from tests.localcluster.api import node  # noqa: E402 -- see above


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--changes", type=int, default=200, help="how many (default %(default)s)")
    parser.add_argument("--goal-seconds", type=float, default=2.0, help="99th percentile (default %(default)s)")
    given = parser.parse_args()
    with node(stages.CLUSTER) as cluster, window(stages.set_up(cluster, *NAMESPACES)) as theatre:
        ground = Ground(theatre, BENCH)
        ground.clear()
        endpoint = ground.endpoint("changing", access={"clients": [{"name": "app"}, {"name": "other"}]}).wait()
        idle = memory(endpoint)
        with ground.client(endpoint).load(endpoint.service, parallel=4) as tally:
            seconds = sorted(changes(endpoint, given.changes))
        print(f"guard's resident memory on the node: idle {idle:.1f} MiB, after the load {memory(endpoint):.1f} MiB")
        ground.clear()
    rate = sum(tally.outcomes.values()) / tally.seconds
    print(f"changed spec to enforced, {len(seconds)} changes, {rate:.0f} requests/s beside it: {tally.outcomes}")
    percentile = statistics.quantiles(seconds, n=100)[98]
    print(
        f"  median {statistics.median(seconds):.2f} s, 90th percentile {statistics.quantiles(seconds, n=10)[8]:.2f} s"
    )
    print(f"  99th percentile {percentile:.2f} s (goal: at most {given.goal_seconds:g}), most {seconds[-1]:.2f} s")
    return 0 if percentile <= given.goal_seconds else 1


def changes(endpoint: Endpoint, count: int) -> Iterator[float]:
    """Seconds from the answered write to the guard's report, one change after the other."""
    for epoch in range(2, count + 2):
        before = endpoint.guard_status()["documentVersion"]
        clients = [{"name": "app"}, {"name": "other", "keyEpoch": epoch}]
        patch(endpoint, {"spec": {"access": {"clients": clients}}})
        yield until(lambda before=before: is_newer(endpoint, before), endpoint.guard_status)  # type: ignore[misc]


def is_newer(endpoint: Endpoint, before: int) -> bool:
    return bool(endpoint.guard_status().get("documentVersion", 0) > before)


def patch(endpoint: Endpoint, body: dict[str, object]) -> None:
    path = f"{PATHS['mdep'].format(endpoint.namespace)}/{endpoint.name}"
    headers = {"Content-Type": "application/merge-patch+json"}
    url = f"http://127.0.0.1:{endpoint.stage.proxy}/{path}"
    request = urllib.request.Request(url, json.dumps(body).encode(), headers, method="PATCH")
    urllib.request.urlopen(request).close()


def memory(endpoint: Endpoint) -> float:
    """MiB, once the guard has come to rest."""
    pid = victims.pid_of(endpoint.stage, endpoint.pod(), victims.GUARD)
    time.sleep(1)
    return victims.resident_kilobytes(pid) / 1024


if __name__ == "__main__":
    sys.exit(main())
