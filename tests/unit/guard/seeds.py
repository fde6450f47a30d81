"""Bodies that a schema takes, with a canary in each string that it leaves to the caller, one at a time."""

from collections.abc import Iterator
from typing import Any

from bartizan.guard.profiles import kserve_schema, schema

CANARY = "qzx"


def plain(rule: schema.Rule) -> Any:  # noqa: PLR0911 -- one for each rule
    """The smallest value that the rule takes."""
    match rule:
        case schema.Text():
            return "demo"
        case schema.Choice(values):
            return values[0]
        case schema.Sequence(item):
            return [plain(item)]
        case schema.Record(fields, required):
            return {name: plain(fields[name]) for name in required}
        case schema.Tagged(tag, records):
            name, record = next(iter(records.items()))
            return {tag: name, **plain(record)}
        case schema.ByType(rules):
            return plain(next(iter(rules.values())))
        case schema.Nullable(inner):
            return plain(inner)
        case kserve_schema.Tensor():
            return {"name": "x", "shape": [1], "datatype": "BYTES", "data": ["x"]}
    return {schema.Flag: True, schema.Whole: 1, schema.Number: 1, schema.Anything: {}}[type(rule)]


def seeded(rule: schema.Rule) -> Iterator[Any]:  # noqa: C901, PLR0912 -- one branch for each rule
    """The canary in each string that the rule leaves to the caller, one at a time."""
    match rule:
        case schema.Text():
            yield CANARY
        case schema.Anything():
            yield from ({CANARY: 1}, {"a": CANARY}, {"a": [{"b": [CANARY]}]})
        case schema.Sequence(item, most) if most:
            yield from ([value] for value in seeded(item))
        case schema.Table(_, item):
            yield {CANARY: plain(item)}
            yield from ({"a": value} for value in seeded(item))
        case schema.Record(fields):
            for name, inner in fields.items():
                yield from ({**plain(rule), name: value} for value in seeded(inner))
        case schema.Tagged(tag, records):
            for name, record in records.items():
                yield from ({**value, tag: name} for value in seeded(record))
        case schema.ByType(rules):
            for inner in rules.values():
                yield from seeded(inner)
        case schema.Nullable(inner):
            yield from seeded(inner)
        case kserve_schema.Tensor(record):
            yield {**plain(rule), "data": [CANARY]}
            yield {**plain(rule), "shape": [2, 1], "data": [["x"], [CANARY]]}
            yield from ({**plain(rule), "name": value} for value in seeded(record.fields["name"]))
