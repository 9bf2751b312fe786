"""What did the user ask for? The settings file as one typed tree that never changes.

`load` reads it whole or raises `SettingsError` with every mistake in it. Imports nothing of Onepeer but its
own parts: settings_file, settings_values, settings_check. Defaults that depend on other settings are resolved
here: a reader meets None only where docs/settings.md says `null`.

Two loaded trees are equal when they ask for the same, so that a reload compares parts of them:
`old.routers == new.routers`. The passwords take part in that, and stand in no repr and no dump.
"""

from __future__ import annotations

import os
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from speaker.settings_check import cross_check, named_files, no_local_address, no_router_id, problems_of
from speaker.settings_file import EACH, Document, Problem, SettingsError, read_document
from speaker.settings_values import (
    Address,
    AsNumber,
    ClassName,
    Community,
    ConnectTime,
    FilePath,
    GuardPrefix,
    Hold,
    HoldTime,
    HostAddress,
    Identifier,
    Interface,
    JournalSize,
    LeaseTime,
    LocalAddresses,
    LongLived,
    Name,
    ObjectName,
    PasswordFile,
    Port,
    ProbeInterval,
    ReceiveInterval,
    RestartTime,
    Selector,
    SocketAddress,
    Switch,
    Wait,
    Whole,
)

__all__ = ["Problem", "Section", "Settings", "SettingsError", "load"]


def _resolved() -> Any:
    """A default that depends on other settings; in a loaded tree it is never seen."""
    return Field(default=None)


class Section(BaseModel):
    """A mapping of a settings file: what it does not know it refuses."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    def _resolve(self, **values: object) -> None:
        """Fill in defaults that depend on other settings: while the tree is built, and never later."""
        for key, value in values.items():
            object.__setattr__(self, key, value)


class Listen(Section):
    addresses: tuple[HostAddress, ...] = Field(min_length=1)
    """Where nodes, and routers that dial, reach us. From the first of each family we dial the routers."""
    port: Port = 1790
    """TCP port, 1..65535. 179 is taken where Calico runs on the host; MetalLB's `peerPort` ends at 16384"""


class Router(Section):
    address: HostAddress
    """The router's own address: where we dial, and from where a call counts as the router's."""
    name: Name = _resolved()
    """Its name in logs, metrics and tables. The address unless said: no second name to keep in mind."""
    port: Port = 179
    """TCP port on the router. 179 is BGP's (RFC 4271, 8.2.1), and few routers can listen elsewhere."""
    asn: AsNumber = _resolved()
    """The router's AS. Ours unless said, which is iBGP; another makes it eBGP."""
    local_addresses: LocalAddresses = _resolved()
    """From where we dial: each is a `neighbor` of the router, a session and a lane of its own, 1..32 of the
    router's family. The first listen address of that family unless said: one line is enough to begin with."""
    local_address: HostAddress = _resolved()
    """Short for `local_addresses` with one. In a loaded tree it is the first of them; who dials takes them all."""
    password_file: PasswordFile | None = None
    """A file with the TCP MD5 password (RFC 2385). None unless said: the router must have the same one."""
    hold_time: HoldTime = 90.0
    """Seconds until a silent router counts as gone; 0s = never. 90 s is what RFC 4271, 10 suggests."""
    connect: Literal["both", "active", "passive"] = "both"
    """Who dials: active = we, passive = the router. Both is up soonest (collisions: RFC 4271, 6.8)."""
    ttl_security: Whole | None = Field(default=None, ge=1, le=254)
    """Hops, 1..254: what comes from farther is dropped (RFC 5082). Off unless said: it takes both sides."""
    mode: Literal["auto", "addpath", "lanes", "spread"] = "auto"
    """How many paths of a prefix reach it. By what it offers and how many local addresses there are."""
    max_paths: Whole | None = Field(default=None, ge=1)
    """The most paths of a prefix, by ADD-PATH or in lanes. All: the router has its own `maximum-paths`."""
    link_bandwidth: Switch = False
    """Whether each path says its node's weight, in Gbit/s (RFC 10005). Off: it changes how routers balance."""

    @property
    def password(self) -> bytes | None:
        """What `password_file` holds, 1..80 octets."""
        return self.password_file.octets if self.password_file else None


