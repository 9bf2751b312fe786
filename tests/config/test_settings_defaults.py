"""What a user leaves out is filled in, and what two files ask for is equal when it is the same."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address
from pathlib import Path

import pytest
from good_settings import GOOD

from speaker.config import Settings, load


def settings(folder: Path, text: str) -> Settings:
    path = folder / "onepeer.yaml"
    path.write_text(text)
    return load(path)


def test_the_smallest_file_is_enough(tmp_path: Path) -> None:
    """Six lines give a whole tree, with every default that depends on others resolved."""
    found = settings(tmp_path, GOOD)
    (router,) = found.routers
    assert found.router_id == found.cluster_id == router.local_address == IPv4Address("192.168.3.10")
    assert router.local_addresses == (router.local_address,)
    assert (router.mode, router.link_bandwidth, router.max_paths) == ("auto", False, None)
    assert (router.name, router.asn, router.port, router.hold_time) == ("192.168.3.1", 64512, 179, 90.0)
    assert (found.nodes.asn, found.nodes.file) == (64512, tmp_path / "nodes.yaml")
    assert found.guard.prefixes == (IPv4Network("192.168.30.0/24"),)
    assert found.listen.port == 1790
    assert found.http is not None


def test_a_router_is_dialled_from_the_first_listen_address_of_its_family(tmp_path: Path) -> None:
    text = GOOD.replace("[192.168.3.10]", "[192.168.3.10, fd00::10, fd00::11]")
    found = settings(tmp_path, text.replace("192.168.3.1\n", "fd00::1\n"))
    assert found.routers[0].local_addresses == (IPv6Address("fd00::10"),)


def test_one_local_address_is_a_list_of_one(tmp_path: Path) -> None:
    """Both ways to write it ask for the same, so that a reload from one to the other leaves the session alone."""
    one = settings(tmp_path, GOOD.replace("192.168.3.1\n", "192.168.3.1\n    local_address: 192.168.3.11\n"))
    several = settings(tmp_path, GOOD.replace("192.168.3.1\n", "192.168.3.1\n    local_addresses: [192.168.3.11]\n"))
    assert one == several
    assert one.routers[0].local_addresses == (IPv4Address("192.168.3.11"),)


def test_lanes_keep_the_order_of_the_file(tmp_path: Path) -> None:
    """Lane 1 is the first of them; another order is another wish."""
    text = GOOD.replace("192.168.3.1\n", "192.168.3.1\n    local_addresses: [192.168.3.12, 192.168.3.11]\n")
    router = settings(tmp_path, text).routers[0]
    assert router.local_addresses == (IPv4Address("192.168.3.12"), IPv4Address("192.168.3.11"))
    assert router.local_address == IPv4Address("192.168.3.12")
    assert settings(tmp_path, text.replace("12, 192.168.3.11", "11, 192.168.3.12")).routers[0] != router


def test_saying_a_default_changes_nothing(tmp_path: Path) -> None:
    """A reload after such an edit finds nothing to do."""
    said = GOOD.replace("192.168.3.1\n", "192.168.3.1\n    port: 179\n    asn: 64512\n") + "router_id: 192.168.3.10\n"
    plain, full = settings(tmp_path, GOOD), settings(tmp_path, said)
    assert plain == full
    assert hash(plain) == hash(full)


def test_a_reload_sees_which_part_changed(tmp_path: Path) -> None:
    """A change of the nodes' hold time leaves the routers equal, so their sessions are left alone."""
    old = settings(tmp_path, GOOD)
    new = settings(tmp_path, GOOD.replace("nodes.yaml}", "nodes.yaml, hold_time: 30s}"))
    assert old.routers == new.routers
    assert old.nodes != new.nodes


def test_http_null_serves_nothing(tmp_path: Path) -> None:
    assert settings(tmp_path, GOOD + "http: null\n").http is None


@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
def test_a_password_is_read_from_its_file_and_never_shown(tmp_path: Path, ending: str) -> None:
    """One newline at the end is the editor's, not the password's."""
    (tmp_path / "secret").write_bytes(b"open sesame" + ending.encode())
    found = settings(tmp_path, GOOD.replace("192.168.3.1\n", "192.168.3.1\n    password_file: secret\n"))
    assert found.routers[0].password == b"open sesame"
    assert found.files == (tmp_path / "secret",)
    assert "sesame" not in f"{found!r} {found} {found.model_dump()} {found.model_dump_json()}"


def test_another_password_is_another_router(tmp_path: Path) -> None:
    """The path stays the same, so the content has to count."""
    text = GOOD.replace("192.168.3.1\n", "192.168.3.1\n    password_file: secret\n")
    (tmp_path / "secret").write_text("one")
    old = settings(tmp_path, text)
    (tmp_path / "secret").write_text("two")
    assert old.routers != settings(tmp_path, text).routers


def test_communities_are_kept_as_on_the_wire(tmp_path: Path) -> None:
    """Also those that YAML 1.1 takes for numbers in base 60, like 64512:10."""
    text = GOOD.replace("/24]", "/24], strip_communities: [64512:10, no-export, 64512:1:2]")
    found = settings(tmp_path, text).guard
    assert found.strip_communities == (
        bytes.fromhex("fc00000a"),
        bytes.fromhex("ffffff01"),
        bytes.fromhex("0000fc000000000100000002"),
    )
    assert found.model_dump()["strip_communities"] == ("64512:10", "no-export", "64512:1:2")


def test_names_may_look_like_numbers(tmp_path: Path) -> None:
    assert settings(tmp_path, GOOD.replace("192.168.3.1\n", "192.168.3.1\n    name: 7\n")).routers[0].name == "7"


def test_in_a_cluster_four_lines_are_enough(tmp_path: Path) -> None:
    """No list of nodes and no prefixes: the cluster has both."""
    text = GOOD.replace("{file: nodes.yaml}", "{kubernetes: {}}").replace("guard: {prefixes: [192.168.30.0/24]}\n", "")
    found = settings(tmp_path, text)
    assert found.guard.prefixes == ()
    assert found.nodes.file is None
    assert found.nodes.kubernetes is not None
    assert found.nodes.kubernetes.bgp_peers.manage
    assert found.nodes.kubernetes.selector is None
    assert str(found.state_dir) == "/var/lib/onepeer"


CLUSTER = """asn: 64512
routers: [{address: 192.168.3.1}]
nodes: {kubernetes: {}}
"""


def test_in_a_pod_the_as_and_the_router_are_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The host's addresses come from the downward API; the host's own speaker has its address as identifier already."""
    monkeypatch.setenv("ONEPEER_HOST_IPS", "192.168.3.31,fd00:3::31")
    found = settings(tmp_path, CLUSTER)
    assert list(map(str, found.listen.addresses)) == ["192.168.3.31", "fd00:3::31"]
    assert str(found.routers[0].local_address) == "192.168.3.31"
    assert (str(found.router_id), str(found.cluster_id)) == ("127.168.3.31", "0.0.252.0")


def test_what_the_file_says_goes_before_the_pods_own_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONEPEER_HOST_IPS", "192.168.3.31")
    said = "listen: {addresses: [192.168.3.10]}\nrouter_id: 192.168.3.99\n"
    found = settings(tmp_path, CLUSTER + said)
    assert list(map(str, found.listen.addresses)) == ["192.168.3.10"]
    assert str(found.router_id) == "192.168.3.99"
    assert str(settings(tmp_path, CLUSTER + "listen: {port: 1791}\n").listen.addresses[0]) == "192.168.3.31"
