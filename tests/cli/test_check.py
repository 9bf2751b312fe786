"""`onepeer check`: every mistake at once, or what would run and what to type into the router."""

import json
from pathlib import Path

from tests.cli.command import Done, run

SETTINGS = """\
asn: 64512
listen: {addresses: [192.168.3.10]}
routers:
  - address: 192.168.3.1
nodes: {file: nodes.yaml}
guard: {prefixes: [192.168.30.0/24]}
"""

NODES = """\
nodes:
  - {name: leviathan1, addresses: [192.168.3.31]}
  - {name: leviathan2, addresses: [192.168.3.32]}
"""


def check(folder: Path, *words: str, settings: str = SETTINGS, nodes: str = NODES) -> Done:
    (folder / "onepeer.yaml").write_text(settings)
    (folder / "nodes.yaml").write_text(nodes)
    return run("check", "-c", str(folder / "onepeer.yaml"), *words)


def lines_for(folder: Path, dialect: str, settings: str) -> list[str]:
    """What is to be typed into the first router."""
    done = check(folder, "-o", "json", settings=settings)
    assert done.status == 0, done.out
    found: list[str] = json.loads(done.out)["plan"]["routers"][0][dialect]
    return found


def test_good_settings_are_summed_up_with_the_lines_for_the_router(tmp_path: Path) -> None:
    """The smallest file: one neighbor line, and the ECMP that makes it worth while."""
    done = check(tmp_path)
    assert (done.status, done.err) == (0, "")
    assert (
        done.out
        == f"""\
OK  {tmp_path}/onepeer.yaml is good. What would run:
is         AS 64512, router ID 192.168.3.10
listens on 192.168.3.10:1790
lets in    192.168.30.0/24 from 2 nodes of {tmp_path}/nodes.yaml
answers on /run/onepeer/control.sock and http://127.0.0.1:9790

NODE        ADDRESSES     AS     PASSWORD
leviathan1  192.168.3.31  64512  -
leviathan2  192.168.3.32  64512  -

router 192.168.3.1, AS 64512, dialled on port 179, and may dial; type into it, once:
  FRR:
    router bgp 64512
     neighbor 192.168.3.10 remote-as 64512
     address-family ipv4 unicast
      maximum-paths ibgp 32
  EdgeOS:
    set protocols bgp 64512 neighbor 192.168.3.10 remote-as 64512
    set protocols bgp 64512 maximum-paths ibgp 32
"""
    )


def test_every_mistake_is_told_with_its_line(tmp_path: Path) -> None:
    """And what to write instead; none hides another."""
    done = check(tmp_path, settings=SETTINGS.replace("64512", "0") + "gaurd: {}\n")
    assert (done.status, done.err) == (1, "")
    first, second, last = done.out.splitlines()
    assert first.startswith(f"{tmp_path}/onepeer.yaml:1: asn: 0 is not to be used: ")
    assert second.startswith(f"{tmp_path}/onepeer.yaml:7: gaurd: is not a key: ")
    assert last == f"{tmp_path}/onepeer.yaml: 2 mistakes; nothing would run"


def test_a_mistake_in_the_roster_counts_too(tmp_path: Path) -> None:
    """Its own file and line are named."""
    done = check(tmp_path, nodes=NODES.replace("192.168.3.32", "192.168.3.31"))
    assert done.status == 1
    assert done.out.startswith(f"{tmp_path}/nodes.yaml:3: nodes[1].addresses[0]: 192.168.3.31 is given twice")


def test_a_roster_without_nodes_is_good_and_worth_a_word(tmp_path: Path) -> None:
    """A cluster may begin empty."""
    done = check(tmp_path, nodes="nodes: []\n")
    assert done.status == 0
    assert "warning: the roster is empty: no node may peer\n" in done.out


def test_mistakes_are_data_for_programs(tmp_path: Path) -> None:
    """With the same exit status."""
    done = check(tmp_path, "-o", "json", settings="asn: 64512\n")
    view = json.loads(done.out)
    assert done.status == 1
    assert (view["good"], view["plan"]) == (False, None)
    assert {problem["key"] for problem in view["problems"]} == {"listen", "routers", "nodes", "guard"}
    assert all(problem["text"].startswith(problem["file"]) for problem in view["problems"])


def test_a_file_that_cannot_be_read_is_one_mistake(tmp_path: Path) -> None:
    """No traceback, whatever the path is."""
    for path in (tmp_path / "none.yaml", tmp_path, Path("/dev/null")):
        done = run("check", "-c", str(path))
        assert done.status == 1
        assert done.out.startswith(f"{path}: ")
        assert done.err == ""


