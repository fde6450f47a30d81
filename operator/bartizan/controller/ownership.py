"""Whose a live object is: ours, a stranger's under a name that we need, or a former life's of the same name."""

from collections.abc import Mapping
from typing import Any

from bartizan.controller import api_defaults
from bartizan.policy import names
from bartizan.policy.identity import Identity

Live = Mapping[str, Any]


def is_ours(live: Live, identity: Identity) -> bool:
    """By label, owner or finalizer: whoever strips one of them has not made the object theirs."""
    return (
        _labels(live).get(names.ENDPOINT_UID_LABEL) == identity.uid
        or any(owner.get("uid") == identity.uid for owner in _owners(live))
        or names.FINALIZER in (live["metadata"].get("finalizers") or ())
        or (_is_labelled(live, identity) and not _endpoints(live))
    )


def is_former(live: Live, identity: Identity) -> bool:
    """Of a ModelDeployment of this name that is no more; the garbage collector is about to take it."""
    return _is_labelled(live, identity) and any(owner.get("uid") != identity.uid for owner in _endpoints(live))


def claimed_manager(live: Live) -> str:
    """The field manager of the newest write, as it calls itself: evidence, not proof.

    Times are whole seconds, and a Deployment's own controller follows every change with a note of its own; where that
    leaves a choice, it is the one that we know the least.
    """
    fields = live["metadata"].get("managedFields") or ()
    writers = [entry for entry in fields if entry.get("subresource") != "status" and not _is_revision_note(entry)]
    newest: Live = max(
        writers, key=lambda entry: (entry.get("time", ""), entry.get("manager") != names.FIELD_MANAGER), default={}
    )
    return str(newest.get("manager", "unknown"))


def describe_owner(live: Live) -> str:
    """Whom to ask about an object that stands in the way."""
    owners = [f"{owner.get('kind')} {owner.get('name')}" for owner in _owners(live)]
    return ", ".join(owners) or f"field manager {claimed_manager(live)!r}"


def _is_labelled(live: Live, identity: Identity) -> bool:
    labels = _labels(live)
    return labels.get(names.MANAGED_BY_LABEL) == names.MANAGED_BY and labels.get(names.ENDPOINT_LABEL) == identity.name


def _endpoints(live: Live) -> list[Live]:
    """The ModelDeployments that own it."""
    return [owner for owner in _owners(live) if owner.get("kind") == names.KIND]


def _owners(live: Live) -> list[Live]:
    return list(live["metadata"].get("ownerReferences") or ())


def _labels(live: Live) -> Live:
    labels: Live = live["metadata"].get("labels") or {}
    return labels


def _is_revision_note(entry: Live) -> bool:
    """A write of nothing but the annotations that the Deployment's controller keeps."""
    metadata = entry.get("fieldsV1", {}).get("f:metadata", {})
    noted = {name.removeprefix("f:") for name in metadata.get("f:annotations", {})} - {"."}
    return set(entry.get("fieldsV1", {})) <= {"f:metadata"} and bool(noted) and noted <= api_defaults.ADDED_ANNOTATIONS
