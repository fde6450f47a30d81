"""Programs that are killed under load: nothing passes by, nothing is lost for good, nobody has to help."""

from typing import Any

from tests.e2e import victims
from tests.e2e.endpoint import GUARD, Endpoint, is_ready, restarts, until
from tests.e2e.evidence import Evidence
from tests.e2e.ground import Ground
from tests.e2e.player import Player, Tally

REPLICAS = 5
SLOTS_EACH = 4
CONTAINERS = {victims.GUARD: GUARD, victims.MODEL: "model"}


def endpoint_of_many(ground: Ground) -> Endpoint:
    """Several pods: a kubelet waits ever longer before it starts one and the same container again."""
    limits = {
        "requests": [{"limit": 1_000_000, "window": "1d"}],
        "concurrent": REPLICAS * SLOTS_EACH,
        "concurrentPerClient": REPLICAS * SLOTS_EACH,
    }
    return ground.endpoint(replicas=REPLICAS, limits=limits).wait()


def survives(endpoint: Endpoint, app: Player, program: str) -> None:
    """Ten kills: one pod's after the other's, then all at once."""
    before = {pod["metadata"]["name"]: restarts(pod, CONTAINERS[program]) for pod in endpoint.pods()}
    evidence = Evidence(f"{program.split(maxsplit=1)[0]}-{sum(before.values())}")
    with app.load(endpoint.service, prefix=evidence.prefix) as tally:
        for pod in endpoint.pods():
            victims.kill(endpoint.stage, pod, program)
            until(lambda pod=pod: has_restarted(endpoint, before, pod, CONTAINERS[program], 1), "it is back")  # type: ignore[misc]
            evidence.collect(endpoint)  # while it is there: a kubelet keeps few logs of dead containers
        for pod in endpoint.pods():
            victims.kill(endpoint.stage, pod, program)
        for pod in endpoint.pods():
            until(lambda pod=pod: has_restarted(endpoint, before, pod, CONTAINERS[program], 2), "all are back")  # type: ignore[misc]
            evidence.collect(endpoint)
        endpoint.wait()
    judge(evidence, tally, endpoint)
    for pod in endpoint.pods():
        assert app.crowd(pod["status"]["podIP"] + ":8080", SLOTS_EACH) == {"200": SLOTS_EACH}, "a slot has leaked"
    assert all(is_ready(pod) for pod in endpoint.pods())


def has_restarted(endpoint: Endpoint, before: dict[str, int], pod: dict[str, Any], container: str, times: int) -> bool:
    name = pod["metadata"]["name"]
    now = endpoint.find("pods", name)
    return bool(now) and is_ready(now) and restarts(now, container) == before[name] + times


def told(evidence: Evidence, endpoint: Endpoint) -> str:
    """With how often each guard has started: of more than two starts a kubelet has not all that was written."""
    starts = {pod["metadata"]["name"]: restarts(pod, GUARD) for pod in endpoint.pods()}
    return f"unguarded: {evidence.unguarded}; guards' restarts: {starts}"


def judge(evidence: Evidence, tally: Tally, endpoint: Endpoint) -> None:
    until(lambda: not evidence.collect(endpoint).unguarded, lambda: told(evidence, endpoint), seconds=5)
    assert len(tally.answered) > 100, f"hardly a load: {tally.outcomes}"
    assert set(tally.answered) <= evidence.prompts, "somebody else than the model has answered"
    documented = {"200", "cut", "429 rate_limit_exceeded", "502 upstream_broken", "503 service_unavailable"}
    odd = {outcome for outcome in tally.outcomes if outcome not in documented and not outcome.startswith("no answer")}
    assert odd == set(), tally.outcomes
