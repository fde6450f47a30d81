"""A cluster's record: names that are safe everywhere, ports that no other cluster has."""

import sys
from pathlib import Path

import pytest
from tests.localcluster import __main__, places, record
from tests.localcluster.complaints import Complaint
from tests.localcluster.record import Level, Record


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BARTIZAN_STATE", str(tmp_path))
    return tmp_path


def test_a_record_is_read_as_it_was_written() -> None:
    written = Record("one", Level.NODE, "10.0.0.2", {"etcd": 2379}, gateway="10.0.0.1")
    record.write(written)
    assert record.read("one") == written
    assert record.names() == ["one"]


@pytest.mark.parametrize("content", ["", "{", "{}", '{"level": "moon"}', "[]"])
def test_a_torn_record_is_no_cluster(content: str) -> None:
    places.of("torn").create()
    places.of("torn").record.write_text(content)
    assert record.read("torn") is None
    assert record.names() == ["torn"], "so that down --all still finds it"


@pytest.mark.parametrize("name", ["", "A", "1a", "-a", "a-", "a/b", "..", "a b", "a" * 31])
def test_a_name_that_is_no_label_is_refused(name: str) -> None:
    with pytest.raises(Complaint, match="--name"):
        record.check_name(name)


def test_ports_are_distinct_and_not_those_of_another_cluster() -> None:
    taken = record.free_ports(["a", "b", "c"])
    record.write(Record("one", Level.CONTROL_PLANE, "127.0.0.1", taken))
    more = record.free_ports([str(number) for number in range(50)])
    assert len(set(more.values())) == 50
    assert not set(more.values()) & set(taken.values())
    assert set(more.values()) <= set(record.PORTS)


def test_a_cluster_that_was_never_made_did_not_die(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["localcluster", "status", "--name", "nobody"])
    assert __main__.main() == 0
    assert capsys.readouterr() == ("", "there is no cluster 'nobody'\n")
