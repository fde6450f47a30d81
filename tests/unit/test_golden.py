"""A case is a folder of tests/golden: input.yaml, and output.yaml with all that it would own, or why it is refused.

`pytest tests/unit/test_golden.py --rewrite-golden` writes the outputs anew; read the difference before you commit it.
"""

from pathlib import Path
from typing import Any

import pytest
import yaml

from bartizan.cli import render
from bartizan.controller.settings import Settings
from bartizan.controller.tools import surroundings
from bartizan.policy import parse
from bartizan.policy.identity import Identity
from bartizan.policy.model import ModelDeployment

GOLDEN = Path(__file__).parents[1] / "golden"
CASES = sorted(path.parent.name for path in GOLDEN.glob("*/input.yaml"))
IMAGE = "example.com/bartizan:v1"
UID = "00000000-0000-0000-0000-000000000000"


@pytest.mark.parametrize("case", CASES)
def test_what_a_modeldeployment_owns(case: str, request: pytest.FixtureRequest) -> None:
    output = GOLDEN / case / "output.yaml"
    rendered = _render(yaml.safe_load((GOLDEN / case / "input.yaml").read_text()))
    if request.config.getoption("--rewrite-golden"):
        output.write_text(rendered)
    assert rendered == output.read_text()


def test_there_are_cases_of_both_kinds() -> None:
    assert len(CASES) >= 12
    assert {case.startswith("refused-") for case in CASES} == {True, False}


def _render(manifest: dict[str, Any]) -> str:
    metadata = manifest["metadata"]
    identity = Identity(namespace=metadata["namespace"], name=metadata["name"], uid=UID, namespace_uid=UID)
    parsed = parse.parse(manifest, identity)
    if isinstance(parsed, ModelDeployment):
        owned = render.manifests(parsed, surroundings(Settings(guard_image=IMAGE)))
        return yaml.dump_all(owned, Dumper=_Plain, sort_keys=False, explicit_start=True)
    return yaml.dump({"refused": [str(problem) for problem in parsed]}, Dumper=_Plain, width=1000)


class _Plain(yaml.SafeDumper):
    """Without anchors: what is the same object in memory is not the same thing to a reader."""

    def ignore_aliases(self, _: Any) -> bool:
        return True
