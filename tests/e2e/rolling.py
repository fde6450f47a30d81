"""Pods that take the place of others while clients are at work, and what clients may notice of it."""

from tests.e2e.endpoint import Endpoint
from tests.e2e.player import Tally


def pod_names(endpoint: Endpoint) -> list[str]:
    return [pod["metadata"]["name"] for pod in endpoint.pods()]


def has_rolled(endpoint: Endpoint, before: list[str]) -> bool:
    now = pod_names(endpoint)
    return not set(now) & set(before) and endpoint.is_true("Ready") and endpoint.is_true("InSync")


def judge(tally: Tally) -> None:
    """Refusals that tell a client to come again are documented; a refused connection is the network's way of it."""
    documented = {"200", "429 rate_limit_exceeded", "503 service_unavailable"}
    cut = {name for name in tally.outcomes if name not in documented and "ConnectionRefused" not in name}
    assert cut == set(), tally.outcomes
    assert tally.outcomes["200"] > sum(tally.outcomes.values()) * 0.9, tally.outcomes
