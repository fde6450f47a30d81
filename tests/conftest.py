"""Which tests this machine can run: what it cannot is left out with a reason, or fails where CI=true."""

import functools
import gc
import os

import pytest
from hypothesis import settings
from tests.localcluster import api
from tests.localcluster.record import Level

gc.set_threshold(100_000, 10, 10)  # looking through what imports have made takes a fifth of each worker's start

settings.register_profile("house", deadline=None)  # a busy machine is no finding; what hangs meets pytest's own timeout
settings.load_profile("house")

_LEVELS = {"cluster": Level.CONTROL_PLANE, "node": Level.NODE}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A machine holds one node at a time, so all tests of a node share one worker."""
    for item in items:
        if item.get_closest_marker("node"):
            item.add_marker(pytest.mark.xdist_group("node"))


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker, level in _LEVELS.items():
        lacking = _lacking(level) if item.get_closest_marker(marker) else ""
        if lacking and os.environ.get("CI") == "true":
            pytest.fail(f"CI=true, and {lacking}")
        elif lacking:
            pytest.skip(lacking)


@functools.cache
def _lacking(level: Level) -> str:
    return api.lacking(level)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--rewrite-golden", action="store_true", help="write tests/golden/*/output.yaml anew")
