"""How is each Debian daemon made to say what a recording needs? Its settings, its commands, its way to stop.

Every daemon gets the same wishes: a session to the peer (and, for `feeders`, to the speakers whose paths it
reflects), FIRST announced from the start, LATER announced and withdrawn while the session is up.
"""

import os
import shutil
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from golden_net import HOSTNAME, Lab, run

PEER4, PEER6 = "192.168.3.10", "fd00:3::10"
OWN4, OWN6 = "192.168.3.1", "fd00:3::1"
FEEDERS = ("192.168.3.31", "192.168.3.32")
# The prefixes that carry the community 64512:100 come first in their family.
FIRST = ("192.168.30.1/32", "192.168.31.0/24", "fd00:30::1/128", "fd00:31::/64")
TAGGED = (FIRST[0], FIRST[2])
LATER = ("192.168.30.22/32", "fd00:30::22/128")


@dataclass(frozen=True, slots=True)
class Case:
    """One session to be recorded."""

    name: str
    what: str  # the rest of a sentence that starts with the daemon's name
    asn: int  # the daemon's
    peer_asn: int = 64512
    hold_time: int = 90  # seconds, offered by the peer
    capabilities: tuple[bytes, ...] = ()  # offered by the peer
    over_ipv6: bool = False  # the TCP session
    feeders: bool = False  # two more peers, whose paths it reflects, all of them to who takes ADD-PATH
    many: int = 0  # so many prefixes more in FIRST, all with one attribute set
    reason: str | None = None  # shut the session down with this reason; None: SIGTERM to the daemon

    @property
    def first(self) -> tuple[str, ...]:
        """What is announced from the start."""
        return FIRST + tuple(f"192.168.{32 + index // 256}.{index % 256}/32" for index in range(self.many))

    @property
    def peer(self) -> str:
        """The address of the peer that records."""
        return PEER6 if self.over_ipv6 else PEER4

    @property
    def own(self) -> str:
        """The address that the daemon has on that session."""
        return OWN6 if self.over_ipv6 else OWN4

    @property
    def peers(self) -> tuple[str, ...]:
        """All the peers that the daemon is configured with."""
        return (self.peer, *FEEDERS) if self.feeders else (self.peer,)


def family(prefix: str) -> str:
    """ipv4 or ipv6."""
    return "ipv6" if ":" in prefix else "ipv4"


class Daemon:
    """One daemon in a lab's namespace."""

    name: str
    package: str

    def __init__(self, lab: Lab, namespace: str, case: Case) -> None:
        self.lab, self.namespace, self.case = lab, namespace, case
        self._main: subprocess.Popen[bytes]

    @classmethod
    def version(cls) -> str:
        """The version of the Debian package."""
        return run("dpkg-query", "-W", "-f", "${Version}", cls.package)

    def start(self) -> None:
        """Start it, with FIRST."""
        raise NotImplementedError

    def announce(self, prefix: str) -> None:
        """Announce one of LATER."""
        raise NotImplementedError

    def withdraw(self, prefix: str) -> None:
        """Withdraw it again."""
        raise NotImplementedError

    def shutdown(self, reason: str) -> None:
        """Shut the session to the peer down (RFC 9003)."""
        raise NotImplementedError

    def terminate(self) -> None:
        """End the daemon as its service manager would."""
        self.lab.stop(self._main)

    def _settings(self, name: str, text: str, owner: str | None = None) -> Path:
        path = self.lab.folder / name
        path.write_text(text)
        path.chmod(0o600)
        if owner:
            shutil.chown(path, owner)
            shutil.chown(self.lab.folder, owner)
        return path

    def _inside(self, *command: str) -> str:
        """Run a command of the daemon's in its namespace; for 10 s it may still be starting up."""
        deadline = time.monotonic() + 10
        while True:
            try:
                return run("ip", "netns", "exec", self.namespace, *command)
            except RuntimeError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)


