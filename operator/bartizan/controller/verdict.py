"""What a condition says."""

from dataclasses import dataclass

from bartizan.controller import log
from bartizan.policy.reasons import EXPLANATIONS, Reason

MAX_MESSAGE = 1024


@dataclass(frozen=True, slots=True)
class Verdict:
    """`status` is None for Unknown, as Kubernetes has it."""

    status: bool | None
    reason: Reason
    message: str = ""

    @property
    def status_text(self) -> str:
        return "Unknown" if self.status is None else str(self.status)

    @property
    def text(self) -> str:
        return log.redact(self.message or EXPLANATIONS[self.reason])[:MAX_MESSAGE]
