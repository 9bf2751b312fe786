"""The second act of `make demo`: the same router without ADD-PATH.

It begins where the first ends: leviathan1, 3 and 4 are up, Onepeer has one line. The router refuses ADD-PATH; then
three more lines are typed, once, for three more addresses of Onepeer.
"""

from typing import TYPE_CHECKING

from tests.lab import Onepeer, Peer

if TYPE_CHECKING:
    from tests.lab.demo import Stage, Story

LANES = ["192.168.3.10", "192.168.3.11", "192.168.3.12", "192.168.3.13"]
ASN = 64512
TRAEFIK, GITEA = "192.168.30.1", "192.168.30.22"

SETTINGS = """\
asn: 64512
listen: {addresses: [192.168.3.10]}
routers:
  - address: 192.168.3.1
    local_addresses: [192.168.3.10, 192.168.3.11, 192.168.3.12, 192.168.3.13]
nodes: {file: nodes.yaml}
guard: {prefixes: [192.168.30.0/24]}
"""


def one_line(story: "Story", stage: "Stage", living: list[str]) -> None:
    """`spread`: every service reachable, over one node each."""
    story.act("Second act: a router without ADD-PATH")
    story.does("The router's line is told to refuse ADD-PATH, as if it had none. Onepeer changes its mode by itself.")
    stage.router.configure(
        f"router bgp {ASN}", "address-family ipv4 unicast", f"neighbor {LANES[0]} disable-addpath-rx"
    )
    route = stage.router_host.route
    story.comes_true(lambda: len(route(f"{TRAEFIK}/32")) == 1, 15, "Traefik has one next hop: one path fits one line")
    story.comes_true(lambda: route(f"{GITEA}/32") == living[1:2], 5, "Gitea is still routed to leviathan3")
    stage.router_routes(story, TRAEFIK, GITEA)


def four_lines(story: "Story", stage: "Stage", onepeer: Onepeer, living: list[str]) -> None:
    """`lanes`: load-balancing is back."""
    story.act("Four lines, typed once: load-balancing without ADD-PATH")
    story.does("Onepeer's host gets three more addresses, the settings name them, the router gets a line for each.")
    stage.onepeer_host.ip(*(f"addr add {address}/24 dev eth0" for address in LANES[1:]))
    onepeer.file.write_text(SETTINGS)
    stage.router.replace_peers([Peer(address, ASN, add_path=False) for address in LANES])
    story.shows("$ cat onepeer.yaml", SETTINGS)
    story.shows("router# show running-config", stage.lines())
    route = stage.router_host.route
    story.comes_true(lambda: route(f"{TRAEFIK}/32") == living, 15, "all three living nodes are next hops of Traefik")
    stage.router_routes(story, TRAEFIK, GITEA)
    story.shows("$ onepeer status", onepeer.cli("status").stdout)
    story.shows(f"$ onepeer routes {TRAEFIK}", onepeer.cli("routes", TRAEFIK).stdout)
    answered = stage.spread(story)
    story.claim(len(answered) == len(living), "flows spread over all three, and a fourth node would need no new line")
