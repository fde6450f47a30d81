"""No range opens the endpoint to everyone, and no range, however wide, opens a metadata service."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bartizan.policy import addresses
from bartizan.policy.model import Problem
from bartizan.policy.nodes import ABSENT, Node


def node(value: object) -> Node:
    return Node("x", value, [])


NETWORKS = st.builds(
    lambda address, prefix: ipaddress.ip_network((address, prefix), strict=False),
    st.ip_addresses(v=4),
    st.integers(0, 32),
) | st.builds(
    lambda address, prefix: ipaddress.ip_network((address, prefix), strict=False),
    st.ip_addresses(v=6),
    st.integers(0, 128),
)


@given(NETWORKS)
def test_what_clients_may_come_from_is_narrow(network: addresses.Network) -> None:
    spot = node(str(network))
    answer = addresses.judge_clients(spot)
    if answer is not ABSENT:
        assert answer == str(network)
        assert network.prefixlen >= addresses.WIDEST_CLIENTS[network.version]
        assert not any(addresses.contains(shut, network) for shut in addresses.NEVER_REACHED)
    assert (answer is ABSENT) == bool(spot.problems)


@given(NETWORKS)
def test_exceptions_are_proper_parts_of_the_range(network: addresses.Network) -> None:
    if addresses.judge_peer(node(str(network))) is ABSENT:
        return
    for shut in addresses.exceptions_within(str(network)):
        inner = ipaddress.ip_network(shut)
        assert addresses.contains(network, inner)
        assert inner != network


def test_the_whole_internet_excepts_every_metadata_address() -> None:
    assert len(addresses.exceptions_within("0.0.0.0/0") + addresses.exceptions_within("::/0")) == len(
        addresses.NEVER_REACHED
    )


@pytest.mark.parametrize(
    "value",
    [
        *(None, 7, "", "/", "10.0.0.0", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/255.0.0.0", "0x0a.0.0.0/8"),
        *("010.0.0.0/8", "fe80::%eth0/64", " 10.0.0.0/8", "10.0.0.0/8\n", "١٠.0.0.0/8", "::ffff:10.0.0.0/104"),
        "10.0.0.0/8/8",
    ],
    ids=repr,
)
def test_odd_spellings_are_refused(value: object) -> None:
    for judge in (addresses.judge_clients, addresses.judge_peer, addresses.judge_exception):
        spot = node(value)
        assert judge(spot) is ABSENT
        assert spot.problems
        assert all(isinstance(problem, Problem) for problem in spot.problems)


@given(st.text() | st.integers() | st.binary())
def test_nothing_raises(value: object) -> None:
    addresses.judge_clients(node(value))
    addresses.judge_address(node(value))


METADATA = [
    *("169.254.169.254", "100.100.100.200", "168.63.129.16", "192.0.0.192"),
    *("fe80::a9fe:a9fe", "fd00:ec2::254", "fd00:ec2::23", "fd00:ec2::253", "fd20:ce::254", "fd00:c1::a9fe:a9fe"),
    *("fd00:42::42", "fd00:a9fe:a9fe::1", "fd00:100::100:200"),
    *("64:ff9b::a9fe:a9fe", "64:ff9b::6464:64c8", "::a9fe:a9fe", "::168.63.129.16"),
]


@pytest.mark.parametrize("text", METADATA)
def test_a_metadata_address_is_no_peer_and_is_excepted_from_every_wider_range(text: str) -> None:
    address = ipaddress.ip_address(text)
    longest = address.max_prefixlen
    for judge in (addresses.judge_peer, addresses.judge_clients):
        assert judge(node(f"{address}/{longest}")) is ABSENT
    for prefix in range(longest):
        network = ipaddress.ip_network((address, prefix), strict=False)
        is_refused = addresses.judge_peer(node(str(network))) is ABSENT
        excepted = addresses.exceptions_within(str(network))
        assert is_refused or any(address in ipaddress.ip_network(shut) for shut in excepted), network


@pytest.mark.parametrize("text", ["::ffff:169.254.169.254/128", "::ffff:a9fe:0/112", "::ffff:0:0/96"])
def test_mapped_forms_are_no_peers(text: str) -> None:
    assert addresses.judge_peer(node(text)) is ABSENT


def test_no_exception_is_in_a_form_that_kubernetes_reads_as_ipv4() -> None:
    assert not any(addresses.contains(addresses.MAPPED, shut) for shut in addresses.NEVER_REACHED)
