"""What OPEN says to whom, octet by octet, and what two OPENs agree on."""

from dataclasses import replace

import pytest
from bgp_sessions import BOTH, OURS, ROUTER, TO_NODE, TO_ROUTER
from bgp_wire import METALLB, capability, message, open_body

from speaker.bgp import codec
from speaker.bgp.errors import ProtocolError
from speaker.bgp.iana import Family
from speaker.bgp.opening import GracefulRestart, Negotiated, Offer

HEADER = "ffffffff ffffffff ffffffff ffffffff"
FAMILIES = "0206 0104 0001 00 01  0206 0104 0002 00 01"

GOLDEN = [
    pytest.param(
        TO_NODE,
        f"{HEADER} 0035 01  04 fc00 005a c0a8030a 18 {FAMILIES} 0206 4104 0000fc00",
        id="to a node: both families and AS4, which is all that MetalLB's native reader knows",
    ),
    pytest.param(
        replace(TO_NODE, asn=4_200_000_010, hold_time=0),
        f"{HEADER} 0035 01  04 5ba0 0000 c0a8030a 18 {FAMILIES} 0206 4104 fa56ea0a",
        id="an AS number of four octets stands as AS_TRANS in the field of two",
    ),
    pytest.param(
        replace(TO_NODE, families=(Family.IPV4,)),
        f"{HEADER} 002d 01  04 fc00 005a c0a8030a 10 0206 0104 0001 00 01 0206 4104 0000fc00",
        id="one family",
    ),
    pytest.param(
        TO_ROUTER,
        f"{HEADER} 0068 01  04 fc00 005a c0a8030a 4b {FAMILIES} 0206 4104 0000fc00"
        "0202 0200  0202 4600  0202 0600"  # route refresh, enhanced route refresh, extended messages
        "020a 4508 0001 01 02 0002 01 02"  # ADD-PATH, send
        "020c 400a 4078 0001 01 80 0002 01 80"  # graceful restart: N bit, 120 s, forwarding state kept
        "020b 4909 07 6f6e6570656572 00",  # FQDN: onepeer
        id="to a router: all that there is",
    ),
    pytest.param(
        replace(TO_NODE, graceful_restart=GracefulRestart(4095, restarting=True, notification=False, families=())),
        f"{HEADER} 003b 01  04 fc00 005a c0a8030a 1e {FAMILIES} 0206 4104 0000fc00 0204 4002 8fff",
        id="restarting, 4095 s, nothing kept",
    ),
]


@pytest.mark.parametrize(("offer", "octets"), GOLDEN)
def test_our_open_is_these_octets(offer: Offer, octets: str) -> None:
    """RFC 4271 4.2, RFC 5492 4: each capability in an optional parameter of its own, of type 2."""
    assert codec.encode_open(offer) == bytes.fromhex(octets)


@pytest.mark.parametrize(("offer", "octets"), GOLDEN)
def test_our_open_reads_as_it_was_meant(offer: Offer, octets: str) -> None:
    """The other direction of the same octets, as a peer of ours would read them."""
    heard = codec.decode_open(bytes.fromhex(octets)[19:])
    assert (heard.asn, heard.hold_time, heard.router_id, heard.families) == (
        offer.asn,
        offer.hold_time,
        OURS,
        offer.families,
    )
    assert (heard.route_refresh, heard.extended_message, heard.hostname) == (
        offer.route_refresh,
        offer.extended_message,
        offer.hostname,
    )
    assert heard.graceful_restart == offer.graceful_restart
    assert heard.as4


FAULTS = [
    ("version 3", "2/1 0004", open_body(version=3)),
    ("version 5", "2/1 0004", open_body(version=5)),
    ("an optional parameter that is not capabilities", "2/4", open_body([])[:9] + bytes.fromhex("03 030100")),
    ("authentication, which RFC 4271 knows no more", "2/4", open_body([])[:9] + bytes.fromhex("03 010100")),
    ("parameters shorter than they say", "2/0", open_body()[:-1]),
    ("parameters longer than they say", "2/0", open_body() + b"\0"),
    ("a parameter longer than all of them", "2/0", open_body([])[:9] + bytes.fromhex("04 02060104")),
    ("a capability longer than its parameter", "2/0", open_body([b"\1\5\0\1\0\1"])),
    ("a capability without length", "2/0", open_body([b"\1"])),
    ("a family of three octets", "2/0", open_body([capability(1, "000100")])),
    ("an AS number of two octets in the capability of four", "2/0", open_body([capability(65, "fc00")])),
    ("an OPEN without router ID", "1/2 001c", open_body()[:9]),
]


@pytest.mark.parametrize(("what", "answer", "body"), FAULTS, ids=[row[0] for row in FAULTS])
def test_an_open_that_is_wrong_is_answered_by_its_fault(what: str, answer: str, body: bytes) -> None:
    """RFC 4271 6.2; a version that we do not speak is answered with the one that we do."""
    with pytest.raises(ProtocolError) as caught:
        codec.decode_open(body)
    fault = caught.value
    assert f"{fault.code}/{fault.subcode} {fault.data.hex()}".strip() == answer
    assert fault.text


def agreed(capabilities: tuple[bytes, ...], offer: Offer = TO_ROUTER, hold_time: int = 90) -> Negotiated:
    """What we agree on with a peer that has these."""
    return codec.negotiate(offer, open_body(capabilities, hold_time=hold_time))


def test_a_router_that_has_everything_gets_everything() -> None:
    """Each feature by itself is a row below."""
    both = agreed(ROUTER)
    assert both.ibgp
    assert both.as4
    assert both.route_refresh
    assert both.enhanced_refresh
    assert (both.families, both.add_path_send, both.max_size) == (BOTH, frozenset(BOTH), 65535)
    assert both.graceful == GracefulRestart(120, restarting=False, notification=False, families=BOTH)


