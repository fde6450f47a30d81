"""What one reconcile learnt and did, from which status and events are made."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from bartizan.controller.api import ApiError
from bartizan.controller.apply import FormerLifeError, NameTakenError, Outcome
from bartizan.controller.guards import GuardReport, GuardState
from bartizan.controller.identities import Identities
from bartizan.controller.revision import Accepted
from bartizan.policy.document import GuardDocument
from bartizan.policy.epochs import Ledger
from bartizan.policy.model import Manifest, ModelDeployment, Problem
from bartizan.policy.reasons import Reason


@dataclass(slots=True)
class Findings:
    """Filled step by step by `reconcile`; a step that was not reached leaves its default."""

    deployment: ModelDeployment | None = None
    spec: Manifest | None = None
    accepted: Accepted | None = None
    problems: tuple[Problem, ...] = ()
    was_tried_in_vain: bool = False
    """The problems are the API server's, by whose rules of today; nobody tells when they are others."""
    ledger: Ledger | None = None
    """None until it is known: a ledger that nobody has read must never be written."""
    document: GuardDocument | None = None
    document_hash: str = ""
    identities: Identities | None = None
    """None until it is learnt who the clients are."""
    is_root_lost: bool = False
    taken: list[str] = field(default_factory=list)
    failure: str = ""
    """In words: the first thing that failed."""
    errors: list[ApiError] = field(default_factory=list)
    """What the API server refused or did not answer."""
    policy_was_deleted: bool = False
    outcomes: list[Outcome] = field(default_factory=list)
    news: list[tuple[Reason, str]] = field(default_factory=list)
    """What happened besides: told as Events once all is written."""
    guard_reports: dict[str, GuardReport | None] = field(default_factory=dict)
    guard_states: dict[str, GuardState] = field(default_factory=dict)
    waits_to_grow: bool = False
    """Pods were held back for a guard that was behind; it may have caught up since, and then nobody tells of it."""
    usage_is_untold: bool = False
    """A guard could not be told what others have used."""
    has_leftovers: bool = False
    """Secrets of withdrawn clients may still be there: not all were deleted at once."""
    pod_template: Manifest | None = None
    sealed: tuple[Accepted, ...] = ()

    @property
    def name_taken(self) -> str:
        """Every name of the endpoint's that a stranger's object has, and whose that is."""
        return "; ".join(self.taken)

    def written(self, kind: str) -> Manifest | None:
        """The one object of this kind as this reconcile left it: what was seen before may say less than is wanted."""
        return next((outcome.live for outcome in reversed(self.outcomes) if outcome.kind == kind), None)

    @property
    def error(self) -> ApiError | None:
        """The first that time may heal; None in a namespace that takes nothing any more."""
        return next((error for error in self.errors if not error.is_terminating), None)

    def fail(self, error: ApiError) -> None:
        self.errors.append(error)
        if not error.is_terminating:
            self.failure = self.failure or str(error)

    @contextmanager
    def tolerating(self) -> Iterator[None]:
        """One object that cannot be had (a stranger has its name, or it is refused) keeps no other from repair."""
        try:
            yield
        except NameTakenError as error:
            self.taken.append(str(error))
        except FormerLifeError as error:
            self.failure = str(error)
        except ApiError as error:
            self.fail(error)

    @property
    def is_obstructed(self) -> bool:
        return bool(self.taken or self.failure or self.errors)
