"""The most that a request may cost in tokens, judged before the model sees it, and the caps on what it may ask for.

Nobody but the model's tokenizer knows how many tokens a text has; but each token stands for a byte of it at least, so
the bytes of the body that holds it are a ceiling. What is held for a request is that ceiling; what it is charged is
what was counted in the end.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bartizan.guard.refusal import Refusal
from bartizan.policy.reasons import Reason
from bartizan.policy.tokens import Amount

TOKENS_A_MESSAGE = 8
"""What chat templates write round one message: role, separators, end."""

MOST_BYTES_A_TOKEN = 16
"""Long tokens stand for a word and its space. A text of more bytes than this for each token that is allowed cannot be
read within the limit, whatever the tokenizer, but for runs of blanks and the like; those are refused with it."""


@dataclass(frozen=True, slots=True)
class Caps:
    """Of one request, in tokens; `clamps_output`: too high a wish is lowered, else refused."""

    max_input_tokens: int
    max_output_tokens: int
    clamps_output: bool
    prompt_overhead_tokens: int


@dataclass(frozen=True, slots=True)
class Account:
    """How a route's body says what it may cost. Fields that are absent count as nothing.

    `items` is the field whose items the model reads one by one, `output` those that bound an answer (the first, which
    every server knows, is always set), `choices` those that multiply it; a route without `output` gives no text. With
    `asks_for_usage` a stream tells what it used only when asked. Where the protocol `says_no_output`, the model cannot
    be told how much it may say.
    """

    items: str
    output: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    each_item_is_answered: bool = False
    asks_for_usage: bool = False
    says_no_output: bool = False


def bound(body: dict[str, Any], account: Account, caps: Caps, *, streams: bool) -> int:
    """Writes into the body what the model must be told: the most output, and that a stream's usage is wanted.

    The output that each answer may have.
    """
    if not account.output:
        return caps.max_output_tokens if account.says_no_output else 0
    most = granted = caps.max_output_tokens
    told = [account.output[0]]
    for name in account.output:
        wish = body.pop(name, None)  # a null, too: servers differ in what they make of one
        if wish is None:
            continue
        if wish > most and not caps.clamps_output:
            message = f"{name}: this endpoint gives at most {most} tokens; ask for fewer."
            raise Refusal(Reason.OUTPUT_TOO_LONG, message, param=name)
        granted = min(granted, wish)
        told.append(name)
    for name in told:
        body[name] = granted
    if streams and account.asks_for_usage:
        body["stream_options"] = {**(body.get("stream_options") or {}), "include_usage": True}
    return granted


def ceiling(body: Mapping[str, Any], size_bytes: int, account: Account, caps: Caps, *, each: int) -> Amount:
    """The most that the bounded body of so many bytes may cost, `each` answer being bounded so.

    Raises Refusal where that is beyond the input's cap.
    """
    if size_bytes > caps.max_input_tokens * MOST_BYTES_A_TOKEN:
        message = f"The request's text is longer than {caps.max_input_tokens} tokens can be; shorten it."
        raise Refusal(Reason.INPUT_TOO_LONG, message)
    answers = _largest(body, account.choices)
    if account.each_item_is_answered:
        answers *= items(body, account)
    return Amount(size_bytes + fixed(body, account, caps), each * answers)


def items(body: Mapping[str, Any], account: Account) -> int:
    found = body.get(account.items)
    return len(found) if isinstance(found, list) else 1


def fixed(body: Mapping[str, Any], account: Account, caps: Caps) -> int:
    """The tokens that the model reads beside the text, whatever it says."""
    return items(body, account) * TOKENS_A_MESSAGE + caps.prompt_overhead_tokens


def _largest(body: Mapping[str, Any], names: tuple[str, ...]) -> int:
    """Of the whole numbers in these fields; 1 where there is none."""
    largest = 1
    for name in names:
        wish = body.get(name)
        if wish is not None and wish > largest:
            largest = wish
    return largest
