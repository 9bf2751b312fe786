"""FRR: zebra, bgpd, and bfdd where a peer has BFD, with sockets and files of their own, asked through vtysh.

As a router it has the lines of the user's router: one `neighbor` and `maximum-paths`. As a node (it has
networks) it is configured in the shape of MetalLB's FRR mode (its TestSingleAdvertisement.golden): nothing
accepted, announcements by `network` behind a prefix list, `bgpd -p 0`.
"""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from typing import Any

from tests.lab.netns import CommandFailed, run
from tests.lab.speaker import Path, Peer, Speaker, family_of
from tests.lab.wait import NotYet, wait_until

BIN = "/usr/lib/frr"
ECMP = 32
"""`maximum-paths`, as in the user's router."""


class FRR(Speaker):
    kind = "frr"
    installs = True

    graceful_restart = True
    """As a node: `bgp graceful-restart preserve-fw-state`, as MetalLB writes it."""

    def config(self) -> str:
        return self._node_config() if self.is_node else self.router_config()

    def router_lines(self) -> list[str]:
        """The lines that a person types into a router for these neighbors."""
        lines = [f"router bgp {self.asn}", f" bgp router-id {self.router_id}"]
        if any(peer.asn != self.asn for peer in self.peers):
            lines.append(" no bgp ebgp-requires-policy")
        if any(peer.relax for peer in self.peers):
            lines.append(" bgp bestpath as-path multipath-relax")
        for peer in self.peers:
            lines.append(f" neighbor {peer.address} remote-as {peer.asn}")
            lines += _transport_lines(peer, timers=False)
        ibgp = all(peer.asn == self.asn for peer in self.peers)
        for family in sorted({family for peer in self.peers for family in peer.spoken} | {4}):
            lines.append(f" address-family ipv{family} unicast")
            lines.append(f"  maximum-paths {'ibgp ' if ibgp else ''}{ECMP}")
            for peer in self.peers:
                spoken = family in peer.spoken
                if spoken != (family == 4):
                    lines.append(f"  {'' if spoken else 'no '}neighbor {peer.address} activate")
                if spoken and not peer.add_path:
                    lines.append(f"  neighbor {peer.address} disable-addpath-rx")
            lines.append(" exit-address-family")
        return lines

    def router_config(self) -> str:
        return "\n".join([f"hostname {self.host.name}", *self.router_lines(), ""])

    def _node_config(self) -> str:
        lines = [f"hostname {self.host.name}", "ip nht resolve-via-default", "ipv6 nht resolve-via-default"]
        for peer in self.peers:
            lines += self._node_policy(peer)
        lines += [
            f"router bgp {self.asn}",
            " no bgp ebgp-requires-policy",
            " no bgp network import-check",
            " no bgp default ipv4-unicast",
            *([" bgp graceful-restart preserve-fw-state"] if self.graceful_restart else []),
            f" bgp router-id {self.router_id}",
        ]
        for peer in self.peers:
            lines.append(f" neighbor {peer.address} remote-as {peer.asn}")
            lines.append(f" neighbor {peer.address} port {peer.port}")
            lines += _transport_lines(peer, timers=True)
        for family in (4, 6):
            lines.append(f" address-family ipv{family} unicast")
            lines += [f"  network {prefix}" for prefix in self.networks if family_of(prefix) == family]
            for peer in self.peers:
                if family in peer.spoken:
                    lines.append(f"  neighbor {peer.address} activate")
                    lines.append(f"  neighbor {peer.address} route-map {peer.address}-in in")
                    lines.append(f"  neighbor {peer.address} route-map {peer.address}-out out")
            lines.append(" exit-address-family")
        return "\n".join([*lines, ""])

    def _node_policy(self, peer: Peer) -> list[str]:
        lines = [f"route-map {peer.address}-in deny 20"]
        lines += [_prefix_list(peer.address, prefix) for prefix in self.networks]
        for number, word in ((1, "ip"), (2, "ipv6")):
            lines.append(f"route-map {peer.address}-out permit {number}")
            lines.append(f" match {word} address prefix-list {peer.address}-pl")
        return lines

    def launch(self) -> None:
        shutil.chown(self.folder, "frr", "frr")
        config = self.write("bgpd.conf", self.config())
        empty = self.write("zebra.conf", f"hostname {self.host.name}\n")
        zebra_socket = self.folder / "zserv.api"
        zebra_socket.unlink(missing_ok=True)
        self._start("zebra", empty)
        wait_until(zebra_socket.exists, 10, f"zebra on {self.host.name} listens", seen=self.output)
        listen = ("-p", "0") if self.is_node else ()
        if any(peer.bfd for peer in self.peers):
            self._start("bfdd", self.write("bfdd.conf", self._bfd_config()), "--bfdctl", f"{self.folder}/bfdd.sock")
            wait_until((self.folder / "bfdd.vty").exists, 10, f"bfdd on {self.host.name} is there", seen=self.output)
        self._start("bgpd", config, *listen)

    def _start(self, daemon: str, config: str, *more: str) -> None:
        places = ("-f", config, "-z", f"{self.folder}/zserv.api", "--vty_socket", str(self.folder))
        files = ("-i", f"{self.folder}/{daemon}.pid", "-P", "0", *more)
        self.processes.append(self.host.start(f"{BIN}/{daemon}", *places, *files, log=f"{daemon}.log"))

    def _bfd_config(self) -> str:
        lines = ["bfd"]
        for peer in self.peers:
            if peer.bfd:
                lines += [f" profile {_profile(peer)}", f"  transmit-interval {peer.bfd}", " exit"]
        return "\n".join([*lines, ""])

    def bfd(self, peer: str) -> dict[str, Any]:
        """What `show bfd peers` says of one of them; {} where there is none."""
        found: list[dict[str, Any]] = json.loads(self.vtysh("show bfd peers json", daemon="bfdd") or "[]")
        return next((one for one in found if one["peer"] == peer), {})

    def ready(self) -> bool:
        try:
            return "bgp router-id" in self.vtysh("show running-config")
        except NotYet:
            return False

    def vtysh(self, *commands: str, daemon: str = "bgpd") -> str:
        """Run commands in vtysh, as a person at the router would, and return what it printed."""
        arguments = [part for command in commands for part in ("-c", command)]
        if not os.path.exists(self.folder / f"{daemon}.vty"):
            raise NotYet(f"{daemon} on {self.host.name} has no socket")
        try:
            return run(["vtysh", "--vty_socket", str(self.folder), "-d", daemon, *arguments])
        except CommandFailed as error:
            raise NotYet(str(error)) from error

    def ask(self, command: str) -> dict[str, Any]:
        """A `show ... json` command's answer; {} when it printed nothing."""
        text = self.vtysh(command)
        try:
            decoded: dict[str, Any] = json.loads(text or "{}")
        except json.JSONDecodeError as error:
            raise NotYet(text) from error
        return decoded

    def configure(self, *lines: str) -> None:
        """Type these lines in configuration mode."""
        self.vtysh("configure terminal", *lines)

    def replace_peers(self, peers: Iterable[Peer]) -> None:
        """Give it these neighbors instead, without a restart: what an administrator or MetalLB's reload does."""
        self.peers = list(peers)
        fresh = self.write("bgpd.conf", self.config())
        self.configure(f"no router bgp {self.asn}")
        run(["vtysh", "--vty_socket", str(self.folder), "-d", "bgpd", "-f", fresh])

    def neighbor(self, peer: str) -> dict[str, Any]:
        """All that `show bgp neighbors` says of one neighbor."""
        found: dict[str, Any] = self.ask(f"show bgp neighbors {peer} json").get(peer, {})
        return found

    def established(self, peer: str) -> bool:
        return self.neighbor(peer).get("bgpState") == "Established"

    def paths(self, prefix: str) -> list[Path]:
        answer = self.ask(f"show bgp ipv{family_of(prefix)} unicast {prefix} json")
        return sorted(_path(found) for found in answer.get("paths", []))

    def path_ids(self, prefix: str) -> list[int]:
        """The ADD-PATH identifiers received for this prefix, sorted."""
        answer = self.ask(f"show bgp ipv{family_of(prefix)} unicast {prefix} json")
        return sorted(found["addPathId"] for found in answer.get("paths", []) if "addPathId" in found)

    def announce(self, *prefixes: str) -> None:
        policy = [_prefix_list(peer.address, prefix) for peer in self.peers for prefix in prefixes]
        self.configure(*policy, *self._networks(prefixes, ""))

    def withdraw(self, *prefixes: str) -> None:
        self.configure(*self._networks(prefixes, "no "))

    def _networks(self, prefixes: tuple[str, ...], no: str) -> list[str]:
        lines = [f"router bgp {self.asn}"]
        for prefix in prefixes:
            lines.append(f"address-family ipv{family_of(prefix)} unicast")
            lines.append(f"{no}network {prefix}")
            lines.append("exit-address-family")
        return lines


