"""What an answer has cost so far, and what one that cannot be read is called."""

from dataclasses import dataclass

from bartizan.policy.tokens import Amount


class AnswerError(ValueError):
    """What the server sent is no answer of its protocol."""


@dataclass(slots=True)
class Tally:
    """What an answer has cost so far: the server's word, and our own floor: an event with text is a token at least."""

    said: Amount | None = None
    floor: int = 0

    def spent(self, *, held: Amount) -> Amount:
        """The larger of the two counts; input of which the server never spoke counts as what was held for it."""
        if self.said is None:
            return Amount(held.input, self.floor)
        if self.said.output >= self.floor:
            return self.said
        return Amount(self.said.input, self.floor)
