"""Shapes never raise, never hang, and never let through what they do not name."""

import time

import pytest

from bartizan.policy import shapes
from bartizan.policy.nodes import ABSENT, Node, show, suggest
from bartizan.policy.shapes import Choice, Many, Only, Record, Refused, Text, Whole
from bartizan.policy.template import environment, metadata, resources, self_reference, volumes

WORST_SECONDS = 1.0
"""Each judgement takes microseconds; a pattern that backtracks without end takes hours."""


def judged(judge: shapes.Judge, value: object) -> tuple[object, list[str]]:
    spot = Node("x", value, [])
    return judge(spot), [str(problem) for problem in spot.problems]


@pytest.mark.parametrize(
    "judge",
    [
        shapes.LABEL,
        shapes.SUBDOMAIN,
        shapes.LABEL_KEY,
        shapes.LABEL_VALUE,
        shapes.OWN_NAME,
        resources.NAME,
        resources.amount,
        environment.NAME,
        self_reference.FIELD_OF_VARIABLE.fields["fieldPath"],
        self_reference.FIELD_OF_FILE.fields["fieldPath"],
        volumes.MOUNTS,
        metadata.SHAPE.fields["annotations"],
    ],
    ids=range(12),
)
@pytest.mark.parametrize("piece", ["a", "a.", "a-", "-", "0", "1.", "a/", "../", "metadata.labels['", "\u202e", "é"])
def test_t79_no_pattern_can_be_made_to_hang(judge: shapes.Judge, piece: str) -> None:
    for ending in ("", "!", "\n", "-"):
        for count in (20, 60, 120, 250, 100_000):
            began = time.process_time()
            judged(judge, piece * count + ending)
            assert time.process_time() - began < WORST_SECONDS


@pytest.mark.parametrize("value", ["a\n", "a\x00", "\ud800", "é", "a\u200b", "а"], ids=ascii)  # the last is Cyrillic
def test_t79_odd_unicode_is_no_name(value: str) -> None:
    for judge in (shapes.LABEL, shapes.SUBDOMAIN, shapes.LABEL_KEY, shapes.LABEL_VALUE, shapes.OWN_NAME):
        answer, problems = judged(judge, value)
        assert answer is ABSENT
        assert len(problems) == 1


def test_messages_are_short_and_on_one_line() -> None:
    for value in (
        "x" * 10_000,
        "a\nb",
        "\u202egnp.exe",
        {"a": 1},
        [1],
        10**5000,
        -(10**5000),
        1e308,
        b"x",
        object(),
        ABSENT,
    ):
        assert len(show(value)) < 130
        assert "\n" not in show(value)
        assert "\u202e" not in show(value)


def test_a_record_names_the_field_that_was_meant() -> None:
    shape = Record({"limit": Whole(1, 2), "gone": Refused("it is gone; remove it")}, required=("limit",))
    assert judged(shape, {"limt": 1})[1] == [
        "x.limt: is not a known field; remove it; did you mean limit?",
        "x.limit: is missing; it is required",
    ]
    assert judged(shape, {"limit": 1, "gone": 2}) == ({"limit": 1}, ["x.gone: is refused: it is gone; remove it"])
    assert judged(shape, {"limit": None, 1: 2})[1] == [
        "x: the key 1 is not text; put it in quotes or remove it",
        "x.limit: is missing; it is required",
    ]


def test_exactly_one_of_several() -> None:
    shape = Record({"a": Whole(1, 2), "b": Whole(1, 2), "c": Refused("no; remove it")}, one_of=("a", "b", "c"))
    assert judged(shape, {"a": 1}) == ({"a": 1}, [])
    assert judged(shape, {})[1] == ["x: needs exactly one of a, b; name one"]
    assert judged(shape, {"a": 1, "b": 1})[1] == ["x: needs exactly one of a, b; name one"]


@pytest.mark.parametrize("value", [True, 1.0, "1", None, [], float("nan"), float("inf")], ids=repr)
def test_a_whole_number_is_nothing_else(value: object) -> None:
    assert judged(Whole(0, 5), value)[0] is ABSENT


def test_true_is_not_one_and_one_is_not_true() -> None:
    assert judged(shapes.Switch(), 1)[0] is ABSENT
    assert judged(Only(value=False, why="w; x"), 0)[0] is ABSENT
    assert judged(Choice(("1",)), 1)[0] is ABSENT


def test_lists_are_bounded_before_they_are_read() -> None:
    assert judged(Many(Refused("never"), 3), range(10**9))[1] == ["x: has 1000000000 entries; keep to 3"]
    assert judged(Many(Whole(0, 9), 3), "123")[1] == ["x: '123' is not a list; write its entries after dashes"]


def test_private_values_are_not_shown() -> None:
    assert "hunter2" not in judged(Text(3, private=True), "hunter2")[1][0]


def test_suggestions_are_close_or_none() -> None:
    assert suggest("contaners", ("containers", "volumes")) == "; did you mean containers?"
    assert suggest("x" * 10_000, ("containers",)) == ""


@pytest.mark.parametrize(
    ("amount", "figure"),
    [("1", 1), ("500m", 0.5), ("2k", 2000), ("2Ki", 2048), ("1Mi", 2**20), ("1e3", 1000), ("1.5G", 1.5e9), (3, 3)],
)
def test_amounts_are_read_as_kubernetes_reads_them(amount: str | int, figure: float) -> None:
    assert resources.figure(amount) == figure
