"""What is learnt of one request on its way, for audit and metrics."""

import hashlib

from bartizan.guard.audit import Value
from bartizan.guard.body import Body
from bartizan.guard.caller import Caller
from bartizan.guard.enforcement import DEFAULT_PROFILE, Enforcement, Measures
from bartizan.guard.model_metrics import Operation
from bartizan.guard.profiles.contract import Profile, Reading
from bartizan.guard.request import Head
from bartizan.guard.tally import Tally
from bartizan.guard.trace_context import Trace
from bartizan.policy.capabilities import Capability
from bartizan.policy.keys import KEY_PREFIX
from bartizan.policy.reasons import Reason
from bartizan.policy.tokens import Amount

MAX_SHOWN_PATH = 128
_TOKEN_PREFIX = "eyJ"  # noqa: S105
"""How every JSON object begins in base64, and so every token."""
NOTHING = Amount()


class Visit:
    """Filled in stage by stage; what no stage reached stays at its default. Times are seconds of the gate's clock.

    The defaults are the class's own: most stay what they are, and a refusal that is made often should make little.
    """

    enforcement: Enforcement | None = None
    route = ""
    client = ""
    caller: Caller | None = None
    measures: Measures | None = None
    """What the client may ask, by the document that it is judged by."""
    tried_key: str | None = None
    """Which key the credential named that was refused."""
    is_metered = False
    """The client's rate is charged."""
    body_bytes: int | None = None
    body_sha256: str | None = None
    wants_stream = False
    is_let_through = False
    cut_because: Reason | None = None
    """Why the guard itself ended the answer on its way."""
    first_byte: float | None = None
    first_token: float | None = None
    """When a stream's first text came."""
    reading: Reading | None = None
    """How the model's answer is read, once the model is asked."""
    operation: Operation | None = None
    """What the model is asked, once it is."""
    asks: tuple[Capability, ...] = ()
    """What the request wants beyond a text."""
    shows_usage = False
    most = NOTHING
    """What the request may cost, held for it while it is under way."""
    is_alone = False
    """In an endpoint whose guards count together: this one counts alone, since the store is away."""
    is_charged = False
    cost = NOTHING
    """What it is charged, once its answer has ended, however that was."""
    _canonical = b""

    def __init__(self, request_id: str, head: Head, began: float, trace: Trace | None = None) -> None:
        self.request_id = request_id
        self.head = head
        self.began = began
        self.trace = trace
        self.tally = Tally()

    @property
    def profile(self) -> Profile:
        return self.enforcement.profile if self.enforcement else DEFAULT_PROFILE

    @property
    def standing(self) -> bytes:
        return self.caller.standing if self.caller else b""

    def keep_body(self, judged: Body | None) -> None:
        if judged is None:
            return
        self._canonical = judged.canonical
        self.body_bytes = len(judged.canonical)
        self.body_sha256 = hashlib.sha256(judged.canonical).hexdigest()
        self.wants_stream, self.shows_usage = judged.wants_stream, judged.shows_usage
        self.most, self.asks = judged.most, judged.asks

    def charge(self) -> None:
        """The model has it: what it has cost by now is what it has cost."""
        self.is_charged = True
        self.cost = self.tally.spent(held=self.most)

    def spent(self) -> Amount:
        return self.cost

    def hand_over_body(self) -> bytes:
        """The body, once: a long answer must not hold on to what was asked."""
        canonical, self._canonical = self._canonical, b""
        return canonical

    def described(self, reason: Reason, status: int | None) -> dict[str, Value]:
        """The fields of a decision line."""
        document = self.enforcement.document if self.enforcement else None
        fields: dict[str, Value] = {}
        if document and document.store:
            fields["countedBy"] = "Guard" if self.is_alone else "Store"
        if self.trace:
            fields["trace"], fields["span"] = self.trace.id, self.trace.span
        return {
            "reason": reason,
            "status": status,
            **fields,
            "request": self.request_id,
            "client": self.client or None,
            "tier": (self.measures and self.measures.tier) or None,
            **(self.caller.described() if self.caller else {"key": self.tried_key}),
            "method": self.head.method[:16].decode("ascii", "replace"),
            "path": _shown(self.head.path),
            "route": self.route or None,
            "model": document.model if document and self.is_let_through else None,
            "stream": self.wants_stream,
            "capabilities": self.asks,
            "bodyBytes": self.body_bytes,
            "bodySha256": self.body_sha256,
            "heldTokens": None if self.body_bytes is None else self.most.input + self.most.output,
            "documentVersion": document.version if document else None,
        }


def _shown(path: bytes) -> str:
    """The path without its query, bounded, and without anything that might be a key."""
    text = path.partition(b"?")[0][:MAX_SHOWN_PATH].decode("ascii", "replace")
    return "(holds a key)" if KEY_PREFIX in text or _TOKEN_PREFIX in text else text
