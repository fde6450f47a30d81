"""What is to be said of a certificate at a given time."""

from bartizan.policy.reasons import Reason

SOON_SECONDS = 7 * 86400
"""Whoever renews by hand has a week; whoever has it renewed sees that it was not."""
SOON_PART = 10
"""Of a short life a tenth: a certificate of a day is renewed every few hours, and not a week before its end."""


def judge(not_before: int, not_after: int, *, now: float) -> Reason:
    """TlsExpired (also where it is not valid yet), TlsExpiresSoon or TlsConfigured; times are Unix seconds."""
    if not not_before <= now < not_after:
        return Reason.TLS_EXPIRED
    if not_after - now < min(SOON_SECONDS, (not_after - not_before) / SOON_PART):
        return Reason.TLS_EXPIRES_SOON
    return Reason.TLS_CONFIGURED
