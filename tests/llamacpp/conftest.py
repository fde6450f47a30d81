"""One real server for all tests of a run; without what it is built with, they are skipped, but not in CI."""

import os
from collections.abc import Iterator

import pytest
from tests.llamacpp import build
from tests.llamacpp.server import LlamaServer, llama


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LlamaServer]:
    if lacking := build.lacking():
        pytest.fail(lacking) if os.environ.get("CI") == "true" else pytest.skip(lacking)
    with llama(tmp_path_factory.mktemp("llama")) as started:
        yield started
