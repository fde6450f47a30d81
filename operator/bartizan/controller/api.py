"""The operator's view of the Kubernetes API: a few verbs over plain dicts, with every write counted."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from bartizan.controller import kinds, log, metrics
from bartizan.controller.kinds import (
    CONTROLLER_REVISION,
    DEPLOYMENT,
    EVENT,
    MODEL_DEPLOYMENT,
    NAMESPACE,
    NETWORK_POLICY,
    POD,
    POD_DISRUPTION_BUDGET,
    REPLICA_SET,
    SECRET,
    SERVICE,
    SERVICE_ACCOUNT,
    Kind,
)
from bartizan.policy import names

__all__ = [
    "CONTROLLER_REVISION",
    "DEPLOYMENT",
    "EVENT",
    "MODEL_DEPLOYMENT",
    "NAMESPACE",
    "NETWORK_POLICY",
    "POD",
    "POD_DISRUPTION_BUDGET",
    "REPLICA_SET",
    "SECRET",
    "SERVICE",
    "SERVICE_ACCOUNT",
    "Api",
    "ApiError",
    "Call",
    "Kind",
    "Manifest",
    "Manifests",
    "Transport",
]

Manifest = dict[str, Any]
Manifests = list[Manifest]

CHUNK = 500
"""Objects a page of a LIST: bounds the memory that a large cluster takes."""

APPLY_PATCH = "application/apply-patch+yaml"
MERGE_PATCH = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
JSON = "application/json"
JWK_SET = "application/jwk-set+json"
METADATA_LIST = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"


class ApiError(Exception):
    """The API server refused a request, or did not answer it (status 0).

    Its words, or a webhook's, go to log, status and Events, and may repeat what was sent: keys are taken out here.
    """

    def __init__(self, status: int, reason: str, message: str) -> None:
        message = log.redact(message)
        super().__init__(f"{status} {reason}: {message}" if status else f"{reason}: {message}")
        self.status = status
        self.reason = reason
        self.message = message

    @property
    def is_not_found(self) -> bool:
        return self.status == 404  # noqa: PLR2004

    @property
    def is_conflict(self) -> bool:
        """A precondition failed, or (on create) the object exists."""
        return self.status == 409  # noqa: PLR2004

    @property
    def is_invalid(self) -> bool:
        """No retry can help before the manifest changes."""
        return self.status in {400, 422}

    @property
    def is_forbidden(self) -> bool:
        return self.status == 403 and not self.is_terminating  # noqa: PLR2004

    @property
    def is_terminating(self) -> bool:
        """The namespace is on its way out and takes nothing new."""
        return self.status == 403 and "being terminated" in self.message  # noqa: PLR2004

    @property
    def may_heal(self) -> bool:
        """The same request may succeed later though nobody changes anything."""
        return self.is_unreachable or self.status == 429 or self.status >= 500  # noqa: PLR2004

    @property
    def is_unreachable(self) -> bool:
        """No answer came: the write may or may not have happened."""
        return self.status == 0


@dataclass(frozen=True, slots=True)
class Call:
    """One HTTP request to the API server; `is_repeatable` where sending it twice does what sending it once does."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    body: Any = None
    content_type: str = JSON
    accept: str = JSON
    is_repeatable: bool = False


class Transport(Protocol):
    """Sends calls; the real one is `connection.Connection`."""

    async def send(self, call: Call) -> Manifest:
        """Answer of a call that succeeded; raises `ApiError`."""


