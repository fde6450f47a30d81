"""What a request may ask of a model beyond a text for a text, in the words of every protocol together."""

from enum import StrEnum


class Capability(StrEnum):
    """Each by itself may be shut. Images have their own terms, see policy.media."""

    LOG_PROBS = "LogProbs"
    """How likely the model held each token, and which others: what copies of a model are made from."""
    MANY_ANSWERS = "ManyAnswers"
    """Several answers to one request, or to several prompts in one: the one that a filter misses is among more."""
    REASONING = "Reasoning"
    STRUCTURED_OUTPUT = "StructuredOutput"
    """An answer in a form that the caller gives, which may leave no room for a refusal."""
    TOKEN_BIAS = "TokenBias"  # noqa: S105 -- of a model's tokens
    """Tokens that the model is to prefer or to avoid, such as those that refusals begin with."""
    TOOLS = "Tools"
    """Functions that the model may call: acts instead of words."""


ALL = tuple(Capability)
"""What passes where an owner says nothing."""