class Frr(Daemon):
    """zebra and bgpd, their files in the lab's folder."""

    name, package = "frr", "frr"

    def start(self) -> None:
        """Start zebra first: bgpd learns from it the IPv6 next hop of an IPv4 session."""
        os.chmod(self.lab.folder, 0o755)
        zebra = self._settings("zebra.conf", f"hostname {HOSTNAME}\n", "frr")
        bgpd = self._settings("bgpd.conf", self._bgpd(), "frr")
        for program, settings, more in (("zebra", zebra, ()), ("bgpd", bgpd, ("-p", "179"))):
            folder = str(self.lab.folder)
            self._main = self.lab.start(
                self.namespace,
                *(f"/usr/lib/frr/{program}", "-f", str(settings), "-z", f"{folder}/zserv.api", *more),
                *(
                    "--vty_socket",
                    folder,
                    "-i",
                    f"{folder}/{program}.pid",
                    "-A",
                    "127.0.0.1",
                    "--log",
                    "stdout",
                ),
            )
            self._vtysh(f"show {'interface' if program == 'zebra' else 'bgp summary'}")

    def _bgpd(self) -> str:
        case = self.case
        lines = [
            f"hostname {HOSTNAME}",
            "route-map tagged permit 10",
            " set community 64512:100",
            f"router bgp {case.asn}",
            f" bgp router-id {OWN4}",
            " no bgp ebgp-requires-policy",
            " no bgp network import-check",
            " no bgp default ipv4-unicast",
        ]
        for peer in case.peers:
            lines += [f" neighbor {peer} remote-as {case.peer_asn}", f" neighbor {peer} passive"]
        for one in ("ipv4", "ipv6"):
            lines.append(f" address-family {one} unicast")
            for peer in case.peers:
                lines.append(f"  neighbor {peer} activate")
                if case.feeders:
                    lines += [
                        f"  neighbor {peer} route-reflector-client",
                        f"  neighbor {peer} addpath-tx-all-paths",
                    ]
            for prefix in case.first:
                if family(prefix) == one:
                    lines.append(f"  network {prefix}{' route-map tagged' if prefix in TAGGED else ''}")
            lines.append(" exit-address-family")
        return "\n".join(lines) + "\n"

    def _vtysh(self, *commands: str) -> None:
        each = [part for command in commands for part in ("-c", command)]
        self._inside("vtysh", "--vty_socket", str(self.lab.folder), *each)

    def _configure(self, *commands: str) -> None:
        self._vtysh("configure terminal", f"router bgp {self.case.asn}", *commands)

    def announce(self, prefix: str) -> None:
        """By a `network` line."""
        self._configure(f"address-family {family(prefix)} unicast", f"network {prefix}")

    def withdraw(self, prefix: str) -> None:
        """By taking the `network` line away."""
        self._configure(f"address-family {family(prefix)} unicast", f"no network {prefix}")

    def shutdown(self, reason: str) -> None:
        """By `neighbor shutdown message`."""
        self._configure(f"neighbor {self.case.peer} shutdown message {reason}")


class Bird(Daemon):
    """BIRD: every prefix that comes and goes is a static protocol of its own."""

    name, package = "bird", "bird2"

    def start(self) -> None:
        """Start it in the foreground."""
        settings = self._settings("bird.conf", self._bird())
        self._main = self.lab.start(
            self.namespace,
            "bird",
            "-f",
            "-c",
            str(settings),
            "-s",
            self._control,
            "-P",
            f"{self.lab.folder}/bird.pid",
        )
        self._birdc("show", "status")

    @property
    def _control(self) -> str:
        return f"{self.lab.folder}/bird.ctl"

    def _bird(self) -> str:
        case = self.case
        blocks = [f"log stderr all;\nrouter id {OWN4};", "protocol device { }"]
        for one in ("ipv4", "ipv6"):
            routes = "".join(self._route(prefix) for prefix in case.first if family(prefix) == one)
            blocks.append(f"protocol static first_{one} {{ {one}; {routes}}}")
        for prefix in LATER:
            one = family(prefix)
            blocks.append(f"protocol static later_{one} {{ disabled; {one}; {self._route(prefix)}}}")
        for index, peer in enumerate(case.peers):
            channel = "import all; export all;" + (" add paths on;" if case.feeders else "")
            blocks.append(
                f"protocol bgp peer{index} {{ local {case.own if index == 0 else OWN4} as {case.asn};"
                f" neighbor {peer} as {case.peer_asn}; passive on; enable extended messages on;"
                f" {'rr client;' if case.feeders else ''} advertise hostname on;"
                f" ipv4 {{ {channel} }}; ipv6 {{ {channel} }}; }}"
            )
        return "\n".join(blocks) + "\n"

    @staticmethod
    def _route(prefix: str) -> str:
        tag = " { bgp_community.add((64512, 100)); }" if prefix in TAGGED else ""
        return f"route {prefix} blackhole{tag}; "

    def _birdc(self, *command: str) -> None:
        self._inside("birdc", "-s", self._control, *command)

    def announce(self, prefix: str) -> None:
        """By enabling its static protocol."""
        self._birdc("enable", f"later_{family(prefix)}")

    def withdraw(self, prefix: str) -> None:
        """By disabling its static protocol."""
        self._birdc("disable", f"later_{family(prefix)}")

    def shutdown(self, reason: str) -> None:
        """By disabling the BGP protocol with a message."""
        self._birdc("disable", "peer0", f'"{reason}"')