class Api:
    """Typed by `Kind`, bounded in time and number, safe to share between workers."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def get(self, kind: Kind, namespace: str | None, name: str) -> Manifest | None:
        """`None` where there is no such object."""
        path = kind.path(namespace, name)
        try:
            return await self._send("get", kind, Call("GET", path, is_repeatable=True))
        except ApiError as error:
            if error.is_not_found:
                return None
            raise

    async def list(
        self, kind: Kind, namespace: str | None = None, *, labels: Mapping[str, str] | None = None
    ) -> Manifests:
        """Every object of a namespace, or of the cluster with `None`; `labels` is matched by the server."""
        return await self._list(kind, namespace, labels, JSON)

    async def list_metadata(
        self, kind: Kind, namespace: str | None = None, *, labels: Mapping[str, str] | None = None
    ) -> Manifests:
        """As `list`, of each object only its `metadata`: a fraction of the bytes."""
        return await self._list(kind, namespace, labels, METADATA_LIST)

    async def page(self, path: str) -> Manifest:
        """What the API server says at a path that is no object's, such as its issuer's keys."""
        return await self._transport.send(Call("GET", path, accept=f"{JSON}, {JWK_SET}", is_repeatable=True))

    async def look(self, kind: Kind, namespace: str | None = None) -> None:
        """Raises `ApiError` where the kind cannot be listed: it does not exist, or we may not."""
        query = (("limit", "1"),)
        call = Call("GET", kind.path(namespace), query, accept=METADATA_LIST, is_repeatable=True)
        await self._send("list", kind, call)

    async def apply(
        self, manifest: Manifest, *, manager: str = names.FIELD_MANAGER, subresource: str | None = None
    ) -> Manifest:
        """Server-side apply with force; creates what is absent."""
        kind, namespace, name = _target(manifest)
        path = kind.path(namespace, name, subresource=subresource)
        query = (("fieldManager", manager), ("force", "true"))
        call = Call("PATCH", path, query, body=manifest, content_type=APPLY_PATCH, is_repeatable=True)
        return await self._write("apply", kind, call)

    async def create(self, manifest: Manifest) -> Manifest:
        kind, namespace, _ = _target(manifest)
        return await self._write("create", kind, Call("POST", kind.path(namespace), _MANAGER, body=manifest))

    async def try_create(self, manifest: Manifest) -> None:
        """Nothing is stored; raises what a create would: a conflict where the name is taken, once all else is right."""
        kind, namespace, _ = _target(manifest)
        call = Call("POST", kind.path(namespace), (*_MANAGER, ("dryRun", "All")), body=manifest, is_repeatable=True)
        await self._send("try", kind, call)

    async def replace(self, manifest: Manifest) -> Manifest:
        """PUT; the manifest's `metadata.resourceVersion` is the precondition."""
        kind, namespace, name = _target(manifest)
        return await self._write("replace", kind, Call("PUT", kind.path(namespace, name), _MANAGER, body=manifest))

    async def patch_merge(
        self, kind: Kind, namespace: str, name: str, body: Manifest, subresource: str | None = None
    ) -> Manifest:
        path = kind.path(namespace, name, subresource=subresource)
        call = Call("PATCH", path, _MANAGER, body=body, content_type=MERGE_PATCH, is_repeatable=True)
        return await self._write("patch", kind, call)

    async def patch_json(
        self,
        kind: Kind,
        namespace: str,
        name: str,
        operations: Sequence[Manifest],
        subresource: str | None = None,
    ) -> Manifest:
        """RFC 6902; put a `test` first where the change rests on what was read."""
        path = kind.path(namespace, name, subresource=subresource)
        call = Call("PATCH", path, _MANAGER, body=list(operations), content_type=JSON_PATCH)
        return await self._write("patch", kind, call)

    async def delete(  # noqa: PLR0913 - the three preconditions are the API's own
        self,
        kind: Kind,
        namespace: str | None,
        name: str,
        *,
        uid: str | None = None,
        resource_version: str | None = None,
        propagation: str | None = None,
    ) -> None:
        """Absent already is as good; `uid` and `resource_version` are preconditions (409 where they do not hold)."""
        options = _delete_options(uid, resource_version, propagation)
        call = Call("DELETE", kind.path(namespace, name), body=options, is_repeatable=True)
        try:
            await self._write("delete", kind, call)
        except ApiError as error:
            if not error.is_not_found:
                raise

    async def _list(
        self, kind: Kind, namespace: str | None, labels: Mapping[str, str] | None, accept: str
    ) -> Manifests:
        items: Manifests = []
        after: str | None = ""
        while after is not None:
            query = _page(labels, after)
            call = Call("GET", kind.path(namespace), query, accept=accept, is_repeatable=True)
            answer = await self._send("list", kind, call)
            # A list's items come without their type; a reader should not have to know where an object is from.
            items += [{**item, "apiVersion": kind.api_version, "kind": kind.kind} for item in answer.get("items") or ()]
            after = answer.get("metadata", {}).get("continue") or None
        return items

    async def _write(self, verb: str, kind: Kind, call: Call) -> Manifest:
        metrics.WRITES.labels(verb=verb, kind=kind.kind).inc()
        return await self._send(verb, kind, call)

    async def _send(self, verb: str, kind: Kind, call: Call) -> Manifest:
        try:
            return await self._transport.send(call)
        except ApiError as error:
            if not (verb == "get" and error.is_not_found):
                metrics.API_ERRORS.labels(verb=verb, kind=kind.kind, status=str(error.status)).inc()
            if kind is SECRET and isinstance(call.body, dict):
                raise _without_content(error, call.body) from None
            raise


_MANAGER = (("fieldManager", names.FIELD_MANAGER),)


def _without_content(error: ApiError, body: Manifest) -> ApiError:
    """For an error of a Secret's write: nothing of its data, encoded or not, whatever it looks like."""
    message = error.message
    for encoded in filter(None, (body.get("data") or {}).values()):
        content = base64.b64decode(encoded)
        for form in (encoded, content.decode("utf-8", "replace"), content.decode("latin-1"), content.hex()):
            message = message.replace(form, log.REDACTED) if form else message
    return ApiError(error.status, error.reason, message)


def _target(manifest: Manifest) -> tuple[Kind, str | None, str]:
    metadata = manifest["metadata"]
    name = metadata.get("name") or ""  # create with generateName has none
    return kinds.of(manifest["apiVersion"], manifest["kind"]), metadata.get("namespace"), name


def _page(labels: Mapping[str, str] | None, after: str) -> tuple[tuple[str, str], ...]:
    query = [("limit", str(CHUNK))]
    if labels:
        query.append(("labelSelector", ",".join(f"{key}={value}" for key, value in sorted(labels.items()))))
    if after:
        query.append(("continue", after))
    return tuple(query)


def _delete_options(uid: str | None, resource_version: str | None, propagation: str | None) -> Manifest:
    preconditions = {"uid": uid, "resourceVersion": resource_version}
    options: Manifest = {"apiVersion": "v1", "kind": "DeleteOptions"}
    if held := {key: value for key, value in preconditions.items() if value}:
        options["preconditions"] = held
    if propagation:
        options["propagationPolicy"] = propagation
    return options
