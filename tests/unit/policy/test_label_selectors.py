"""Whether a selector chooses labels, as Kubernetes would have it."""

import pytest

from bartizan.policy import label_selectors


def holds(key: str, operator: str, *values: str) -> bool:
    selector = {"matchExpressions": [{"key": key, "operator": operator, "values": list(values)}]}
    return label_selectors.matches(selector, {"team": "b", "tier": ""})


@pytest.mark.parametrize(
    ("key", "operator", "values", "expected"),
    [
        ("team", "In", ("a", "b"), True),
        ("team", "In", ("a",), False),
        ("other", "In", ("b",), False),
        ("team", "NotIn", ("b",), False),
        ("team", "NotIn", ("a",), True),
        ("other", "NotIn", ("a",), True),
        ("tier", "Exists", (), True),
        ("other", "Exists", (), False),
        ("tier", "DoesNotExist", (), False),
        ("other", "DoesNotExist", (), True),
    ],
)
def test_an_expression_holds_as_kubernetes_says(
    key: str, operator: str, values: tuple[str, ...], expected: bool
) -> None:
    assert holds(key, operator, *values) is expected


def test_every_part_must_hold() -> None:
    both = {"matchLabels": {"team": "b"}, "matchExpressions": [{"key": "tier", "operator": "Exists"}]}
    assert label_selectors.matches(both, {"team": "b", "tier": "x", "more": "y"})
    assert not label_selectors.matches(both, {"team": "b"})
    assert not label_selectors.matches(both, {"team": "a", "tier": "x"})
