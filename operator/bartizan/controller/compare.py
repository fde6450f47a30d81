"""Holds a live object against the manifest, whole: what was changed, what is missing, and what was added."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from kubernetes.utils.quantity import parse_quantity

from bartizan.controller import api_defaults
from bartizan.controller.api_defaults import ANY, Path
from bartizan.policy import names

Manifest = Mapping[str, Any]

TOP_LEVEL_IGNORED = frozenset({"status", "metadata"})
RENDERED_ANNOTATION = f"{names.GROUP}/rendered"
"""Hash of the manifest that was last applied: tells a new manifest from a changed object."""


def differences(desired: Manifest, live: Manifest) -> list[str]:
    """Paths of all differences that are not the API server's own doing; none means that nothing is to be written."""
    kind = desired["kind"]
    wanted = {name: value for name, value in desired.items() if name not in TOP_LEVEL_IGNORED}
    found = {name: value for name, value in live.items() if name not in TOP_LEVEL_IGNORED}
    return [*_metadata(desired["metadata"], live["metadata"]), *_differences(wanted, found, (), kind)]


def replacement(desired: Manifest, live: Manifest) -> dict[str, Any]:
    """The manifest to PUT: the desired one, on top of the resourceVersion that was compared."""
    metadata = {**desired["metadata"], "resourceVersion": live["metadata"]["resourceVersion"]}
    restarted = _annotation(live, api_defaults.RESTART_ANNOTATION)
    if desired["kind"] != "Deployment" or restarted is None:
        return {**desired, "metadata": metadata}
    template = desired["spec"]["template"]
    annotations = {**template["metadata"]["annotations"], api_defaults.RESTART_ANNOTATION: restarted}
    kept = {**template, "metadata": {**template["metadata"], "annotations": annotations}}
    return {**desired, "metadata": metadata, "spec": {**desired["spec"], "template": kept}}


def _annotation(live: Manifest, name: str) -> str | None:
    template = live.get("spec", {}).get("template", {})
    value: str | None = (template.get("metadata", {}).get("annotations") or {}).get(name)
    return value


def _metadata(desired: Manifest, live: Manifest) -> Iterator[str]:
    for field in sorted({*desired, *live} - api_defaults.METADATA_FIELDS):
        wanted, found = desired.get(field), live.get(field)
        if field == "annotations":
            found = {name: text for name, text in (found or {}).items() if name not in api_defaults.ADDED_ANNOTATIONS}
        if field == "finalizers" and live.get("deletionTimestamp"):
            # On the way out: whoever deletes an object may have its dependents deleted or orphaned first.
            found = [name for name in found or () if name not in api_defaults.CASCADE_FINALIZERS]
        if isinstance(wanted, Mapping) or isinstance(found, Mapping):
            yield from _differences(wanted or {}, found or {}, ("metadata", field), "")
        elif (wanted or None) != (found or None):
            yield f"metadata.{field}"


def _differences(desired: Any, live: Any, path: Path, kind: str) -> Iterator[str]:  # noqa: ANN401 - plain JSON
    if isinstance(desired, Mapping) and isinstance(live, Mapping):
        yield from _in_mapping(desired, live, path, kind)
    elif isinstance(desired, list | tuple) and isinstance(live, list):
        yield from _in_list(desired, live, path, kind)
    elif not _equal(desired, live, path):
        yield _text(path)


def _in_mapping(desired: Manifest, live: Manifest, path: Path, kind: str) -> Iterator[str]:
    for name in desired:
        if name in live:
            yield from _differences(desired[name], live[name], (*path, name), kind)
        elif not _is_absent(name, desired[name]):
            yield _text((*path, name))
    for name in live.keys() - desired.keys():
        if not _is_default((*path, name), live[name], kind) and live[name] not in ([], None):
            yield _text((*path, name))


def _in_list(desired: list[Any] | tuple[Any, ...], live: list[Any], path: Path, kind: str) -> Iterator[str]:
    for wanted, found in zip(desired, live, strict=False):
        yield from _differences(wanted, found, (*path, "*"), kind)
    if len(desired) != len(live):
        yield _text(path)


def _is_absent(name: str, desired: Any) -> bool:  # noqa: ANN401 - plain JSON
    """The server drops empty text, lists and maps, and the zero of the fields that it does not store as pointers."""
    return desired in ([], {}, (), "", None) or (name in api_defaults.ABSENT_WHEN_FALSE and not desired)


def _is_default(path: Path, live: Any, kind: str) -> bool:  # noqa: ANN401 - plain JSON
    additions = api_defaults.ADDITIONS.get(kind, {})
    if path not in additions:
        return False
    allowed = additions[path]
    return bool(allowed(live)) if callable(allowed) else allowed is ANY or allowed == live


def _equal(desired: Any, live: Any, path: Path) -> bool:  # noqa: ANN401 - plain JSON
    if type(desired) is type(live) and desired == live:
        return True
    if path[-1] in api_defaults.QUANTITIES or any(parent in api_defaults.QUANTITY_PARENTS for parent in path[:-1]):
        wanted = _quantity(desired)
        return wanted is not None and wanted == _quantity(live)
    return False


def _quantity(value: Any) -> Decimal | None:  # noqa: ANN401 - plain JSON
    try:
        return Decimal(parse_quantity(value))  # type: ignore[no-untyped-call]
    except (ValueError, TypeError):
        return None


def _text(path: Path) -> str:
    return ".".join(path)
