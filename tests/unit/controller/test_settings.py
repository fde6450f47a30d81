"""Settings: one place, three sources, and errors that name the remedy."""

from pathlib import Path

import pytest

from bartizan.controller import settings
from bartizan.controller.settings import SettingsError

REQUIRED = {"BARTIZAN_GUARD_IMAGE": "example.org/bartizan@sha256:0"}
ROOT = Path(__file__).parents[3]


def test_only_the_guards_image_has_no_default() -> None:
    assert settings.load(REQUIRED).guard_image == "example.org/bartizan@sha256:0"
    with pytest.raises(SettingsError, match=r"BARTIZAN_GUARD_IMAGE \(or --guard-image\): is required"):
        settings.load({})


def test_a_flag_goes_before_its_variable_and_a_variable_before_the_default() -> None:
    assert settings.load(REQUIRED).workers == 8
    environment = REQUIRED | {"BARTIZAN_WORKERS": "3"}
    assert settings.load(environment).workers == 3
    assert settings.load(environment, ["--workers", "5"]).workers == 5


def test_an_empty_variable_means_the_default() -> None:
    chosen = settings.load(REQUIRED | {"BARTIZAN_RESYNC_SECONDS": "", "BARTIZAN_NAMESPACES": ""})
    assert (chosen.resync_seconds, chosen.namespaces) == (600.0, ())


def test_lists_and_labels_are_read() -> None:
    chosen = settings.load(REQUIRED | {"BARTIZAN_NAMESPACES": "a, b,,a", "BARTIZAN_DNS_POD_LABELS": "k8s-app=dns,x="})
    assert chosen.namespaces == ("a", "b")
    assert chosen.dns_pod_labels == (("k8s-app", "dns"), ("x", ""))
    assert chosen.manages("a")
    assert not chosen.manages("c")


def test_no_namespaces_means_all() -> None:
    assert settings.load(REQUIRED).manages("anything")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("BARTIZAN_WORKERS", "0", "'0': is not between 1 and 64"),
        ("BARTIZAN_WORKERS", "many", "'many': invalid literal"),
        ("BARTIZAN_RESYNC_SECONDS", "nan", "'nan': is not between"),
        ("BARTIZAN_GUARD_ROLLOUT", "Now", "'Now': is not one of OnSpecChange, Paced"),
        ("BARTIZAN_DNS_POD_LABELS", "kube-dns", "is not a list of key=value pairs"),
        ("BARTIZAN_WATCH_SECRETS", "yes", "is neither true nor false"),
        ("BARTIZAN_WATCH_SECRETS", "true", "needs BARTIZAN_NAMESPACES"),
    ],
)
def test_a_wrong_value_is_named_with_its_rule(name: str, text: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message) as caught:
        settings.load(REQUIRED | {name: text})
    assert name in str(caught.value)


def test_every_wrong_value_is_named_at_once() -> None:
    with pytest.raises(SettingsError, match=r"BARTIZAN_GUARD_IMAGE.*BARTIZAN_WORKERS"):
        settings.load({"BARTIZAN_WORKERS": "x"})


def test_a_misspelt_variable_is_found() -> None:
    assert settings.unknown({"BARTIZAN_NAMESPACE": "x", "BARTIZAN_NAMESPACS": "y", "HOME": "/"}) == (
        "BARTIZAN_NAMESPACS",
    )


def test_the_help_shows_every_setting(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        settings.load({}, ["--help"])
    shown = capsys.readouterr().out.replace("\n", " ")
    for declared in settings.declarations():
        assert declared.flag in shown
        assert declared.variable in shown


def test_the_chart_sets_known_variables_only() -> None:
    text = (ROOT / "charts/bartizan/templates/_environment.tpl").read_text()
    named = {line.split("name:")[1].strip() for line in text.splitlines() if line.startswith("- name: BARTIZAN_")}
    assert named
    assert settings.unknown(dict.fromkeys(named, "")) == ()
