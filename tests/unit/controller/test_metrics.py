"""Metrics: declared once, named alike, described."""

from pathlib import Path

import pytest

from bartizan.controller import metrics, report
from bartizan.controller.work_queue import Key


def test_every_metric_is_named_and_described() -> None:
    families = list(metrics.REGISTRY.collect())
    assert len(families) >= 15
    for family in families:
        assert family.name.startswith("bartizan_operator_")
        assert len(family.documentation) > 20
        assert family.documentation.endswith(".")


def test_metrics_are_declared_in_one_file() -> None:
    package = Path(metrics.__file__).parent
    for file in package.rglob("*.py"):
        if file.name != "metrics.py":
            assert "prometheus_client" not in file.read_text(encoding="utf-8"), file


def test_the_text_format_is_rendered() -> None:
    metrics.WRITES.labels(verb="apply", kind="Service").inc(0)
    shown = metrics.render().decode()
    assert 'bartizan_operator_api_writes_total{kind="Service",verb="apply"}' in shown
    assert "# HELP bartizan_operator_queue_depth" in shown


def test_names_that_anyone_may_claim_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "_managers", set())
    labels = {metrics.manager_label(f"forged-{number}") for number in range(10_000)}
    assert len(labels) == metrics.MOST_MANAGERS + 1
    assert metrics.manager_label("forged-1") == "forged-1"
    assert metrics.manager_label("one more") == "other"


def test_an_endpoint_that_has_gone_is_counted_no_more() -> None:
    for state in report.POD_STATES:
        metrics.PODS.labels(namespace="ml", endpoint="gone", state=state).set(1)
    for _ in range(2):
        report.forget(Key("ml", "gone"))
    assert 'endpoint="gone"' not in metrics.render().decode()