class GoBgp(Daemon):
    """gobgpd: its routes come over its API, so also FIRST is told to it once it runs."""

    name, package = "gobgp", "gobgpd"

    def start(self) -> None:
        """Start it without routes, then add FIRST before anybody has dialled."""
        settings = self._settings("gobgpd.toml", self._toml())
        self._main = self.lab.start(
            self.namespace, "gobgpd", "-f", str(settings), "--api-hosts", "127.0.0.1:50051", "--pprof-disable"
        )
        for prefix in self.case.first:
            self.announce(prefix)

    def _toml(self) -> str:
        case = self.case
        lines = [f'[global.config]\nas = {case.asn}\nrouter-id = "{OWN4}"']
        for peer in case.peers:
            lines.append(f'[[neighbors]]\n[neighbors.config]\nneighbor-address = "{peer}"\npeer-as = {case.peer_asn}')
            lines.append("[neighbors.transport.config]\npassive-mode = true")
            if case.feeders:
                lines.append(
                    f"[neighbors.route-reflector.config]\nroute-reflector-client = true\n"
                    f'route-reflector-cluster-id = "{OWN4}"'
                )
                lines.append("[neighbors.add-paths.config]\nreceive = true\nsend-max = 8")
                lines.append("[neighbors.graceful-restart.config]\nenabled = true\nrestart-time = 120")
            for one in ("ipv4", "ipv6"):
                lines.append(f'[[neighbors.afi-safis]]\n[neighbors.afi-safis.config]\nafi-safi-name = "{one}-unicast"')
                if case.feeders:
                    lines.append("[neighbors.afi-safis.mp-graceful-restart.config]\nenabled = true")
                    lines.append("[neighbors.afi-safis.add-paths.config]\nreceive = true\nsend-max = 8")
        return "\n".join(lines) + "\n"

    def _gobgp(self, *command: str) -> None:
        self._inside("gobgp", *command)

    def announce(self, prefix: str) -> None:
        """Into the global table."""
        more = ["community", "64512:100"] if prefix in TAGGED else []
        # Left to itself, it gives IPv6 prefixes on an IPv4 session an IPv4-mapped next hop: FIRST keeps that.
        if prefix in LATER:
            more += ["nexthop", OWN6 if family(prefix) == "ipv6" else OWN4]
        self._gobgp("global", "rib", "add", "-a", family(prefix), prefix, "origin", "igp", *more)

    def withdraw(self, prefix: str) -> None:
        """Out of the global table."""
        self._gobgp("global", "rib", "del", "-a", family(prefix), prefix)

    def shutdown(self, reason: str) -> None:
        """By `gobgp neighbor shutdown`."""
        self._gobgp("neighbor", self.case.peer, "shutdown", "--reason", reason)


class OpenBgpd(Daemon):
    """OpenBGPD: takes its own user and a settings file that nobody else may write."""

    name, package = "openbgpd", "openbgpd"

    def start(self) -> None:
        """Start it in the foreground; its processes shut themselves in /run/openbgpd."""
        Path("/run/openbgpd").mkdir(exist_ok=True)
        settings = self._settings("openbgpd.conf", self._conf())
        self._main = self.lab.start(self.namespace, "/usr/sbin/bgpd", "-d", "-f", str(settings))
        self._bgpctl("show", "summary")

    @property
    def _control(self) -> str:
        return f"{self.lab.folder}/openbgpd.sock"

    def _conf(self) -> str:
        case = self.case
        lines = [f"AS {case.asn}", f"router-id {OWN4}", "fib-update no", f'socket "{self._control}"']
        lines += [f"listen on {OWN4}", f"listen on {OWN6}"]
        for prefix in case.first:
            lines.append(f"network {prefix}{' set community 64512:100' if prefix in TAGGED else ''}")
        for peer in case.peers:
            lines += [f"neighbor {peer} {{", f" remote-as {case.peer_asn}", " passive"]
            lines += [" announce IPv4 unicast", " announce IPv6 unicast", " announce enhanced refresh yes"]
            if case.feeders:
                lines += [" route-reflector", " announce add-path recv yes", " announce add-path send all"]
            lines.append("}")
        lines += ["allow from any", "allow to any"]
        # Left to itself, it gives an IPv6 prefix on an IPv4 session the next hop ::1: FIRST keeps that.
        lines.append(f"match to any prefix {LATER[1]} set nexthop {OWN6}")
        return "\n".join(lines) + "\n"

    def _bgpctl(self, *command: str) -> None:
        self._inside("bgpctl", "-s", self._control, *command)

    def announce(self, prefix: str) -> None:
        """By `bgpctl network add`."""
        self._bgpctl("network", "add", prefix)

    def withdraw(self, prefix: str) -> None:
        """By `bgpctl network delete`."""
        self._bgpctl("network", "delete", prefix)

    def shutdown(self, reason: str) -> None:
        """By `bgpctl neighbor down`."""
        self._bgpctl("neighbor", self.case.peer, "down", reason)


DAEMONS: Sequence[type[Daemon]] = (Frr, Bird, GoBgp, OpenBgpd)
