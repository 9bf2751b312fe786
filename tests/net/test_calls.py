"""The first segments of calls, seen by a packet socket: whose they are, to where, and whether they are signed."""

import socket
from collections.abc import Iterator
from contextlib import suppress
from ipaddress import ip_address

import pytest

from speaker.net.calls import Call, Calls, call_in
from speaker.net.sockets import set_password
from tests.lab import Host, Lab, wait_until

PORTS = (1790, 179)
US = {4: "192.168.3.10", 6: "fd00:3::10"}
FIREWALL = "table inet f { chain i { type filter hook input priority 0;\ntcp dport 1790 drop\n}\n}\n"
NODE = {4: "192.168.3.33", 6: "fd00:3::33"}


@pytest.fixture
def lab(real_parts: None) -> Iterator[Lab]:
    """We, where nobody listens, and a node."""
    with Lab() as made:
        made.host("us", f"{US[4]}/24", f"{US[6]}/64")
        made.host("node", f"{NODE[4]}/24", f"{NODE[6]}/64")
        yield made


def dial(host: Host, to: str, port: int, key: bytes | None = None) -> None:
    """One call; nobody takes it."""

    def body() -> None:
        with socket.socket(socket.AF_INET6 if ":" in to else socket.AF_INET) as one:
            one.settimeout(0.05)
            if key is not None:
                set_password(one, ip_address(to), key)
            with suppress(OSError):
                one.connect((to, port))

    host.inside(body)


@pytest.mark.parametrize("version", [4, 6])
def test_calls_to_our_ports_are_seen_signed_or_not_and_nothing_else(lab: Lab, version: int) -> None:
    """Also those that the kernel drops for their signature, or that a firewall drops."""
    lab["us"].run("sh", "-c", f"printf '{FIREWALL}' | nft -f -")
    calls = lab["us"].inside(Calls, PORTS)
    found: list[Call] = []
    try:
        for port, key in ((22, None), (1790, None), (1790, b"secret"), (179, None), (10250, None)):
            dial(lab["node"], US[version], port, key)

        def seen() -> list[tuple[int, bool]]:
            found.extend(calls.read())
            return [(call.port, call.signed) for call in found]

        wait_until(lambda: set(seen()) == {(1790, False), (1790, True), (179, False)}, 5, "the calls", seen=seen)
    finally:
        calls.close()
    assert {(str(call.caller), str(call.to)) for call in found} == {(NODE[version], US[version])}


def test_a_packet_that_is_cut_short_or_makes_no_sense_is_no_call() -> None:
    """Options that lead nowhere are no signature either."""
    head = bytes((0x45, *bytes(8), 6, 0, 0, *ip_address(NODE[4]).packed, *ip_address(US[4]).packed))
    segment = bytes((0, 1, 0x06, 0xFE, *bytes(8), 0xF0, 2, *bytes(6)))
    assert call_in(head + segment[:19], 4, 1.0) is None
    for options in (b"", b"\x01\x01\x00\x13", b"\x02", b"\x02\x00\x13\x12", b"\x02\x04\x05\xb4"):
        assert call_in(head + segment + options, 4, 1.0) == Call(
            1.0, ip_address(NODE[4]), ip_address(US[4]), 1790, False
        )
    signed = call_in(head + segment + b"\x01\x01\x13\x12" + bytes(16), 4, 1.0)
    assert signed is not None
    assert signed.signed
