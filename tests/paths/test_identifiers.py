"""A node's path identifier is the same over restarts and on every replica, and no other node's."""

import random
from ipaddress import IPv4Address, IPv6Address

from hypothesis import given
from hypothesis import strategies as st

from speaker.paths.identifiers import path_ids

ADDRESSES = st.lists(st.ip_addresses(), unique=True, max_size=50)


def test_an_ipv4_node_is_named_by_its_address() -> None:
    """3232236319 in the router's output is 192.168.3.31."""
    address = IPv4Address("192.168.3.31")
    assert int.from_bytes(path_ids([address])[address], "big") == 3232236319


@given(addresses=ADDRESSES)
def test_identifiers_are_unique(addresses: list) -> None:
    """Four octets each, whatever the mix of families."""
    given_ids = path_ids(addresses)
    assert set(given_ids) == set(addresses)
    assert len(set(given_ids.values())) == len(addresses)
    assert {len(identifier) for identifier in given_ids.values()} <= {4}


@given(addresses=ADDRESSES)
def test_identifiers_do_not_depend_on_the_order_of_the_roster(addresses: list) -> None:
    """Two replicas may read the roster in another order."""
    shuffled = addresses[:]
    random.Random(1).shuffle(shuffled)
    assert path_ids(shuffled) == path_ids(addresses)


def test_an_ipv4_address_keeps_its_identifier_beside_an_ipv6_one_that_hashes_to_it() -> None:
    """IPv4 goes first; the IPv6 address is hashed again."""
    six = IPv6Address("2001:db8::1")
    taken = IPv4Address(path_ids([six])[six])
    both = path_ids([six, taken])
    assert both[taken] == taken.packed
    assert both[six] != taken.packed
