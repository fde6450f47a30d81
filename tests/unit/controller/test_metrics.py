"""Metrics: declared once, named alike, described."""

from pathlib import Path

from bartizan.controller import metrics


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
