"""How a component's health is asked: one HTTPS or HTTP request, never through a proxy of the environment."""

import json
import ssl
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.localcluster.certificates import Pair

_TIMEOUT_SECONDS = 3


@dataclass(frozen=True)
class Caller:
    """A client certificate and the authority that the server must be signed by."""

    authority: Path
    client: Pair

    def get(self, url: str) -> bytes | None:
        """The body of a 200; None for any other end."""
        context = ssl.create_default_context(cafile=self.authority)
        context.load_cert_chain(self.client.certificate, self.client.key)
        return _get(url, urllib.request.HTTPSHandler(context=context))

    def get_json(self, url: str) -> dict[str, Any] | None:
        body = self.get(url)
        return json.loads(body) if body else None


def is_healthy(url: str) -> bool:
    """For health ports with self-made certificates or none: only the status counts."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return _get(url, urllib.request.HTTPSHandler(context=context)) is not None


def _get(url: str, handler: urllib.request.BaseHandler) -> bytes | None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), handler)
    try:
        with opener.open(url, timeout=_TIMEOUT_SECONDS) as answer:
            return bytes(answer.read())
    except (OSError, urllib.error.URLError):
        return None
