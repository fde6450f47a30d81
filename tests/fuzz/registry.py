"""All targets by name; each is imported when it is asked for."""

import importlib

from tests.fuzz.target import Target

NAMES = (
    "incoming",
    "connection",
    "model_answer",
    "strict_json",
    "schema",
    "canary",
    "bypass",
    "event_stream",
    "stream_answer",
    "typed_stream",
    "whole_answer",
    "rates",
    "budgets",
    "identity",
    "token",
    "jwks",
    "document",
    "notice",
)


def named(name: str) -> Target:
    """The target in the module of that name."""
    if name not in NAMES:
        raise KeyError(f"{name}: no such target; there are {', '.join(NAMES)}")
    found: Target = importlib.import_module(f"tests.fuzz.targets.{name}").TARGET
    return found
