"""Tells a client what is left of its limits, in the headers that OpenAI's clients know."""

from bartizan.policy.limits import NANOSECONDS, Allowance

_MILLISECOND = NANOSECONDS // 1000
_HOUR, _MINUTE = 3600, 60


_LINES = (
    b"x-ratelimit-limit-requests: %d\r\n"
    b"x-ratelimit-remaining-requests: %d\r\n"
    b"x-ratelimit-reset-requests: %b\r\n"
    b"x-ratelimit-limit-tokens: %d\r\n"
    b"x-ratelimit-remaining-tokens: %d\r\n"
    b"x-ratelimit-reset-tokens: %b\r\n"
)


def headers(requests: Allowance, tokens: Allowance) -> bytes:
    return _LINES % (*requests[:2], span(requests.reset_ns), *tokens[:2], span(tokens.reset_ns))


def span(nanoseconds: int) -> bytes:
    """A time as OpenAI writes it: 350ms, 12s, 6m0s, 2h0m5s; rounded up."""
    if nanoseconds < NANOSECONDS:
        return b"%dms" % -(-nanoseconds // _MILLISECOND)
    minutes, seconds = divmod(-(-nanoseconds // NANOSECONDS), _MINUTE)
    hours, minutes = divmod(minutes, _HOUR // _MINUTE)
    if hours:
        return b"%dh%dm%ds" % (hours, minutes, seconds)
    return b"%dm%ds" % (minutes, seconds) if minutes else b"%ds" % seconds
