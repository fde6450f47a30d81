"""How long a pod may take to end: what its streams need, and what is left for model and guard once they have ended.

A pod's end goes: no more news to it from any node (the farewell), no new requests, the last stream's end, the model's
end, the guard's. A kubelet kills whatever is left when the grace period is over, so all of it must fit in.
"""

from dataclasses import dataclass

FAREWELL_SECONDS = 5
"""New requests are still taken for so long: nodes go on sending them until they have heard that the pod ends."""
MODEL_END_SECONDS = 25
"""What the model has after SIGTERM; with the farewell, the 30 seconds that Kubernetes gives a pod by default."""
GUARD_END_SECONDS = 5
LONGEST_STREAM_SECONDS = 7200
"""The bound of limits.maxStreamSeconds: a node that is to be emptied waits for it."""


@dataclass(frozen=True, slots=True)
class Grace:
    """`period_seconds` is the pod's; `drain_seconds` of it, the farewell included, are for requests under way.

    Where the owner has set none it `is_bounded`: the model is killed `MODEL_END_SECONDS` after SIGTERM, and does not
    keep a pod whose requests have ended for as long as they might have taken.
    """

    period_seconds: int
    is_bounded: bool

    @property
    def drain_seconds(self) -> int:
        return self.period_seconds - MODEL_END_SECONDS - GUARD_END_SECONDS


def needed(max_stream_seconds: int) -> int:
    """The shortest grace period, in seconds, in which a stream that has just begun can end by itself."""
    return FAREWELL_SECONDS + max_stream_seconds + MODEL_END_SECONDS + GUARD_END_SECONDS


def choose(max_stream_seconds: int, wish: int | None) -> Grace:
    """The owner's `wish`, which is never below what is needed, or just that."""
    return Grace(needed(max_stream_seconds) if wish is None else wish, is_bounded=wish is None)
