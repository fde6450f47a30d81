"""A guard and a model that the tests of one worker share, as long as they do not break them."""

from collections.abc import Iterator

import pytest
from tests.unit.guard import running


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[running.Model]:
    with running.model(tmp_path_factory.mktemp("model")) as started:
        yield started


@pytest.fixture(scope="session")
def guard(tmp_path_factory: pytest.TempPathFactory, model: running.Model) -> Iterator[running.Guard]:
    with running.guard(tmp_path_factory.mktemp("guard"), model.upstream) as started:
        yield started
