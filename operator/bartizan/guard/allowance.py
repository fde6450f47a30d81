"""Tells a client what is left of its limits, in the headers that OpenAI's clients know."""

from bartizan.guard.reply import Headers
from bartizan.policy.limits import NANOSECONDS, Allowance

_MILLISECOND = NANOSECONDS // 1000
_HOUR, _MINUTE = 3600, 60


def headers(requests: Allowance, tokens: Allowance) -> Headers:
    return [*_of(b"requests", requests), *_of(b"tokens", tokens)]


def _of(what: bytes, left: Allowance) -> Headers:
    return [
        (b"x-ratelimit-limit-" + what, b"%d" % left.limit),
        (b"x-ratelimit-remaining-" + what, b"%d" % left.remaining),
        (b"x-ratelimit-reset-" + what, span(left.reset_ns)),
    ]


def span(nanoseconds: int) -> bytes:
    """A time as OpenAI writes it: 350ms, 12s, 6m0s, 2h0m5s; rounded up."""
    if nanoseconds < NANOSECONDS:
        return b"%dms" % -(-nanoseconds // _MILLISECOND)
    minutes, seconds = divmod(-(-nanoseconds // NANOSECONDS), _MINUTE)
    hours, minutes = divmod(minutes, _HOUR // _MINUTE)
    if hours:
        return b"%dh%dm%ds" % (hours, minutes, seconds)
    return b"%dm%ds" % (minutes, seconds) if minutes else b"%ds" % seconds
