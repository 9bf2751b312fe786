"""BIRD 2, asked through birdc."""

import re

from tests.lab.netns import CommandFailed, run
from tests.lab.speaker import Path, Peer, Speaker, family_of
from tests.lab.wait import NotYet

ECMP = 32


class BIRD(Speaker):
    kind = "bird"
    installs = True

    def config(self) -> str:
        parts = [f"router id {self.router_id};", "protocol device { scan time 10; }"]
        for family in (4, 6):
            channel = f"ipv{family}"
            if self.is_node:
                routes = "".join(f" route {n} blackhole;" for n in self.networks if family_of(n) == family)
                parts.append(f"protocol static static{family} {{ {channel};{routes} }}")
                continue
            parts.append(f"protocol direct direct{family} {{ {channel}; }}")
            parts.append(
                f"protocol kernel kernel{family} {{ merge paths yes limit {ECMP};"
                f" {channel} {{ import none; export where source = RTS_BGP; }}; }}"
            )
        parts += [self._peer(number, peer) for number, peer in enumerate(self.peers)]
        return "\n".join(parts) + "\n"

    def _peer(self, number: int, peer: Peer) -> str:
        local = self.host.address(family_of(peer.address))
        lines = [
            f"local {local} as {self.asn}",
            f"neighbor {peer.address} port {peer.port} as {peer.asn}",
            "direct",
            "connect delay time 0",
            "connect retry time 1",
            "error wait time 1, 2",
        ]
        lines += [f'password "{peer.password}"'] if peer.password else []
        lines += [f"hold time {peer.hold}"] if peer.hold else []
        lines += ["passive"] if peer.passive else []
        node = "import none; export where source = RTS_STATIC;"
        takes = node if self.is_node else "import all; export none;"
        add_path = " add paths rx;" if peer.add_path and not self.is_node else ""
        lines += [f"ipv{family} {{ {takes}{add_path} }}" for family in peer.spoken]
        return f"protocol bgp peer{number} {{ {'; '.join(lines)}; }}"

    def launch(self) -> None:
        config = self.write("bird.conf", self.config())
        files = ("-c", config, "-s", f"{self.folder}/bird.ctl")
        self.processes.append(self.host.start("bird", "-f", *files, log="bird.log"))

    def ready(self) -> bool:
        try:
            return "Daemon is up and running" in self.birdc("show", "status")
        except NotYet:
            return False

    def birdc(self, *words: str) -> str:
        """Run one birdc command and return what it printed."""
        try:
            return run(["birdc", "-s", f"{self.folder}/bird.ctl", *words])
        except CommandFailed as error:
            raise NotYet(str(error)) from error

    def established(self, peer: str) -> bool:
        number = [one.address for one in self.peers].index(peer)
        return "Established" in self.birdc("show", "protocols", f"peer{number}")

    def paths(self, prefix: str) -> list[Path]:
        try:
            text = self.birdc("show", "route", prefix, "where", "source = RTS_BGP", "all")
        except NotYet as error:
            if "Network not found" in str(error):
                return []
            raise
        return sorted(_path(block) for block in re.split(r"\n(?=\S*\s+unicast|\S*\s+unreachable)", text)[1:])

    def announce(self, *prefixes: str) -> None:
        self.networks += prefixes
        self._reconfigure()

    def withdraw(self, *prefixes: str) -> None:
        self.networks = [one for one in self.networks if one not in prefixes]
        self._reconfigure()

    def _reconfigure(self) -> None:
        self.write("bird.conf", self.config())
        self.birdc("configure")


def _path(block: str) -> Path:
    """One route of `show route all`: a head line, then one `BGP.name: value` line for each attribute."""
    values = dict(re.findall(r"BGP\.(\w+): *(.*)", block))
    preference = values.get("local_pref")
    return Path(
        next_hop=values.get("next_hop", "").split(" ")[0],
        as_path=values.get("as_path", "").strip(),
        local_pref=int(preference) if preference else None,
        originator_id=values.get("originator_id"),
        cluster_list=tuple(values.get("cluster_list", "").split()),
    )
