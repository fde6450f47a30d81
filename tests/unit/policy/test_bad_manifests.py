"""Every manifest of the table is refused by the parser alone, whether or not the schema would have refused it."""

import pytest
from tests.cluster.bad_manifests import Case, cases

from bartizan.policy.identity import Identity
from bartizan.policy.model import ModelDeployment
from bartizan.policy.parse import parse

CASES = tuple(cases())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_says_what_is_wrong(case: Case) -> None:
    result = parse(case.manifest, Identity("default", case.manifest["metadata"]["name"], "uid", "namespace-uid"))
    assert not isinstance(result, ModelDeployment), "accepted"
    said = [str(problem) for problem in result]
    assert any(case.parse in line for line in said), said


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_names_path_and_remedy(case: Case) -> None:
    result = parse(case.manifest, Identity("default", case.manifest["metadata"]["name"], "uid", "namespace-uid"))
    assert isinstance(result, tuple)
    assert all(problem.path.startswith(("spec", "metadata")) for problem in result)
    assert all(";" in problem.message or ": " in problem.message for problem in result), result


def test_the_table_is_as_long_as_promised() -> None:
    assert len(CASES) >= 60
    assert len({case.name for case in CASES}) == len(CASES)
