"""What the rules across fields need to know of the rest of the spec."""

from dataclasses import dataclass

from bartizan.policy.model import Serving


@dataclass(frozen=True, slots=True)
class Place:
    """`endpoint` is the ModelDeployment's name."""

    endpoint: str
    serving: Serving
    max_stream_seconds: int
