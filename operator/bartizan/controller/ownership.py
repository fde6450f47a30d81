"""Whose a live object is: ours, a stranger's under a name that we need, or a former life's of the same name."""

from collections.abc import Mapping
from typing import Any

from bartizan.policy import names
from bartizan.policy.model import Identity

Live = Mapping[str, Any]


def is_ours(live: Live, identity: Identity) -> bool:
    """By label, owner or finalizer: whoever strips one of them has not made the object theirs."""
    metadata = live["metadata"]
    labels = metadata.get("labels") or {}
    owners = metadata.get("ownerReferences") or ()
    return (
        labels.get(names.ENDPOINT_UID_LABEL) == identity.uid
        or any(owner.get("uid") == identity.uid for owner in owners)
        or names.FINALIZER in (metadata.get("finalizers") or ())
    )


def is_former(live: Live, identity: Identity) -> bool:
    """Of a ModelDeployment of this name that is no more; the garbage collector is about to take it."""
    labels = live["metadata"].get("labels") or {}
    uid = labels.get(names.ENDPOINT_UID_LABEL)
    return labels.get(names.MANAGED_BY_LABEL) == names.MANAGED_BY and uid is not None and uid != identity.uid


def claimed_manager(live: Live) -> str:
    """The field manager of the newest write, as it calls itself: evidence, not proof."""
    fields = live["metadata"].get("managedFields") or ()
    newest: Live = max(fields, key=lambda entry: entry.get("time", ""), default={})
    return str(newest.get("manager", "unknown"))


def describe_owner(live: Live) -> str:
    """Whom to ask about an object that stands in the way."""
    metadata = live["metadata"]
    owners = [f"{owner.get('kind')} {owner.get('name')}" for owner in metadata.get("ownerReferences") or ()]
    return ", ".join(owners) or f"field manager {claimed_manager(live)!r}"
