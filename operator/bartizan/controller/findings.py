"""What one reconcile learnt and did, from which status and events are made."""

from dataclasses import dataclass, field

from bartizan.controller.apply import Outcome
from bartizan.controller.guards import GuardState
from bartizan.controller.revision import Accepted
from bartizan.policy.document import GuardDocument
from bartizan.policy.epochs import Ledger
from bartizan.policy.model import Manifest, ModelDeployment, Problem


@dataclass(slots=True)
class Findings:
    """Filled step by step by `reconcile`; a step that was not reached leaves its default."""

    deployment: ModelDeployment | None = None
    spec: Manifest | None = None
    accepted: Accepted | None = None
    problems: tuple[Problem, ...] = ()
    ledger: Ledger = field(default_factory=Ledger)
    document: GuardDocument | None = None
    document_hash: str = ""
    is_root_lost: bool = False
    name_taken: str = ""
    failure: str = ""
    policy_was_deleted: bool = False
    outcomes: list[Outcome] = field(default_factory=list)
    guard_states: dict[str, GuardState] = field(default_factory=dict)
    pod_template: Manifest | None = None
