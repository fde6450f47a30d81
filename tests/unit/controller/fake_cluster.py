"""A small API server in memory: enough of one to reconcile against, with every write noted and any call refusable."""

import itertools
from collections.abc import Callable
from copy import deepcopy
from typing import Any
from urllib.parse import unquote

from bartizan.controller.api import APPLY_PATCH, ApiError, Call
from bartizan.controller.kinds import Kind

Live = dict[str, Any]
Address = tuple[str, str | None, str]
"""Plural, namespace and name."""
Refuse = Callable[[Call], ApiError | None]
DELETED_AT = "2026-01-01T00:00:00Z"


class FakeCluster:
    """A transport over `objects`; `refuse` may answer a call with an error, `writes` are the calls that changed one."""

    def __init__(self) -> None:
        self.objects: dict[Address, Live] = {}
        self.writes: list[Call] = []
        self.refuse: Refuse = lambda _: None
        self._numbers = itertools.count(100)

    def put(self, kind: Kind, manifest: Live) -> Live:
        """As somebody else's write."""
        return self._store((kind.plural, manifest["metadata"].get("namespace"), manifest["metadata"]["name"]), manifest)

    def get(self, kind: Kind, namespace: str | None, name: str) -> Live | None:
        return self.objects.get((kind.plural, namespace, name))

    def must_get(self, kind: Kind, namespace: str | None, name: str) -> Live:
        return self.objects[kind.plural, namespace, name]

    def take(self, kind: Kind, namespace: str | None, name: str) -> None:
        """Away with it, whatever holds it."""
        self.objects.pop((kind.plural, namespace, name), None)

    async def send(self, call: Call) -> Live:
        if error := self.refuse(call):
            raise error
        plural, namespace, name = _address(call.path)
        if call.method == "GET":
            return self._read((plural, namespace, name)) if name else self._list(plural, namespace, call)
        if ("dryRun", "All") in call.query:
            return self._try((plural, namespace, call.body["metadata"]["name"]), call.body)
        self.writes.append(call)
        if call.method == "POST":
            return self._create(plural, namespace, call.body)
        return self._write(call, (plural, namespace, name))

    def _read(self, address: Address) -> Live:
        if address not in self.objects:
            raise ApiError(404, "NotFound", f"{address[0]} {address[2]!r} not found")
        return deepcopy(self.objects[address])

    def _list(self, plural: str, namespace: str | None, call: Call) -> Live:
        terms = dict(call.query).get("labelSelector", "").split(",")
        wanted = dict(term.split("=") for term in terms if term)
        items = [
            deepcopy(item)
            for address, item in self.objects.items()
            if address[0] == plural and namespace in (None, address[1]) and wanted.items() <= _labels(item).items()
        ]
        return {"metadata": {}, "items": items}

    def _try(self, address: Address, body: Live) -> Live:
        if address in self.objects:
            raise ApiError(409, "AlreadyExists", f"{address[0]} {address[2]!r} already exists")
        return body

    def _create(self, plural: str, namespace: str | None, body: Live) -> Live:
        name = body["metadata"].get("name") or f"{body['metadata']['generateName']}{next(self._numbers)}"
        address = (plural, namespace, name)
        if address in self.objects:
            raise ApiError(409, "AlreadyExists", f"{plural} {name!r} already exists")
        return self._store(address, {**body, "metadata": {**body["metadata"], "name": name}})

    def _write(self, call: Call, address: Address) -> Live:
        if call.method == "PATCH" and call.content_type == APPLY_PATCH:
            return self._store(address, call.body)
        found = self._read(address)
        if call.method == "DELETE":
            return self._delete(address, found)
        if call.method == "PUT":
            return self._replace(address, found, call.body)
        if isinstance(call.body, list):
            for operation in call.body:
                _operate(found, operation)
        else:
            _expect(found, call.body.get("metadata", {}))
            _merge(found, {**call.body, "metadata": _without(call.body.get("metadata", {}), "resourceVersion", "uid")})
        return self._store(address, found)

    def _replace(self, address: Address, found: Live, body: Live) -> Live:
        _expect(found, body["metadata"])
        kept = {name: found["metadata"][name] for name in ("uid", "deletionTimestamp") if name in found["metadata"]}
        return self._store(address, {**body, "metadata": {**body["metadata"], **kept}})

    def _delete(self, address: Address, found: Live) -> Live:
        if not found["metadata"].get("finalizers"):
            del self.objects[address]
            return {}
        found["metadata"]["deletionTimestamp"] = DELETED_AT
        return self._store(address, found)

    def _store(self, address: Address, manifest: Live) -> Live:
        stored = deepcopy(manifest)
        metadata = stored["metadata"]
        metadata.setdefault(
            "uid", self.objects.get(address, {}).get("metadata", {}).get("uid", f"u{next(self._numbers)}")
        )
        metadata["resourceVersion"] = str(next(self._numbers))
        if "deletionTimestamp" in metadata and not metadata.get("finalizers"):
            self.objects.pop(address, None)
        else:
            self.objects[address] = stored
        return deepcopy(stored)


def _address(path: str) -> tuple[str, str | None, str]:
    parts = [unquote(part) for part in path.strip("/").split("/")]
    parts = parts[2:] if parts[0] == "api" else parts[3:]
    namespace = None
    if parts[0] == "namespaces" and len(parts) > 2:
        namespace, parts = parts[1], parts[2:]
    return parts[0], namespace, parts[1] if len(parts) > 1 else ""


def _labels(item: Live) -> dict[str, str]:
    return item["metadata"].get("labels") or {}


def _without(mapping: Live, *names: str) -> Live:
    return {name: value for name, value in mapping.items() if name not in names}


def _expect(found: Live, metadata: Live) -> None:
    for name in ("uid", "resourceVersion"):
        if metadata.get(name, found["metadata"][name]) != found["metadata"][name]:
            raise ApiError(409, "Conflict", f"{name} is another")


def _merge(target: Live, change: Live) -> None:
    for name, value in change.items():
        if value is None:
            target.pop(name, None)
        elif isinstance(value, dict) and isinstance(target.get(name), dict):
            _merge(target[name], value)
        else:
            target[name] = deepcopy(value)


def _operate(target: Any, operation: Live) -> None:
    """`remove` alone; a `test` is believed."""
    if operation["op"] != "remove":
        return
    *parents, last = operation["path"].strip("/").split("/")
    for parent in parents:
        target = target[int(parent)] if isinstance(target, list) else target[parent]
    target.pop(int(last) if isinstance(target, list) else last)
