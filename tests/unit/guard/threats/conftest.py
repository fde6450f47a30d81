"""What these tests try must never reach the model, unless a test's name says that it does."""

from collections.abc import Iterator

import pytest
from tests.unit.guard.running import Model


@pytest.fixture(autouse=True)
def unseen(request: pytest.FixtureRequest, model: Model) -> Iterator[None]:
    before = len(model.received())
    yield
    if "reaches" not in request.node.name:
        assert len(model.received()) == before
