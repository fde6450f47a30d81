"""How long a window is: `30s`, `1m`, `12h`, `1d`, read into seconds."""

import re

from bartizan.policy.nodes import Absent, Node, show

SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
LONGEST_SECONDS = 86_400
"""One day: a longer window would outlive most guards, which keep their counts in memory."""


def judge(node: Node) -> int | Absent:
    """Seconds from 1 to a day."""
    match = re.fullmatch(r"([1-9][0-9]{0,4})([smhd])", node.value) if isinstance(node.value, str) else None
    if match is None:
        return node.refuse(f"{show(node.value)} is not a duration; write a whole number and s, m or h, or 1d")
    seconds = int(match[1]) * SECONDS[match[2]]
    if seconds > LONGEST_SECONDS:
        return node.refuse(f"{show(node.value)} is longer than a day; give 1s to 1d")
    return seconds
