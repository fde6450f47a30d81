"""The demo's story, scene by scene, each a test: what a newcomer is shown is what is so."""

from collections.abc import Callable

import pytest
from demo import story
from demo.scene import Scenes
from demo.stage import NAMESPACE, Stage

pytestmark = pytest.mark.node


@pytest.fixture(scope="module")
def scenes(stage: Stage) -> Scenes:
    """From the beginning: an endpoint of an earlier story has given part of its limit away."""
    stage.kubectl("delete", "mdep", "--all", "-n", NAMESPACE, "--timeout=60s")
    told = Scenes(stage, quiet=True)
    story.apply(told)
    return told


@pytest.mark.parametrize("scene", story.SCENES[1:], ids=lambda scene: scene.__name__)
def test_the_story_shows_what_it_promises(scenes: Scenes, scene: Callable[[Scenes], None]) -> None:
    scene(scenes)