def test_a_router_that_has_little_gets_what_it_has() -> None:
    """EdgeOS, say: two families and four-octet AS numbers."""
    both = agreed(METALLB)
    assert not both.route_refresh
    assert not both.enhanced_refresh
    assert (both.families, both.add_path_send, both.max_size, both.graceful) == (BOTH, frozenset(), 4096, None)


def test_a_node_is_spoken_to_plainly_whatever_it_has() -> None:
    """FRR as a node offers all that there is; we have offered it nothing of that."""
    both = agreed(ROUTER, TO_NODE)
    assert not both.route_refresh
    assert not both.enhanced_refresh
    assert (both.families, both.add_path_send, both.max_size, both.graceful) == (BOTH, frozenset(), 4096, None)


V4, V6, AS4 = METALLB


@pytest.mark.parametrize(
    ("capabilities", "families"),
    [
        ((), (Family.IPV4,)),
        ((AS4,), (Family.IPV4,)),
        ((V4,), (Family.IPV4,)),
        ((V6,), (Family.IPV6,)),
        ((V6, V4), BOTH),
        ((capability(1, "00010002"),), ()),
        ((capability(1, "00010002"), V6), (Family.IPV6,)),
    ],
)
def test_families_are_those_that_both_have(capabilities: tuple[bytes, ...], families: tuple[Family, ...]) -> None:
    """Without any multiprotocol capability it is IPv4 unicast (RFC 4760 8)."""
    assert agreed(capabilities).families == families


@pytest.mark.parametrize(
    ("value", "families"),
    [
        ("00010101 00020101", BOTH),
        ("00010103 00020102", (Family.IPV4,)),
        ("00010102 00020102", ()),
        ("00010100 00020104", ()),
        ("00010201 00020101", (Family.IPV6,)),
    ],
)
def test_path_identifiers_go_to_who_takes_them(value: str, families: tuple[Family, ...]) -> None:
    """1 is receive, 2 send, 3 both, and anything else is to be ignored (RFC 7911 4)."""
    assert agreed((V4, V6, AS4, capability(69, value))).add_path_send == frozenset(families)


@pytest.mark.parametrize(("ours", "theirs", "hold_time"), [(90, 180, 90), (90, 9, 9), (0, 90, 0), (90, 0, 0)])
def test_the_shorter_hold_time_holds(ours: int, theirs: int, hold_time: int) -> None:
    """RFC 4271 4.2; 0 of either side switches the timers off."""
    assert agreed(METALLB, replace(TO_ROUTER, hold_time=ours), theirs).hold_time == hold_time


def test_enhanced_refresh_alone_is_refresh_too() -> None:
    """A request is answered between the marks of RFC 7313."""
    both = agreed((*METALLB, capability(70)))
    assert both.enhanced_refresh
    assert both.route_refresh


@pytest.mark.parametrize(
    ("value", "graceful"),
    [
        ("0000", GracefulRestart(0, restarting=False, notification=False, families=())),
        ("8078", GracefulRestart(120, restarting=True, notification=False, families=())),
        ("4fff 00010180", GracefulRestart(4095, restarting=False, notification=True, families=(Family.IPV4,))),
        ("0078 00010100 00020180", GracefulRestart(120, False, False, (Family.IPV6,))),
        ("0078 00190480", GracefulRestart(120, restarting=False, notification=False, families=())),
    ],
)
def test_graceful_restart_is_read_bit_by_bit(value: str, graceful: GracefulRestart) -> None:
    """RFC 4724 3: R, then (RFC 8538 2) N, the time in 12 bits, and the F bit of each family."""
    assert agreed((*METALLB, capability(64, value))).graceful == graceful


def test_two_octets_of_as_number_are_enough_for_an_old_peer() -> None:
    """RFC 6793 3: without the capability the field of two octets is the AS number."""
    both = codec.negotiate(TO_ROUTER, open_body((V4, V6), asn=65010))
    assert (both.peer.asn, both.as4, both.ibgp) == (65010, False, False)


def test_extended_optional_parameters_are_read() -> None:
    """RFC 9072: no daemon that we know sends them, and one with many families might."""
    parameters = b"".join(b"\2" + len(one).to_bytes(2, "big") + one for one in METALLB)
    body = open_body([])[:9] + b"\xff\xff" + len(parameters).to_bytes(2, "big") + parameters
    heard = codec.decode_open(body)
    assert (heard.asn, heard.families) == (64512, BOTH)
    assert len(message(1, body)) == int.from_bytes(message(1, body)[16:18], "big")


def test_long_lived_graceful_restart_is_offered_for_each_family_with_its_time() -> None:
    """RFC 9494 3.1: family, F bit, 24 bits of seconds; and it is read as it was written."""
    graceful = GracefulRestart(120, False, True, BOTH, 3600)
    opened = codec.encode_open(replace(TO_ROUTER, graceful_restart=graceful))
    assert bytes.fromhex("470e 0001 01 80 000e10 0002 01 80 000e10") in opened
    assert codec.offer_of(opened[19:]).graceful_restart == graceful


def test_a_helper_without_families_of_its_own_is_known_as_one() -> None:
    """BIRD's way: an empty capability."""
    theirs = open_body((*METALLB, capability(64, "4078"), capability(71)))
    agreed = codec.negotiate(replace(TO_ROUTER, graceful_restart=GracefulRestart(120, False, True, BOTH, 3600)), theirs)
    assert agreed.graceful is not None
    assert agreed.graceful.long_lived == 0
