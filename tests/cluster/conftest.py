"""One control plane for a worker: bringing one up costs more than most modules do with it."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.cluster.operator.admin import administrator
from tests.cluster.plane import Plane
from tests.localcluster.api import control_plane

KEEPERS = Path(__file__).parent / "operator"
LONG = (
    *("test_chart_lifecycle", "test_operator_process", "test_localcluster", "test_chart_install", "test_key_rotation"),
    *("test_watched_secrets", "test_deletion", "test_repair", "test_service_accounts", "test_crash", "test_keys"),
)
"""They begin first, so that no worker has one of them left when the others have nothing more to do."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Modules come in any order, but those to which the plane is lent before those that leave the chart on it."""
    items.sort(key=lambda item: (item.path.is_relative_to(KEEPERS), item.path.stem not in LONG))


@pytest.fixture(scope="session")
def plane() -> Iterator[Plane]:
    with control_plane() as cluster, closing(administrator(cluster)) as admin:
        yield Plane(**vars(cluster), admin=admin)
