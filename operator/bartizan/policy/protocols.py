"""The protocols that a guard speaks, and what their clients call an endpoint's address and key."""

from collections.abc import Mapping
from enum import StrEnum


class Protocol(StrEnum):
    """What the model's server speaks, and so what the guard lets through."""

    OPENAI = "OpenAI"
    ANTHROPIC = "Anthropic"
    KSERVE_V2 = "KServeV2"


BASE_PATHS: Mapping[Protocol, str] = {Protocol.OPENAI: "/v1", Protocol.ANTHROPIC: "", Protocol.KSERVE_V2: ""}
"""What of a path clients take for a part of the address."""

ENVIRONMENT: Mapping[Protocol, tuple[str, str]] = {
    Protocol.OPENAI: ("OPENAI_API_KEY", "OPENAI_BASE_URL"),
    Protocol.ANTHROPIC: ("ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL"),
    Protocol.KSERVE_V2: ("INFERENCE_API_KEY", "INFERENCE_BASE_URL"),
}
"""Key and address as the protocol's SDKs read them; clients of KServe's read none, and the names are ours. Only those
of the protocol itself: a pod may use two endpoints, and an SDK that found another's address would take its key there.
"""
