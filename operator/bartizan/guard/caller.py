"""Who asks, as far as it is proved."""

from typing import NamedTuple

from bartizan.guard.audit import Value


class Caller(NamedTuple):
    """`standing` is what a document must hold for this caller to go on: the key's id, or the mark of a token's client.

    A token's `subject` and `pod` are names that its issuer has signed, for the audit.
    """

    client: str
    standing: bytes
    key_id: str | None = None
    issuer: str | None = None
    subject: str | None = None
    pod: str | None = None

    def described(self) -> dict[str, Value]:
        """The fields of a decision line."""
        if self.issuer is None:
            return {"key": self.key_id}
        return {"key": self.key_id, "issuer": self.issuer, "subject": self.subject, "pod": self.pod}
