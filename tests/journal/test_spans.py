"""Many prefixes in few words, and back to the question that they answer."""

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speaker.bgp import nlri
from speaker.bgp.iana import Family
from speaker.journal.spans import size, spans, touches


def wire(*prefixes: str) -> list[bytes]:
    return [nlri.from_network(ip_network(prefix)) for prefix in prefixes]


def test_services_one_after_the_other_are_one_span() -> None:
    """In any order, each once; what is no host route stands alone."""
    told = wire("192.168.30.3/32", "192.168.30.1/32", "10.0.0.0/24", "192.168.30.2/32", "192.168.30.9/32")
    assert spans(told * 2, Family.IPV4) == ("192.168.30.1-192.168.30.3", "192.168.30.9/32", "10.0.0.0/24")
    assert spans(wire("fd00:30::1/128", "fd00:30::2/128"), Family.IPV6) == ("fd00:30::1-fd00:30::2",)


@given(st.sets(st.integers(1, 40), min_size=1))
def test_no_service_is_lost_or_made_up(hosts: set[int]) -> None:
    """The spans answer for exactly the addresses that went in."""
    found = spans(wire(*(f"192.168.30.{host}/32" for host in hosts)), Family.IPV4)
    asked = {host for host in range(64) if any(touches(one, ip_network(f"192.168.30.{host}")) for one in found)}
    assert asked == hosts
    assert sum(map(size, found)) == len(hosts)


@pytest.mark.parametrize(
    ("span", "question", "answer"),
    [
        ("192.168.30.1-192.168.30.9", "192.168.30.9", True),
        ("192.168.30.1-192.168.30.9", "192.168.30.10", False),
        ("192.168.30.1-192.168.30.9", "192.168.30.8/30", True),
        ("192.168.30.1-192.168.30.9", "fd00::1", False),
        ("192.168.30.0/24", "192.168.30.22", True),
        ("192.168.30.0/24", "192.168.0.0/16", True),
        ("192.168.30.0/24", "192.168.30.0/25", False),
    ],
)
def test_an_address_finds_what_holds_it_and_a_prefix_what_lies_inside(span: str, question: str, answer: bool) -> None:
    """As `onepeer routes` has it."""
    assert touches(span, ip_network(question)) is answer