class BgpPeers(Section):
    manage: Switch = True
    """Whether MetalLB's BGPPeers for us are kept by us. Nobody has to type them; what people wrote stays."""
    password_secret: ObjectName | None = None
    """The Secret with the nodes' password, in MetalLB's namespace: what `nodes.password_file` holds."""
    bfd_profile: ObjectName | None = None
    """MetalLB's BFDProfile that they name, where no speaker is native: those refuse a BGPPeer that has it."""
    connect_time: ConnectTime | None = None
    """Seconds until FRR dials again. None = 1 where no speaker is native: those refuse a BGPPeer that has it."""


class Kubernetes(Section):
    selector: Selector | None = None
    """Labels of the nodes that may peer. All but those that Kubernetes' own label keeps from load balancers."""
    kubeconfig: FilePath | None = None
    """How the API server is reached. Unless said: as the pod that we are, by its ServiceAccount."""
    metallb_namespace: ObjectName = "metallb-system"
    """Where MetalLB's pools and peers are. What MetalLB's own manifests make."""
    follow_cordon: Switch = False
    """Whether a cordoned node is drained. Off: Kubernetes cordons for other reasons, too, and it keeps its pods."""
    ignore_exclude_lb: Switch | None = None
    """Whether nodes with Kubernetes' exclusion label may peer. Unless said: as the flag in MetalLB's speaker pods."""
    load_balancer_class: ClassName | None = None
    """MetalLB's `--lb-class`: Services of another are not its. Unless said: as the flag in its speaker pods."""
    other_pools: tuple[ObjectName, ...] = ()
    """IPAddressPools that are announced by other means, such as MetalLB's layer 2. None: what no BGPAdvertisement
    takes is a fault."""
    bgp_peers: BgpPeers = BgpPeers()
    """MetalLB's side of the sessions."""


class Bfd(Section):
    receive_interval: ReceiveInterval = 0.1
    """Seconds: the most often that a node is asked to send, 50ms..1s. 0.1 s: gone after 0.3 s, where the node sends so
    often (`transmitInterval` of its BFDProfile)."""


class Nodes(Section):
    file: FilePath | None = None
    """The roster: who may peer. From the folder of the settings file; see "nodes.yaml"."""
    kubernetes: Kubernetes | None = None
    """The roster is what the cluster says, and `{}` is enough. This or `file`, never both."""
    asn: AsNumber = _resolved()
    """The AS of nodes that have none of their own in the roster. Ours unless said, as for routers."""
    password_file: PasswordFile | None = None
    """The TCP MD5 password of nodes that have none of their own (`passwordSecret` in a BGPPeer)."""
    hold_time: HoldTime = 90.0
    """Seconds until a silent node counts as gone; 0s = never. As for routers; the smaller offer is used."""
    max_prefixes: Whole = Field(default=10_000, ge=1)
    """More from one node end its session. Ten times the services of a large cluster."""
    probe: ProbeInterval = 0.1
    """Seconds between two ARP requests to each node, 0s = none. Three unanswered end its paths within half a second."""
    bfd: Bfd | None = None
    """BFD (RFC 5881) with the nodes whose speakers have it; null = none. Off: ARP finds the same, and MetalLB's native
    speaker has none."""
    hold_paths: Hold = 120.0
    """Seconds, at most, that a node's paths outlive its session while it restarts; 0s = none. A new pod of a speaker
    takes 10 to 60 s, FRR dials again after 120."""
    hold_last: Hold = 600.0
    """The same for paths that no other node has, and for all in a mass failure. Without them nothing is left."""
    mass_failure: Whole = Field(default=50, ge=1, le=100)
    """Percent of the nodes, 1..100: more lost within 30 s are one failure, more likely ours than theirs."""

    @property
    def password(self) -> bytes | None:
        """What `password_file` holds, 1..80 octets."""
        return self.password_file.octets if self.password_file else None


