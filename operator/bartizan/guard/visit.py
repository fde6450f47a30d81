"""What is learnt of one request on its way, for audit and metrics."""

import hashlib
from dataclasses import dataclass

from bartizan.guard.audit import Value
from bartizan.guard.enforcement import Enforcement
from bartizan.guard.request import Head
from bartizan.policy.keys import KEY_PREFIX

MAX_SHOWN_PATH = 128
UNKNOWN_ROUTE = "none"


@dataclass(slots=True)
class Visit:
    """Filled in stage by stage; what no stage reached stays at its default. Times are seconds of the gate's clock."""

    request_id: str
    head: Head
    began: float
    enforcement: Enforcement | None = None
    route: str = UNKNOWN_ROUTE
    client: str | None = None
    key_id: str | None = None
    canonical: bytes | None = None
    wants_stream: bool = False
    is_let_through: bool = False
    first_byte: float | None = None

    def described(self) -> dict[str, Value]:
        """The fields of a decision line."""
        enforcement = self.enforcement
        return {
            "request": self.request_id,
            "client": self.client,
            "key": self.key_id,
            "method": self.head.method[:16].decode("ascii", "replace"),
            "path": _shown(self.head.path),
            "route": self.route,
            "model": enforcement.document.model if enforcement and self.is_let_through else None,
            "stream": self.wants_stream,
            "bodyBytes": None if self.canonical is None else len(self.canonical),
            "bodySha256": None if self.canonical is None else hashlib.sha256(self.canonical).hexdigest(),
            "documentVersion": enforcement.document.version if enforcement else None,
        }


def _shown(path: bytes) -> str:
    """The path without its query, bounded, and without anything that might be a key."""
    text = path.partition(b"?")[0][:MAX_SHOWN_PATH].decode("ascii", "replace")
    return "(holds a key)" if KEY_PREFIX in text else text
