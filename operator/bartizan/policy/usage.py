"""What of an endpoint's long windows is used: each guard says it of its own, and is told what others have used.

A window is named by a digest, so that nobody else in the pod learns from it who the clients are. What is used of it is
a time in whole seconds, rounded up: that after which all that was charged will have leaked out. Half of the window's
seconds mean that half of the guard's share is left, however many guards share.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from bartizan.policy import signed
from bartizan.policy.document import API_VERSION, EndpointRef

MOST_WINDOWS = 512
"""What a status of at most 24 KiB has room for; as many as 64 clients have with eight long windows each."""
MOST_SECONDS = 100 * 86400
"""The longest window is a day; one that was overdrawn takes longer."""
TYPE = "bartizan-guard-usage+jws"

Usage = Mapping[str, int]
"""Seconds by the window's digest (hex); a window that is not named has nothing used."""

_DIGEST = re.compile("[0-9a-f]{32}")


class UsageError(ValueError):
    """What is said of windows cannot be read, or is not for this guard."""


@dataclass(frozen=True, slots=True)
class Notice:
    """What one guard is told; `nonce` is that guard's own word for the next notice that it will take.

    With the first it `begins`: what others have used is used, and nothing is known where `usage` is None. What any
    other says is used besides.
    """

    endpoint: EndpointRef
    nonce: str
    usage: Usage | None
    begins: bool = True


def read(told: object) -> Usage:
    """What somebody says is used; raises UsageError."""
    if not isinstance(told, dict) or len(told) > MOST_WINDOWS:
        raise UsageError(f"usage is no object of at most {MOST_WINDOWS} windows")
    for window, seconds in told.items():
        if not _DIGEST.fullmatch(window) or type(seconds) is not int or not 0 < seconds <= MOST_SECONDS:
            raise UsageError("a window's usage is no number of seconds")
    return told


def encode(notice: Notice, key: Ed25519PrivateKey) -> str:
    """The signed notice, ASCII."""
    payload = {
        "apiVersion": API_VERSION,
        "endpoint": asdict(notice.endpoint),
        "nonce": notice.nonce,
        "usage": notice.usage,
        "begins": notice.begins,
    }
    return signed.sign(signed.canonical(payload), key, kind=TYPE)


def decode(text: bytes, key: Ed25519PublicKey, endpoint: EndpointRef) -> Notice:
    """The notice in `text`, if the operator signed it for this endpoint; raises UsageError."""
    try:
        payload = json.loads(signed.verified(text, key, kind=TYPE))
        told, nonce, begins = payload["usage"], payload["nonce"], payload["begins"]
        is_ours = payload["apiVersion"] == API_VERSION and payload["endpoint"] == asdict(endpoint)
    except (signed.SignatureError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise UsageError(f"the notice cannot be read: {error!r}") from error
    if not is_ours or not isinstance(nonce, str) or not nonce.isascii():
        raise UsageError("the notice is not for a guard of this endpoint")
    if type(begins) is not bool or (told is None and not begins):
        raise UsageError("the notice does not say whether a guard begins with it, or says nothing")
    return Notice(endpoint, nonce, None if told is None else read(told), begins)
