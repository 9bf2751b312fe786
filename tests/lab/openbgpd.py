"""OpenBGPD, asked through bgpctl. On Linux it holds a RIB and installs nothing."""

import json
import os
from typing import Any

from tests.lab.netns import CommandFailed, run
from tests.lab.speaker import Path, Peer, Speaker
from tests.lab.wait import NotYet

CHROOT = "/run/openbgpd"
"""The home of its user, to which its children chroot; Debian makes it only when the service starts."""


class OpenBGPD(Speaker):
    kind = "openbgpd"
    installs = False

    def config(self) -> str:
        lines = [f"AS {self.asn}", f"router-id {self.router_id}", "fib-update no", "connect-retry 1"]
        lines += [f"listen on {address}" for address in self.host.addresses]
        lines += [f'socket "{self.folder}/bgpd.sock"']
        lines += [f"network {prefix}" for prefix in self.networks]
        lines += [self._peer(peer) for peer in self.peers]
        lines += ["allow from any", "allow to any"]
        return "\n".join(lines) + "\n"

    def _peer(self, peer: Peer) -> str:
        local = self.host.v6 if ":" in peer.address else self.host.v4
        lines = [f"remote-as {peer.asn}", f"local-address {local}"]
        lines += [f"announce IPv{family} unicast" for family in peer.spoken]
        lines += [f"announce IPv{family} none" for family in (4, 6) if family not in peer.spoken]
        lines += [f"port {peer.port}"] if peer.port != 179 else []
        lines += [f"tcp md5sig password {peer.password}"] if peer.password else []
        lines += [f"holdtime {peer.hold}"] if peer.hold else []
        lines += ["passive"] if peer.passive else []
        lines += ["announce add-path recv yes"] if peer.add_path and not self.is_node else []
        lines += [] if self.is_node else ["export none"]
        return f"neighbor {peer.address} {{\n" + "\n".join(f"\t{line}" for line in lines) + "\n}"

    def launch(self) -> None:
        os.makedirs(CHROOT, mode=0o755, exist_ok=True)
        config = self.write("bgpd.conf", self.config())
        os.chmod(config, 0o600)  # it refuses a file with keys that others can read
        self.processes.append(self.host.start("/usr/sbin/bgpd", "-d", "-f", config, log="openbgpd.log"))

    def ready(self) -> bool:
        try:
            return bool(self.bgpctl("show", "summary"))
        except NotYet:
            return False

    def bgpctl(self, *words: str) -> str:
        """Run one bgpctl command and return what it printed."""
        try:
            return run(["bgpctl", "-s", f"{self.folder}/bgpd.sock", *words])
        except CommandFailed as error:
            raise NotYet(str(error)) from error

    def established(self, peer: str) -> bool:
        answer = json.loads(self.bgpctl("-j", "show", "neighbor", peer))
        return any(found["state"] == "Established" for found in answer.get("neighbors", []))

    def paths(self, prefix: str) -> list[Path]:
        answer = json.loads(self.bgpctl("-j", "show", "rib", "detail", prefix) or "{}")
        return sorted(_path(found) for found in answer.get("rib", []) if found["prefix"] == prefix)

    def announce(self, *prefixes: str) -> None:
        for prefix in prefixes:
            self.bgpctl("network", "add", prefix)

    def withdraw(self, *prefixes: str) -> None:
        for prefix in prefixes:
            self.bgpctl("network", "delete", prefix)


def _path(found: dict[str, Any]) -> Path:
    attributes = {one["type"]: one for one in found.get("attributes", [])}
    return Path(
        next_hop=found["exit_nexthop"],
        as_path=found.get("aspath", ""),
        local_pref=found.get("localpref"),
        originator_id=attributes.get("Originator Id", {}).get("originator"),
        cluster_list=tuple(attributes.get("Cluster Id List", {}).get("cluster_list", ())),
    )
