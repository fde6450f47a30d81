"""Every setting of the operator: environment variable, flag, default and help text, declared once."""

import argparse
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bartizan.controller import stores
from bartizan.controller.stores import Store
from bartizan.policy import issuers
from bartizan.policy.issuers import IssuerSetting

ENVIRONMENT_PREFIX = "BARTIZAN_"


class SettingsError(ValueError):
    """A setting is missing or wrong; the text names it and the remedy."""


def _text(text: str) -> str:
    return text


def _names(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))


def _labels(text: str) -> tuple[tuple[str, str], ...]:
    pairs = [part.partition("=") for part in _names(text)]
    if any(not key or not equals for key, equals, _ in pairs):
        raise ValueError("is not a list of key=value pairs")
    return tuple((key, value) for key, _, value in pairs)


def _flag(text: str) -> bool:
    if text.lower() not in {"true", "false"}:
        raise ValueError("is neither true nor false")
    return text.lower() == "true"


def _between(low: float, high: float) -> Callable[[str], float]:
    def parse(text: str) -> float:
        value = float(text)
        if not low <= value <= high:
            raise ValueError(f"is not between {low:g} and {high:g}")
        return value

    return parse


def _whole(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        value = int(text)
        if not low <= value <= high:
            raise ValueError(f"is not between {low} and {high}")
        return value

    return parse


def _one_of(*words: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in words:
            raise ValueError(f"is not one of {', '.join(words)}")
        return text

    return parse


def _setting(default: str | None, parse: Callable[[str], Any], explanation: str) -> Any:  # noqa: ANN401 - as dataclasses.field
    """`default` is text, as the environment would give it; `None` where the setting is required."""
    metadata = {"default": default, "parse": parse, "help": explanation}
    if default is None:
        return dataclasses.field(metadata=metadata)
    return dataclasses.field(default=parse(default), metadata=metadata)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Field `guard_image` is `BARTIZAN_GUARD_IMAGE` in the environment and `--guard-image` on the command line."""

    namespace: str = _setting("bartizan-system", _text, "Namespace that the operator runs in; holds the root key.")
    pod_labels: tuple[tuple[str, str], ...] = _setting(
        "app.kubernetes.io/name=bartizan,app.kubernetes.io/component=operator",
        _labels,
        "Labels of the operator's own pods: only they may reach the guards' status port.",
    )
    guard_image: str = _setting(None, _text, "Image of guard and launcher; by digest where it can be.")
    guard_pull_policy: str = _setting(
        "IfNotPresent", _one_of("Always", "IfNotPresent", "Never"), "Pull policy of the guard's image."
    )
    namespaces: tuple[str, ...] = _setting("", _names, "Namespaces to manage, separated by commas; empty: all.")
    watch_secrets: bool = _setting(
        "false", _flag, "Watch owned Secrets, too; only where the operator may read Secrets in `namespaces`."
    )
    monitoring_namespace: str = _setting(
        "", _text, "Namespace whose pods may scrape the guards' metrics; empty: nobody may."
    )
    monitoring_pod_labels: tuple[tuple[str, str], ...] = _setting(
        "", _labels, "Labels of the pods in the monitoring namespace that may scrape; empty: all of them."
    )
    dns_namespace: str = _setting("kube-system", _text, "Namespace of the cluster's DNS, for models with named egress.")
    dns_pod_labels: tuple[tuple[str, str], ...] = _setting(
        "k8s-app=kube-dns", _labels, "Labels of the cluster's DNS pods, for models with named egress."
    )
    issuers: tuple[IssuerSetting, ...] = _setting(
        "[]", issuers.parse, "Issuers whose tokens endpoints may name, as a JSON list of the chart's fields."
    )
    resync_seconds: float = _setting(
        "600", _between(1, 86400), "Time between two looks at everything; bounds how long unseen drift can last."
    )
    look_seconds: float = _setting(
        "15",
        _between(1, 300),
        "Time between two looks at what no event tells of: rights, the CRD, endpoints outside of managed namespaces.",
    )
    workers: int = _setting("8", _whole(1, 64), "ModelDeployments that are reconciled at the same time.")
    guard_rollout: str = _setting(
        "OnSpecChange",
        _one_of("OnSpecChange", "Paced"),
        "When a new guard image is taken: at the next change of template or serving, or by a paced roll-out.",
    )
    guard_rollout_interval_seconds: float = _setting(
        "60", _between(1, 86400), "Paced roll-out: time between two ModelDeployments."
    )
    stores: tuple[Store, ...] = _setting(
        "", stores.read, "Stores in which guards may count together, as JSON; endpoints choose one by its name."
    )
    store_credentials: str = _setting(
        "/run/bartizan/stores", _text, "Directory that holds each store's `password`, and `username`, if it has one."
    )
    root_secret: str = _setting("bartizan-root", _text, "Secret in the operator's namespace that holds the root key.")
    log_format: str = _setting("json", _one_of("json", "text"), "Form of the log lines.")
    log_level: str = _setting("info", _one_of("debug", "info", "warning", "error"), "Least level that is logged.")
    health_port: int = _setting("8080", _whole(0, 65535), "Port of /livez and /readyz; 0: any free one.")
    metrics_port: int = _setting("9090", _whole(0, 65535), "Port of /metrics; 0: any free one.")

    def manages(self, namespace: str) -> bool:
        """Whether the operator was given this namespace."""
        return not self.namespaces or namespace in self.namespaces


@dataclass(frozen=True, slots=True)
class Declaration:
    """One setting as the reference shows it."""

    field: str
    default: str | None
    explanation: str
    parse: Callable[[str], Any]

    @property
    def variable(self) -> str:
        return ENVIRONMENT_PREFIX + self.field.upper()

    @property
    def flag(self) -> str:
        return "--" + self.field.replace("_", "-")


def declarations() -> tuple[Declaration, ...]:
    """Every setting, in order."""
    return tuple(
        Declaration(item.name, item.metadata["default"], item.metadata["help"], item.metadata["parse"])
        for item in dataclasses.fields(Settings)
    )


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds one flag for each setting."""
    for declared in declarations():
        default = "required" if declared.default is None else f"default: {declared.default!r}"
        text = f"{declared.explanation} [{declared.variable}; {default}]".replace("%", "%%")
        parser.add_argument(declared.flag, dest=declared.field, metavar="VALUE", help=text)


def load(environment: Mapping[str, str], arguments: Sequence[str] = ()) -> Settings:
    """A flag goes before its variable, a variable before the default; `SettingsError` names every wrong one."""
    parser = argparse.ArgumentParser(
        prog="bartizan operator", description="Gates every model endpoint of the cluster.", allow_abbrev=False
    )
    configure(parser)
    return parse(environment, vars(parser.parse_args(arguments)))


def parse(environment: Mapping[str, str], flags: Mapping[str, str | None]) -> Settings:
    """As `load`, for flags that have been parsed already."""
    values: dict[str, Any] = {}
    problems: list[str] = []
    for declared in declarations():
        text = flags.get(declared.field)
        text = environment.get(declared.variable) if text is None else text
        text = declared.default if text is None or (not text and declared.default) else text
        try:
            values[declared.field] = _parse_one(declared, text)
        except ValueError as error:
            problems.append(f"{declared.variable} (or {declared.flag}): {error}")
    problems += _contradictions(values)
    if problems:
        raise SettingsError("; ".join(problems))
    return Settings(**values)


def _parse_one(declared: Declaration, text: str | None) -> Any:  # noqa: ANN401 - each setting has its type
    if not text and declared.default is None:
        raise ValueError(f"is required: {declared.explanation}")
    try:
        return declared.parse(text or "")
    except ValueError as error:
        raise ValueError(f"{text!r}: {error}") from None


def unknown(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Variables that look like settings and are none: a misspelt one must not pass unseen."""
    known = {declared.variable for declared in declarations()}
    return tuple(sorted(name for name in environment if name.startswith(ENVIRONMENT_PREFIX) and name not in known))


def _contradictions(values: Mapping[str, Any]) -> list[str]:
    if values.get("watch_secrets") and not values.get("namespaces"):
        return ["BARTIZAN_WATCH_SECRETS: needs BARTIZAN_NAMESPACES; Secrets of the whole cluster are never watched"]
    return []
