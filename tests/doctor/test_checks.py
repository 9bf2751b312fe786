"""Each check names what is wrong, why, and the way out; nothing else is touched by it."""

from ipaddress import IPv4Address
from typing import Any

import pytest

from speaker.doctor.facts import Card, Held, Knock, Knocked, Listening, Process
from speaker.doctor.findings import Level
from speaker.serve.views import LeadView
from tests.doctor.host import ALL, ROUTER, card, found, settings, told
from tests.serve.example import status

LISTEN = IPv4Address("192.168.3.10")
MOVING = settings(routers=[{"address": "192.168.3.1", "name": "edge", "local_address": "192.168.3.20"}], replicas={},
                  nodes={"kubernetes": {}})  # fmt: skip
LOW = settings(listen={"addresses": ["192.168.3.10"], "port": 179})
HINT, WARN, BAD = Level.HINT, Level.WARNING, Level.PROBLEM

ROWS: dict[str, tuple[dict[str, Any], str, Level, str]] = {
    "no NET_RAW": ({"process": Process(None, ALL - {"CAP_NET_RAW"}, 9999)}, "rights", HINT, "has no CAP_NET_RAW"),
    "no right to port 179": ({"settings": LOW, "process": Process(None, frozenset({"CAP_NET_RAW"}), 9999)},
                             "rights", BAD, "has no CAP_NET_BIND_SERVICE"),
    "a replica without NET_ADMIN": ({"settings": MOVING, "process": Process(7, frozenset({"CAP_NET_RAW"}), 9999)},
                                    "rights", BAD, "the running Onepeer has no CAP_NET_ADMIN"),
    "an address that is elsewhere": ({"cards": (card("192.168.3.11"),)}, "addresses", BAD, "192.168.3.10 is not on"),
    "a replica's own address": ({"settings": MOVING, "cards": (card("192.168.3.10", "192.168.3.20"),)},
                                "addresses", BAD, "192.168.3.20 is this host's own"),
    "a taken port": ({"listening": (Listening(LISTEN, 1790, 42, "bird"),)}, "ports", BAD, "taken by bird (pid 42)"),
    "a port taken on all addresses": ({"listening": (Listening(None, 1790),)}, "ports", BAD, "may not see"),
    "a metrics port": ({"listening": (Listening(IPv4Address("127.0.0.1"), 9790, 1, "x"),)}, "ports", BAD, "9790"),
    "another on BFD's port": ({"settings": settings(nodes={"file": "nodes.yaml", "bfd": {}}),
                               "bfd": (Listening(None, 3784, 9, "bfdd"),)}, "ports", BAD, "taken by bfdd (pid 9)"),
    "a small MTU": ({"cards": (card("192.168.3.10", mtu=1450),)}, "links", WARN, "has an MTU of 1450"),
    "no way to the router": ({"ways": {ROUTER: None}}, "links", BAD, "not reached by any interface"),
    "a clock of 1970": ({"now": 1000.0}, "clock", WARN, "years behind"),
    "a clock on its own": ({"synchronised": False}, "clock", WARN, "not synchronised"),
    "few files": ({"process": Process(None, ALL, 64)}, "files", BAD, "at most 64 files"),
    "no state": ({"state_dir": "read-only file system"}, "files", WARN, "cannot be written"),
    "nobody answers ARP": ({"settings": MOVING, "sysctls": {"ens18/arp_ignore": 8}}, "replicas", BAD, "arp_ignore is"),
    "a leased address": ({"settings": MOVING, "cards": (card("192.168.3.10", permanent=False),)},
                         "replicas", WARN, "promote_secondaries is 0"),
    "a running Onepeer of another user's": ({"silent": "control.sock is not for this user", "mute": True},
                                            "onepeer", WARN, "nobody to ask"),
    "an empty roster": ({"roster": 0}, "roster", WARN, "empty"),
    "a router that refuses": ({"knocks": (Knocked("edge", LISTEN, Knock.REFUSED),)}, "routers", BAD, "refuses"),
    "a router without our line": ({"knocks": (Knocked("edge", LISTEN, Knock.HANGS_UP),)},
                                  "routers", BAD, "hangs up at once from 192.168.3.10"),
    "a silent router": ({"knocks": (Knocked("edge", LISTEN, Knock.SILENT),)}, "routers", BAD, "does not answer"),
    "another version runs": ({"status": status(), "version": "9.9"}, "onepeer", WARN, "another version"),
}  # fmt: skip


def test_nothing_is_found_where_all_is_well() -> None:
    """And each check has said so."""
    assert found() == []
    assert "192.168.3.10 port 1790 is free (listen)" in told()