class Guard(Section):
    prefixes: tuple[GuardPrefix, ...] = Field(default=(), min_length=1)
    """What nodes may announce: these and all inside. With a file it must be said: it stops a node taking others'
    traffic. In a cluster MetalLB's pools say it, and this narrows them."""
    strip_communities: tuple[Community, ...] = ()
    """Communities that the router must not see; octets as on the wire, 4 or (large) 12. None unless said."""


class GracefulRestart(Section):
    restart_time: RestartTime = 120.0
    """Seconds the router goes on forwarding without us (RFC 4724); 0s = not offered. FRR's default."""
    long_lived: LongLived = 3600.0
    """Seconds beyond that for which routes are better than none (RFC 9494); 0s = not offered. An hour mends much."""
    wait: Wait = 60.0
    """Seconds a started Onepeer waits for its nodes, at most, before End-of-RIB. MetalLB redials in 58 s."""


class Replicas(Section):
    interface: Interface | None = None
    """Where the leader has the routers' `local_addresses`. Unless said: the interface by which a router is reached."""
    lease_time: LeaseTime = 5.0
    """Seconds that a leader is waited for, 4s..60s. 5 s: a request to the API server takes 1.5 at most."""
    port: Port = 1791
    """TCP port between replicas, on `listen.addresses`. Beside ours for BGP, and clear of what a node uses."""


class Control(Section):
    socket: FilePath = Path("/run/onepeer/control.sock")
    """The Unix socket that `onepeer status` and the like ask. /run is empty after a boot."""


class Http(Section):
    address: SocketAddress = IPv4Address("127.0.0.1")
    """Where metrics and health are served. To the host alone unless said: they name nodes and prefixes."""
    port: Port = 9790
    """TCP port, 1..65535. Clear of node_exporter's 9100 and Prometheus' 9090."""


