"""Prefixes on the wire and on paper are the same prefixes."""

import ipaddress

import pytest
from bgp_wire import GITEA, TRAEFIK, paths
from hypothesis import given
from hypothesis import strategies as st

from speaker.bgp import nlri
from speaker.bgp.errors import ProtocolError
from speaker.bgp.iana import Family


def networks(family: Family) -> st.SearchStrategy[nlri.Network]:
    """Any prefix of the family."""
    address = st.ip_addresses(v=4 if family is Family.IPV4 else 6)
    return st.builds(
        lambda one, bits: ipaddress.ip_network((one.packed, bits), strict=False), address, st.integers(0, family.bits)
    )


def octets(size: int) -> st.SearchStrategy[bytes]:
    """So many octets, of which many are lengths that a prefix can have."""
    return st.lists(st.sampled_from([0, 8, 24, 32, 192, 255]), min_size=size, max_size=size).map(bytes)


of_a_family = st.sampled_from(Family).flatmap(lambda family: st.tuples(st.just(family), st.lists(networks(family))))


@given(of_a_family)
def test_a_field_of_prefixes_comes_apart_into_those_it_was_made_of(case: tuple[Family, list[nlri.Network]]) -> None:
    """Prefixes of one length take a short cut in `split`; it must not show."""
    family, wanted = case
    field = b"".join(map(nlri.from_network, wanted))
    found = nlri.split(field, family)
    assert [nlri.to_network(one, family) for one in found] == wanted
    assert found == [prefix for _, prefix in paths(field, 0)]
    assert [nlri.canonical(one) for one in found] == found


@given(of_a_family)
def test_a_run_of_equal_fields_comes_apart_as_one_field_would(case: tuple[Family, list[nlri.Network]]) -> None:
    """A run has fields of one size (framing.py), whatever stands in them."""
    family, wanted = case
    fields = [nlri.from_network(one) for one in wanted]
    for size in {len(field) for field in fields}:
        alike = [field for field in fields if len(field) == size]
        assert nlri.split_run(alike, family) == alike
        twice = [field + field for field in alike]
        assert nlri.split_run(twice, family) == [field for field in alike for _ in range(2)]


def naive(field: bytes, family: Family) -> list[bytes]:
    """The prefixes of a field, one by one; ValueError where they are none."""
    found = [prefix for _, prefix in paths(field, 0)]
    if any(prefix[0] > family.bits for prefix in found):
        raise ValueError("a prefix longer than an address")
    return found


@given(st.binary(max_size=40), st.sampled_from(Family))
def test_any_octets_are_prefixes_or_an_invalid_network_field(field: bytes, family: Family) -> None:
    """3/10 and nothing else (RFC 4271 6.3)."""
    try:
        wanted = naive(field, family)
    except ValueError:
        with pytest.raises(ProtocolError) as caught:
            nlri.split(field, family)
        assert (caught.value.code, caught.value.subcode) == (3, 10)
        return
    assert nlri.split(field, family) == wanted


# Where a prefix of another length than the field has room for makes the reader lose its step.
odd_fields = st.builds(lambda first, rest: first + rest, st.sampled_from([b"\x20", b"\x18", b"\0"]), octets(4))


@given(st.lists(odd_fields, min_size=1, max_size=5))
def test_any_run_of_octets_is_read_as_its_fields_one_by_one(fields: list[bytes]) -> None:
    """A fault in one field of a run must not be hidden by its neighbours."""
    try:
        one_by_one = [one for field in fields for one in nlri.split(field, Family.IPV4)]
    except ProtocolError:
        with pytest.raises(ProtocolError):
            nlri.split_run(fields, Family.IPV4)
        return
    assert nlri.split_run(fields, Family.IPV4) == one_by_one


@pytest.mark.parametrize(
    ("family", "field", "words"),
    [
        (Family.IPV4, "21c0a81e0100", "prefix length 33 is more than 32"),
        (Family.IPV4, "20c0a81e", "prefix of length 32 is cut short"),
        (Family.IPV4, "20c0a81e0120c0a8", "prefix of length 32 is cut short"),
        (Family.IPV4, "20c0a81e01ff", "prefix length 255 is more than 32"),
        (Family.IPV6, "81" + "00" * 17, "prefix length 129 is more than 128"),
        (Family.IPV6, "40fd0000300000", "prefix of length 64 is cut short"),
    ],
)
def test_a_prefix_that_is_too_long_or_cut_short_is_named(family: Family, field: str, words: str) -> None:
    """The words are those that a log line has."""
    with pytest.raises(ProtocolError, match=words):
        nlri.split(bytes.fromhex(field), family)


@pytest.mark.parametrize(
    ("family", "wire", "text"),
    [
        (Family.IPV4, TRAEFIK, "192.168.30.1/32"),
        (Family.IPV4, GITEA, "192.168.30.22/32"),
        (Family.IPV4, b"\x18\xc0\xa8\x1f", "192.168.31.0/24"),
        (Family.IPV4, b"\0", "0.0.0.0/0"),
        (Family.IPV6, b"\0", "::/0"),
        (Family.IPV6, bytes.fromhex("40fd00003100000000"), "fd00:31::/64"),
        (Family.IPV6, bytes.fromhex("7ffd000030000000000000000000000002"), "fd00:30::2/127"),
    ],
)
def test_people_read_prefixes_as_they_write_them(family: Family, wire: bytes, text: str) -> None:
    """Both directions."""
    assert nlri.text(wire, family) == text
    assert nlri.from_network(ipaddress.ip_network(text)) == wire


@pytest.mark.parametrize(
    ("said", "meant"), [("14c0a81f", "14c0a810"), ("01ff", "0180"), ("19c0a81eff", "19c0a81e80"), ("00", "00")]
)
def test_bits_beyond_the_length_make_no_other_prefix(said: str, meant: str) -> None:
    """RFC 4271 4.3: their value is irrelevant, so one prefix must not be two keys."""
    wire = bytes.fromhex(said)
    assert nlri.canonical(wire).hex() == meant
    assert nlri.to_network(wire, Family.IPV4) == nlri.to_network(bytes.fromhex(meant), Family.IPV4)
