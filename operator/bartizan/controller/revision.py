"""The last accepted spec and its rendered pod template, kept in a ControllerRevision and sealed against other writers.

Two promises rest on it. A bad edit is no outage: what was accepted last stays in force. An operator's upgrade restarts
nothing: the pod template is rendered when the owner changes something about the pods, and is kept word for word until
the next such change, however later versions would render it.
"""

import hashlib
import hmac
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from bartizan.controller.builders.surroundings import metadata
from bartizan.policy import keys
from bartizan.policy.identity import Identity
from bartizan.policy.keys import Hidden
from bartizan.policy.model import Manifest


@dataclass(frozen=True, slots=True)
class Accepted:
    """`pod_inputs` is the hash of what the pod template was rendered from, `guard_image` the image it names.

    Another version of the operator may read it, or have written it. Fields with a default may be missing, and are then
    those of no endpoint; a new field needs a default.
    """

    revision: int
    spec: Manifest
    pod_template: Manifest
    pod_inputs: str = ""
    guard_image: str = ""
    document_key: str = ""


_DEFAULTED = ("pod_inputs", "guard_image", "document_key")


def pod_inputs(spec: Manifest) -> str:
    """Hash of those parts of the spec that the pods are made from; a change of others restarts nothing."""
    parts = {name: spec.get(name) for name in ("template", "serving")}
    if tokenizer := (spec.get("limits") or {}).get("tokenizer"):  # only then, so that no other hash changes
        parts["tokenizer"] = tokenizer
    return hashlib.sha256(_canonical(parts)).hexdigest()


def build(identity: Identity, accepted: Accepted, root: Hidden) -> dict[str, Any]:
    payload = _canonical(asdict(accepted))
    return {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": metadata(identity, f"{identity.name}.{accepted.revision}"),
        "revision": accepted.revision,
        "data": {"payload": payload.decode(), "mac": keys.revision_mac(root, identity, payload)},
    }


def sealed(revisions: Iterable[Manifest], identity: Identity, root: Hidden) -> tuple[Accepted, ...]:
    """Those revisions whose seal holds, the newest last; others are as if they were not there."""
    found = [accepted for item in revisions if (accepted := _open(item, identity, root))]
    return tuple(sorted(found, key=lambda accepted: accepted.revision))


def _open(item: Manifest, identity: Identity, root: Hidden) -> Accepted | None:
    data = item.get("data") or {}
    payload, mac = data.get("payload"), data.get("mac")
    if not isinstance(payload, str) or not isinstance(mac, str):
        return None
    if not hmac.compare_digest(keys.revision_mac(root, identity, payload.encode()).encode(), mac.encode()):
        return None
    return _read(json.loads(payload))


def _read(payload: object) -> Accepted | None:
    """None without what makes it a revision; what this version does not know is left out."""
    if not isinstance(payload, dict):
        return None
    number, spec, template = (payload.get(name) for name in ("revision", "spec", "pod_template"))
    if type(number) is not int or not isinstance(spec, dict) or not isinstance(template, dict):
        return None
    rest = {name: text for name in _DEFAULTED if isinstance(text := payload.get(name), str)}
    return Accepted(number, spec, template, **rest)


def _canonical(value: Any) -> bytes:  # noqa: ANN401 - plain JSON
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
