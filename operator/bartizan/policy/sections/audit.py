"""spec.audit: what becomes of requests that cannot be written down."""

from collections.abc import Mapping
from typing import Any

from bartizan.policy.shapes import Choice, Record

_CONTINUE = "Continue"

judge = Record({"whenUnavailable": Choice(("Refuse", _CONTINUE))})


def build(section: Mapping[str, Any]) -> bool:
    """Whether requests go on while their audit cannot be written."""
    return section.get("whenUnavailable") == _CONTINUE
