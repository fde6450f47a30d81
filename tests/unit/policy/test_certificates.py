"""What is said of a certificate: expired, soon, or nothing, by its life and by the clock."""

import pytest

from bartizan.policy import certificates

HOUR, DAY = 3600, 86400


@pytest.mark.parametrize(
    ("life", "left", "said"),
    [
        (90 * DAY, 8 * DAY, "TlsConfigured"),
        (90 * DAY, 6 * DAY, "TlsExpiresSoon"),
        (90 * DAY, 1, "TlsExpiresSoon"),
        (90 * DAY, 0, "TlsExpired"),
        (90 * DAY, -DAY, "TlsExpired"),
        (90 * DAY, 91 * DAY, "TlsExpired"),
        (DAY, 3 * HOUR, "TlsConfigured"),
        (DAY, 2 * HOUR, "TlsExpiresSoon"),
        (3650 * DAY, 8 * DAY, "TlsConfigured"),
    ],
)
def test_a_certificate_is_judged_by_what_is_left_of_its_life(life: int, left: int, said: str) -> None:
    now = 1_800_000_000
    assert certificates.judge(now + left - life, now + left, now=now) == said