class Log(Section):
    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least that is logged. Info has a line for each session that comes or goes, none for a route."""
    format: Literal["json", "text"] | None = None
    """Unless said: text where stderr is a terminal, else JSON, one object a line."""


class Settings(Section):
    asn: AsNumber
    """Our AS number, 1..4294967294. No default: a wrong one brings up no session."""
    listen: Listen
    """Where we listen."""
    routers: tuple[Router, ...] = Field(min_length=1)
    """The routers that get the paths. Each has one line for us."""
    nodes: Nodes
    """Who announces."""
    guard: Guard = Guard()
    """What they may announce."""
    router_id: Identifier = _resolved()
    """Our BGP identifier. The first IPv4 listen address unless said, which nobody else can have; with
    `nodes.kubernetes` with 127 in front, because there a node may have that address."""
    cluster_id: Identifier = _resolved()
    """Ours in CLUSTER_LIST (RFC 4456). The router ID unless said; with `nodes.kubernetes` the AS number, because
    reflectors of the same nodes share one."""
    graceful_restart: GracefulRestart = GracefulRestart()
    """How a restart of ours is hidden from the router."""
    replicas: Replicas | None = None
    """Several replicas, of which one leads and has the routers' `local_addresses`; null = one, on a host that has
    them."""
    control: Control = Control()
    """How the command line reaches a running Onepeer."""
    http: Http | None = Http()
    """Metrics and health; null = none."""
    log: Log = Log()
    """What is logged, and how."""
    state_dir: FilePath = Path("/var/lib/onepeer")
    """Where the journal is kept, and the last roster of a cluster for a start while its API is away."""
    journal_size: JournalSize = Field(default="4MB", validate_default=True)
    """The most that the journal (`onepeer history`) takes there; 0MB = none. Months of a calm cluster."""

    @property
    def files(self) -> tuple[Path, ...]:
        """The password files: to be watched beside the settings file, whose values they are."""
        parts: tuple[Router | Nodes, ...] = (*self.routers, self.nodes)
        return tuple(dict.fromkeys(part.password_file.path for part in parts if part.password_file))

    @model_validator(mode="after")
    def _resolve_defaults(self) -> Self:
        listen = self.listen.addresses
        if self.router_id is None:
            first = next((address for address in listen if address.version == 4), None)
            if first is None:
                raise no_router_id().error()
            self._resolve(router_id=first if self.nodes.kubernetes is None else _beside(first))
        if self.cluster_id is None:
            in_cluster = self.nodes.kubernetes is not None
            self._resolve(cluster_id=IPv4Address(self.asn) if in_cluster else self.router_id)
        if self.nodes.asn is None:
            self._resolve(nodes=self.nodes.model_copy(update={"asn": self.asn}))
        self._resolve(routers=tuple(self._router(at, router) for at, router in enumerate(self.routers)))
        return self

    def _router(self, at: int, router: Router) -> Router:
        local: tuple[Address, ...] = router.local_addresses
        if not local:
            family = router.address.version
            listen = (address for address in self.listen.addresses if address.version == family)
            first = router.local_address or next(listen, None)
            if first is None:
                raise no_local_address(at, router.address).error()
            local = (first,)
        name, asn = router.name or str(router.address), router.asn or self.asn
        lanes = {"local_addresses": local, "local_address": local[0]}
        return router.model_copy(update={"name": name, "asn": asn, **lanes})


def load(path: Path) -> Settings:
    """The settings that `path` holds. Raises SettingsError, and nothing else, with all its mistakes."""
    document = _on_this_host(read_document(path))
    problems = list(document.problems)
    settings = None
    try:
        settings = Settings.model_validate(document.data, context={"folder": path.parent})
    except ValidationError as error:
        problems += problems_of(error, Settings, document, EXAMPLES)
    problems += cross_check(document)
    if problems or settings is None:
        raise SettingsError(problems, named_files(document, path.parent, _PASSWORDS))
    return settings


def _on_this_host(document: Document) -> Document:
    """With the addresses of the host that a pod is on, where the file has none of its own to listen on."""
    hosts = [address.strip() for address in os.environ.get(HOST_IPS, "").split(",") if address.strip()]
    data = document.data
    listen = data.get("listen", {}) if isinstance(data, dict) else None
    if not hosts or not isinstance(data, dict) or not isinstance(listen, dict) or "addresses" in listen:
        return document
    return replace(document, data={**data, "listen": {**listen, "addresses": hosts}})


def _beside(address: IPv4Address) -> IPv4Address:
    """An identifier that is no node's: the host's own speaker has its address, and an identifier must be alone in its
    AS (RFC 6286). No host on a wire has 127; FRR refuses 224 and above."""
    return IPv4Address(bytes((127,)) + address.packed[1:])


HOST_IPS: Final = "ONEPEER_HOST_IPS"
"""The environment variable with the addresses of the host, as the downward API gives them: `status.hostIPs`."""

EXAMPLES: Final = {
    "asn": "asn: 64512",
    "listen": "listen: {addresses: [192.168.3.10]}",
    "addresses": "addresses: [192.168.3.10]",
    "routers": "routers: [{address: 192.168.3.1}]",
    "address": "address: 192.168.3.1",
    "nodes": "nodes: {file: nodes.yaml}",
    "file": "file: nodes.yaml",
    "guard": "guard: {prefixes: [192.168.30.0/24]}",
    "prefixes": "prefixes: [192.168.30.0/24]",
}
"""What to write for a key that is missing."""

_PASSWORDS: Final = (("routers", EACH, "password_file"), ("nodes", "password_file"))
