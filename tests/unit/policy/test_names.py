"""Names of what an endpoint owns fit where Kubernetes holds them, and no two things share one."""

import re

from hypothesis import assume, given
from hypothesis import strategies as st

from bartizan.policy import names
from bartizan.policy.nodes import Node
from bartizan.policy.shapes import LABEL_VALUE, OWN_NAME, SUBDOMAIN

own_name = st.from_regex(OWN_NAME.pattern, fullmatch=True).filter(lambda name: len(name) <= names.MAX_NAME_LENGTH)
longest = st.just("a" * names.MAX_NAME_LENGTH)
name = own_name | longest
SERVICE = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
"""RFC 1035, stricter than other names."""
REVISION = 2**63 - 1


def owned(endpoint: str, client: str) -> list[str]:
    """Names of all kinds; one revision stands for all."""
    return [
        endpoint,
        names.document_secret(endpoint),
        names.client_secret(endpoint, client),
        names.policy_twin(endpoint),
        f"{endpoint}.{REVISION}",
    ]


def passes(judge: object, text: str) -> bool:
    spot = Node("x", text, [])
    assert callable(judge)
    judge(spot)
    return not spot.problems


@given(name, name)
def test_every_name_fits(endpoint: str, client: str) -> None:
    assert passes(OWN_NAME, endpoint)
    assert SERVICE.fullmatch(endpoint)
    assert all(passes(SUBDOMAIN, found) for found in owned(endpoint, client))
    assert len(f"{endpoint}-{'x' * 10}-{'x' * 5}") <= 63, "a pod's name is its host's name"
    assert all(passes(LABEL_VALUE, text) for text in (endpoint, client))


@given(name, name)
def test_names_of_one_endpoint_differ(endpoint: str, client: str) -> None:
    assert len(set(owned(endpoint, client))) == len(owned(endpoint, client))


@given(name, name, name, name)
def test_no_two_pairs_of_endpoint_and_client_share_a_name(one: str, other: str, first: str, second: str) -> None:
    assume((one, first) != (other, second))
    assert names.client_secret(one, first) != names.client_secret(other, second)
    assert names.client_secret(one, first) != names.document_secret(other)


@given(name, name, name)
def test_pairs_that_read_alike_differ(left: str, middle: str, right: str) -> None:
    """Joined by another sign than the dot, these would be one name."""
    one, other = f"{left}-{middle}", f"{middle}-{right}"
    assert names.client_secret(one, right) != names.client_secret(left, other)


@given(name, name, name)
def test_an_owned_name_tells_its_endpoint(endpoint: str, client: str, other: str) -> None:
    assume(endpoint != other)
    for found in owned(endpoint, client):
        assert names.is_of_endpoint(found, endpoint)
        assert not names.is_of_endpoint(found, other)