def dry_run(config: str) -> tuple[int, str]:
    """Exit status of `bgpd -C` over this configuration, and all that it says of it: nothing where it takes every line.

    Its /var/tmp is one of its own: bgpd complains of a crash log's folder that a killed one with its pid left there.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".conf", dir="/tmp") as file:
        file.write(config)
        file.flush()
        os.chmod(file.name, 0o644)  # bgpd reads it as a user of its own
        alone = ("unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /var/tmp && exec "$@"', "sh")
        command = (*alone, f"{BIN}/bgpd", "-C", "-f", file.name)
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def _transport_lines(peer: Peer, *, timers: bool) -> list[str]:
    """`timers`: MetalLB's connectTime of a second; a router keeps its defaults."""
    name = f" neighbor {peer.address}"
    lines = [f"{name} timers {max(1, peer.hold // 3)} {peer.hold}"] if peer.hold else []
    lines += [f"{name} timers connect 1"] if timers else []
    lines += [f"{name} port {peer.port}"] if peer.port != 179 and not timers else []
    lines += [f"{name} password {peer.password}"] if peer.password else []
    lines += [f"{name} passive"] if peer.passive else []
    lines += [f"{name} bfd", f"{name} bfd profile {_profile(peer)}"] if peer.bfd else []
    return lines


def _profile(peer: Peer) -> str:
    return f"every{peer.bfd}ms"


def _prefix_list(peer: str, prefix: str) -> str:
    return f"{'ipv6' if ':' in prefix else 'ip'} prefix-list {peer}-pl permit {prefix}"


def _path(found: dict[str, Any]) -> Path:
    hops = [hop for hop in found.get("nexthops", []) if hop.get("scope") != "link-local"]
    return Path(
        next_hop=hops[0]["ip"] if hops else "",
        as_path=found.get("aspath", {}).get("string", "").replace("Local", "").strip(),
        local_pref=found.get("locPrf"),
        originator_id=found.get("originatorId"),
        cluster_list=tuple(found.get("clusterList", {}).get("list", ())),
    )
