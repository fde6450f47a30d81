"""What must be there before the operator can watch (API server, CRD, rights), and what to do if it is not."""

import asyncio
from dataclasses import dataclass

from bartizan.controller import handlers
from bartizan.controller.api import Api, ApiError
from bartizan.controller.kinds import MODEL_DEPLOYMENT, Kind
from bartizan.controller.settings import Settings
from bartizan.policy import names

RIGHTS_REMEDY = (
    "give the operator's ServiceAccount the rights of the chart: helm upgrade --install, with the namespace in the "
    "value 'namespaces' where that is used"
)
CRD_REMEDY = "install the CRDs: helm upgrade --install with crds.install=true, or kubectl apply -f crds/"


@dataclass(frozen=True, slots=True, order=True)
class Lack:
    """One thing that is missing; `namespace` is empty where it concerns all of them."""

    message: str
    namespace: str
    detail: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Survey:
    """Where the operator can work, and what keeps it from working elsewhere."""

    namespaces: tuple[str, ...]
    """Of those in the settings; empty and `is_usable` means the whole cluster."""
    lacks: tuple[Lack, ...]
    is_usable: bool


async def survey(api: Api, settings: Settings) -> Survey:
    """Tries to list every kind that will be watched, in every namespace to manage."""
    scopes: tuple[str | None, ...] = settings.namespaces or (None,)
    found = await asyncio.gather(*(_look(api, settings, namespace) for namespace in scopes))
    usable = tuple(scope for scope, lacks in zip(scopes, found, strict=True) if not lacks)
    return Survey(
        namespaces=tuple(scope for scope in usable if scope is not None),
        lacks=tuple(sorted({lack for lacks in found for lack in lacks})),
        is_usable=bool(usable),
    )


async def _look(api: Api, settings: Settings, namespace: str | None) -> tuple[Lack, ...]:
    lacks = []
    for kind in (MODEL_DEPLOYMENT, *handlers.owned_kinds(settings)):
        try:
            await api.look(kind, namespace)
        except ApiError as error:
            lack = judge(kind, namespace, error)
            if not lack.namespace and not error.is_forbidden:
                return (lack,)  # the same for every kind; one line says it
            lacks.append(lack)
    return tuple(lacks)


def judge(kind: Kind, namespace: str | None, error: ApiError) -> Lack:
    """What a failed listing means."""
    where = namespace or ""
    if error.is_unreachable:
        return Lack("api server unreachable", "", error.message, "none needed if it comes back; it is tried again")
    if error.status == 401:  # noqa: PLR2004
        return Lack("credentials refused", "", error.message, "check the ServiceAccount's token, or KUBECONFIG")
    if error.is_not_found and kind is MODEL_DEPLOYMENT:
        return Lack("custom resource definition missing", "", f"{names.PLURAL}.{names.GROUP}", CRD_REMEDY)
    if error.is_forbidden:
        return Lack(
            "permission missing", where, f"list and watch {kind.plural}.{kind.group}".rstrip("."), RIGHTS_REMEDY
        )
    return Lack("listing failed", where, f"{kind.plural}: {error}", "none needed if it is a passing fault")