def test_an_ebgp_router_is_told_to_believe_us(tmp_path: Path) -> None:
    """Without the first line FRR takes nothing from an eBGP neighbor, and says so nowhere."""
    settings = SETTINGS.replace("address: 192.168.3.1\n", "address: 192.168.3.1\n    asn: 64500\n")
    assert lines_for(tmp_path, "frr", settings) == [
        "router bgp 64500",
        " no bgp ebgp-requires-policy",
        " neighbor 192.168.3.10 remote-as 64512",
        " address-family ipv4 unicast",
        "  maximum-paths 32",
    ]
    assert lines_for(tmp_path, "edgeos", settings) == [
        "set protocols bgp 64500 neighbor 192.168.3.10 remote-as 64512",
        "set protocols bgp 64500 maximum-paths ebgp 32",
    ]


def test_ipv6_prefixes_need_the_family_on_the_router(tmp_path: Path) -> None:
    """Over a session of either family."""
    settings = SETTINGS.replace("192.168.30.0/24", "'fd00:30::/64'")
    assert lines_for(tmp_path, "frr", settings)[2:] == [
        " address-family ipv6 unicast",
        "  neighbor 192.168.3.10 activate",
        "  maximum-paths ibgp 32",
    ]
    family = "set protocols bgp 64512 neighbor 192.168.3.10 address-family ipv6-unicast"
    assert family in lines_for(tmp_path, "edgeos", settings)


def test_each_lane_is_a_neighbor_of_the_router(tmp_path: Path) -> None:
    """All that is said of one is said of each."""
    router = "  - {address: 192.168.3.1, local_addresses: [192.168.3.11, 192.168.3.12], ttl_security: 1}\n"
    settings = SETTINGS.replace("  - address: 192.168.3.1\n", router).replace("192.168.30.0/24", "'fd00:30::/64'")
    assert lines_for(tmp_path, "frr", settings) == [
        "router bgp 64512",
        " neighbor 192.168.3.11 remote-as 64512",
        " neighbor 192.168.3.11 ttl-security hops 1",
        " neighbor 192.168.3.12 remote-as 64512",
        " neighbor 192.168.3.12 ttl-security hops 1",
        " address-family ipv6 unicast",
        "  neighbor 192.168.3.11 activate",
        "  neighbor 192.168.3.12 activate",
        "  maximum-paths ibgp 32",
    ]
    edgeos = "\n".join(lines_for(tmp_path, "edgeos", settings))
    for us in ("192.168.3.11", "192.168.3.12"):
        for words in ("remote-as 64512", "ttl-security hops 1", "address-family ipv6-unicast"):
            assert f"set protocols bgp 64512 neighbor {us} {words}" in edgeos


def test_a_password_is_never_printed(tmp_path: Path) -> None:
    """Its file is named instead, in both words."""
    (tmp_path / "secret").write_text("hunter2\n")
    router = "  - {address: 192.168.3.1, password_file: secret, ttl_security: 2, connect: passive}\n"
    settings = SETTINGS.replace("  - address: 192.168.3.1\n", router)
    for dialect, start in (("frr", " neighbor"), ("edgeos", "set protocols bgp 64512 neighbor")):
        lines = lines_for(tmp_path, dialect, settings)
        for words in ("port 1790", f"password <what is in {tmp_path}/secret>", "ttl-security hops 2"):
            assert f"{start} 192.168.3.10 {words}" in lines
    assert "hunter2" not in check(tmp_path, settings=settings).out


CLUSTER = SETTINGS.replace(
    "nodes: {file: nodes.yaml}\nguard: {prefixes: [192.168.30.0/24]}\n", "nodes: {kubernetes: {}}\n"
)


def test_in_a_cluster_nodes_and_prefixes_are_the_clusters(tmp_path: Path) -> None:
    """The cluster is not asked: the settings are checked where they are written."""
    done = check(tmp_path, settings=CLUSTER)
    assert (done.status, done.err) == (0, "")
    assert "lets in    the addresses of MetalLB's pools, from the nodes of the cluster\n" in done.out
    assert "     neighbor 192.168.3.10 remote-as 64512\n" in done.out
    assert "BGPPeer" not in done.out


def test_who_keeps_metallbs_peers_by_hand_is_told_what_to_write(tmp_path: Path) -> None:
    by_hand = CLUSTER.replace("kubernetes: {}", "kubernetes: {bgp_peers: {manage: false}}")
    (peer,) = json.loads(check(tmp_path, "-o", "json", settings=by_hand).out)["plan"]["bgp_peers"]
    assert peer.startswith("apiVersion: metallb.io/v1beta2\nkind: BGPPeer\n")
    assert "labels" not in peer
    assert "MetalLB's side, for `kubectl apply -f -`:\napiVersion" in check(tmp_path, settings=by_hand).out
