"""GoBGP: gobgpd, asked through the gobgp CLI. It holds a RIB and installs nothing."""

import json
from typing import Any

from tests.lab.netns import CommandFailed
from tests.lab.speaker import Path, Peer, Speaker, family_of
from tests.lab.wait import NotYet

ATTR_ORIGIN, ATTR_AS_PATH, ATTR_NEXT_HOP, ATTR_LOCAL_PREF = 1, 2, 3, 5
ATTR_ORIGINATOR_ID, ATTR_CLUSTER_LIST, ATTR_MP_REACH = 9, 10, 14


class GoBGP(Speaker):
    kind = "gobgp"
    installs = False

    def config(self) -> str:
        listen = "-1" if self.is_node else "179"
        return "\n".join(
            [
                "[global.config]",
                f"as = {self.asn}",
                f'router-id = "{self.router_id}"',
                f"port = {listen}",
                *(line for peer in self.peers for line in self._peer(peer)),
                "",
            ]
        )

    def _peer(self, peer: Peer) -> list[str]:
        lines = ["[[neighbors]]", "[neighbors.config]", f'neighbor-address = "{peer.address}"']
        lines += [f"peer-as = {peer.asn}"]
        lines += [f'auth-password = "{peer.password}"'] if peer.password else []
        lines += ["[neighbors.timers.config]", "connect-retry = 1", "idle-hold-time-after-reset = 1"]
        lines += [f"hold-time = {peer.hold}", f"keepalive-interval = {peer.hold // 3}"] if peer.hold else []
        local = self.host.address(family_of(peer.address))
        lines += ["[neighbors.transport.config]", f'local-address = "{local}"', f"remote-port = {peer.port}"]
        lines += ["passive-mode = true"] if peer.passive else []
        for family in peer.spoken:
            lines += ["[[neighbors.afi-safis]]", "[neighbors.afi-safis.config]"]
            lines += [f'afi-safi-name = "ipv{family}-unicast"']
            lines += ["[neighbors.afi-safis.add-paths.config]"]
            lines += [f"receive = {'true' if peer.add_path and not self.is_node else 'false'}"]
        return lines

    def launch(self) -> None:
        config = self.write("gobgpd.conf", self.config())
        places = ("-f", config, "--api-hosts", "127.0.0.1:50051", "--pprof-disable", "-p")
        self.processes.append(self.host.start("gobgpd", *places, log="gobgpd.log"))

    def start(self) -> None:
        super().start()
        self.announce(*self.networks)

    def ready(self) -> bool:
        try:
            return bool(self.gobgp("global"))
        except NotYet:
            return False

    def gobgp(self, *words: str) -> str:
        """Run one gobgp command and return what it printed."""
        try:
            return self.host.run("gobgp", *words)
        except CommandFailed as error:
            raise NotYet(str(error)) from error

    def established(self, peer: str) -> bool:
        answer = json.loads(self.gobgp("-j", "neighbor", peer))
        return bool(answer["state"].get("session_state") == 6)  # GoBGP's number for ESTABLISHED

    def paths(self, prefix: str) -> list[Path]:
        try:
            text = self.gobgp("-j", "global", "rib", prefix, "-a", f"ipv{family_of(prefix)}")
            answer: dict[str, list[dict[str, Any]]] = json.loads(text)
        except (NotYet, json.JSONDecodeError):  # "Network not in table", with an exit status or as text
            return []
        return sorted(_path(found) for found in answer.get(prefix, []))

    def announce(self, *prefixes: str) -> None:
        for prefix in prefixes:
            family = family_of(prefix)
            hop = self.host.address(family)
            self.gobgp("global", "rib", "add", prefix, "nexthop", hop, "-a", f"ipv{family}")

    def withdraw(self, *prefixes: str) -> None:
        for prefix in prefixes:
            self.gobgp("global", "rib", "del", prefix, "-a", f"ipv{family_of(prefix)}")


def _path(found: dict[str, Any]) -> Path:
    attributes = {attribute["type"]: attribute for attribute in found["attrs"]}
    hop = attributes.get(ATTR_MP_REACH) or attributes.get(ATTR_NEXT_HOP, {})
    segments = attributes.get(ATTR_AS_PATH, {}).get("as_paths") or []
    return Path(
        next_hop=hop.get("nexthop", ""),
        as_path=" ".join(str(asn) for segment in segments for asn in segment["asns"]),
        local_pref=attributes.get(ATTR_LOCAL_PREF, {}).get("value"),
        originator_id=attributes.get(ATTR_ORIGINATOR_ID, {}).get("value"),
        cluster_list=tuple(attributes.get(ATTR_CLUSTER_LIST, {}).get("value") or ()),
    )
