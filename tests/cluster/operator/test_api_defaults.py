"""What the API server spells otherwise, leaves out or fills in is no drift; held against the API server itself."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.cluster.operator.bench import MANIFEST, Bench
from tests.cluster.operator.process import GUARD_IMAGE

from bartizan.cli import render
from bartizan.controller import compare, kinds
from bartizan.controller.settings import Settings
from bartizan.controller.tools import surroundings
from bartizan.policy import parse
from bartizan.policy.identity import Identity
from bartizan.policy.model import ModelDeployment

pytestmark = pytest.mark.cluster

TEMPLATES = yaml.safe_load((Path(__file__).parent / "odd_templates.yaml").read_text())
SERVING = {"protocol": "OpenAI", "transport": "UnixSocket", "container": "model"}


@pytest.mark.parametrize("name", TEMPLATES)
def test_what_the_api_server_makes_of_a_manifest_is_no_drift(name: str, bench: Bench) -> None:
    spec = {**MANIFEST["spec"], "replicas": 2, "serving": SERVING, "template": TEMPLATES[name]}
    identity = Identity(namespace="default", name="echo", uid="uid", namespace_uid="uid")
    wish = parse.parse({"spec": spec}, identity)
    assert isinstance(wish, ModelDeployment), wish
    found = {
        f"{manifest['kind']} {path}"
        for manifest in render.manifests(wish, surroundings(Settings(guard_image=GUARD_IMAGE)))
        if manifest["kind"] != "Secret"
        for path in compare.differences(manifest, _as_stored(bench, manifest))
    }
    assert found == set()


def _as_stored(bench: Bench, manifest: dict[str, Any]) -> dict[str, Any]:
    """As the API server would keep it: admitted, defaulted and normalised, but not created."""
    kind = kinds.of(manifest["apiVersion"], manifest["kind"])
    return bench.admin.send("POST", kind.path("default"), manifest, query={"dryRun": "All"})
