"""What must be there before the operator can watch (API server, CRD, rights), and what to do if it is not."""

import asyncio
from dataclasses import dataclass, field

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
    """One thing that is missing; `namespace` is empty where it concerns all of them, `subject` where it has none."""

    message: str
    namespace: str
    subject: str
    remedy: str
    detail: str = field(default="", compare=False)
    """Words of the error, which may be others each time."""


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


async def contact(api: Api, survey: Survey) -> Lack | None:
    """What is wrong with the least that every watch needs; None where nothing is."""
    namespace = survey.namespaces[0] if survey.namespaces else None
    try:
        await api.look(MODEL_DEPLOYMENT, namespace)
    except ApiError as error:
        return judge(MODEL_DEPLOYMENT, namespace, error)
    return None


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
    where, said = namespace or "", error.message
    if error.is_unreachable:
        return Lack("api server unreachable", "", "", "none needed if it comes back: it is tried again", said)
    if error.status == 401:  # noqa: PLR2004
        return Lack("credentials refused", "", "", "check the ServiceAccount's token, or KUBECONFIG", said)
    if error.is_not_found and kind is MODEL_DEPLOYMENT:
        return Lack("custom resource definition missing", "", f"{names.PLURAL}.{names.GROUP}", CRD_REMEDY)
    resource = f"{kind.plural}.{kind.group}".rstrip(".")
    if error.is_forbidden:
        return Lack("permission missing", where, f"list and watch {resource}", RIGHTS_REMEDY, said)
    return Lack("listing failed", where, resource, "none needed if it is a passing fault", str(error))