@pytest.mark.parametrize(("changes", "check", "level", "what"), ROWS.values(), ids=ROWS)
def test_what_is_wrong_is_found(changes: dict[str, Any], check: str, level: Level, what: str) -> None:
    """With why, and the way out."""
    hits = [one for name, one in found(**changes) if name == check and what in one.what]
    assert [one.level for one in hits] == [level], found(**changes)
    assert hits[0].why
    assert hits[0].way_out


def test_a_strict_reverse_path_matters_only_where_the_addresses_are_on_another_interface() -> None:
    """What comes back over another interface than it went out by is dropped then."""
    tree = {"routers": [{"address": "192.168.3.1", "local_address": "192.168.3.20"}], "nodes": {"kubernetes": {}}}
    cards = (card("192.168.3.10"), Card("ens19", 1500))
    for interface, expected in (("ens18", 0), ("ens19", 1)):
        moving = settings(**tree, replicas={"interface": interface})
        hits = found(settings=moving, cards=cards, sysctls={"all/rp_filter": 1})
        assert len([one for name, one in hits if name == "replicas"]) == expected


def test_a_port_of_the_running_onepeer_is_no_finding() -> None:
    """Another process on it is."""
    ours, theirs = Listening(LISTEN, 1790, 42, "onepeer"), Listening(LISTEN, 1790, 43, "bird")
    running = {"status": status(), "process": Process(42, ALL, 9999)}
    assert not [one for name, one in found(**running, listening=(ours,)) if name == "ports"]
    assert [one for name, one in found(**running, listening=(theirs,)) if name == "ports"]


def test_the_bfd_port_of_a_running_onepeer_that_this_user_may_not_see_is_no_finding() -> None:
    """Who has it is not known then, and it is as likely Onepeer itself."""
    with_bfd = settings(nodes={"file": "nodes.yaml", "bfd": {}})
    unseen = {"status": status(), "process": Process(None, ALL, 9999), "settings": with_bfd}
    assert not [one for name, one in found(**unseen, bfd=(Listening(LISTEN, 3784),)) if name == "ports"]


def test_calico_on_the_port_of_bgp_is_good_to_know_and_no_fault() -> None:
    """We listen elsewhere."""
    calico = (Listening(None, 179, 11, "bird"),)
    assert not found(listening=calico)
    assert any("another BGP speaker listens on port 179: bird (pid 11)" in one for one in told(listening=calico))


def test_an_address_that_the_leader_holds_is_not_the_hosts_own() -> None:
    """It has a lifetime."""
    held = Card("ens18", 1500, (*card("192.168.3.10").held, *card("192.168.3.20", permanent=False).held))
    assert isinstance(held.held[1], Held)
    assert not [one for name, one in found(settings=MOVING, cards=(held,)) if name in ("addresses", "replicas")]


def test_a_router_that_is_too_far_for_its_ttl_security_is_told() -> None:
    """One hop is the link itself."""
    near = settings(routers=[{"address": "192.168.3.1", "ttl_security": 1}])
    assert not found(settings=near)
    assert [one.what for _, one in found(settings=near, far=frozenset({ROUTER}))] == [
        "router 192.168.3.1 is behind another router"
    ]


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({}, "nobody follows"),
        ({"followers": ["leviathan2"]}, ""),
        ({"role": "follows", "leader": "leviathan2"}, ""),
        ({"leader": "", "role": "follows"}, "nobody leads"),
        ({"followers": ["leviathan2"], "conflict": "52:54:00:12:34:56"}, "the address is taken"),
        ({"followers": ["leviathan2"], "problem": "403"}, "its Lease cannot be kept"),
    ],
)
def test_replicas_that_could_not_go_on_are_told(changes: dict[str, Any], what: str) -> None:
    """One that follows a leader is as it should be."""
    alone = {"role": "leads", "leader": "leviathan1", "lease_age": 1.0, "problem": None, "followers": [], "mirrored": 0}
    lead = LeadView.model_validate({**alone, "conflict": None, "taken": None, **changes})
    router = status().routers[0].model_copy(update={"lead": lead})
    hits = [one.what for name, one in found(status=status(routers=[router])) if name == "routers"]
    assert hits == ([f"router edge: {what}"] if what else [])


def test_a_kernel_without_md5_matters_only_to_who_has_a_password() -> None:
    """Else it is told and no more."""
    assert not found(md5="protocol not available")
    assert any("without TCP MD5" in one for one in told(md5="protocol not available"))


def test_a_session_that_is_up_says_its_mode_and_what_was_agreed() -> None:
    """It is not called then."""
    assert any(one.startswith("router edge from ") and "addpath" in one for one in told(status=status()))
