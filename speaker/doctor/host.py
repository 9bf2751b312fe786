"""Does this host let Onepeer work? Rights, kernel, addresses, ports, links, clock, files. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from speaker.doctor.facts import Address, Card, Facts, Listening
from speaker.doctor.findings import Finding, hint, ok, problem, warning
from speaker.host.bfd import PORT as BFD

BGP: Final = 179
USUAL_MTU: Final = 1500
BESIDE: Final = 64
"""Files beside the nodes' sessions: routers, followers, the API server, log, journal, who asks."""
FIRST_SANE: Final = 1735689600.0
"""2025. A board without a battery starts in 1970, or where its image was made."""
NO_ARP_AT_ALL: Final = 8


def rights(facts: Facts) -> Iterator[Finding]:
    """Effective capabilities, each with what it is for."""
    settings, has = facts.settings, facts.process.capabilities
    whose = "the running Onepeer" if facts.process.pid is not None else "this user"
    grant = "grant it: securityContext.capabilities of the pod, AmbientCapabilities of the unit, or run it as root"
    wanted = []
    if settings.replicas is not None:
        text = "a replica takes the router's addresses and its live TCP sessions with it"
        wanted.append(("CAP_NET_ADMIN", problem, text, f"{grant}; deploy/overlays/replicas has it"))
        text = "a replica asks the link by ARP whether the router's address is free"
        wanted.append(("CAP_NET_RAW", problem, text, f"{grant}; deploy/overlays/replicas has it"))
    elif settings.nodes.probe:
        # No warning: the manifests leave it out, for Kubernetes gives capabilities to root alone.
        text = (
            "ARP requests find a vanished node within half a second (nodes.probe), else the hold timer does; and whose "
            "calls are dropped for a wrong password can be seen"
        )
        way_out = f"where that is too slow, set nodes.bfd; or {grant}; deploy/components/net-raw has it"
        wanted.append(("CAP_NET_RAW", hint, text, way_out))
    if settings.listen.port < 1024:
        text = f"listen.port is {settings.listen.port}, and ports below 1024 are privileged"
        wanted.append(("CAP_NET_BIND_SERVICE", problem, text, f"{grant}; or listen on 1790"))
    missing = [one for one in wanted if one[0] not in has]
    for name, finding, why, way_out in missing:
        yield finding(f"{whose} has no {name}", why, way_out)
    if not missing:
        names = " and ".join(one[0] for one in wanted)
        yield ok(f"{whose} has {names}" if names else "no capability is needed for these settings")


def kernel(facts: Facts) -> Iterator[Finding]:
    """Its version, and TCP MD5 where there are passwords."""
    settings = facts.settings
    passwords = settings.nodes.password_file or any(router.password_file for router in settings.routers)
    if facts.md5 is None:
        yield ok(f"Linux {facts.kernel}, with TCP MD5")
    elif passwords:
        way_out = "use a kernel with CONFIG_TCP_MD5SIG, or take the password_file away"
        yield problem("the kernel does not sign TCP (MD5, RFC 2385)", facts.md5, way_out)
    else:
        yield ok(f"Linux {facts.kernel}, without TCP MD5, which no password_file asks for")


def addresses(facts: Facts) -> Iterator[Finding]:
    """Those that we listen on and dial from are this host's; those that move between replicas are not."""
    there = {held.address.ip: held for card in facts.cards for held in card.held}
    settings = facts.settings
    wanted: dict[Address, str] = dict.fromkeys(settings.listen.addresses, "listen.addresses")
    if settings.replicas is None:
        for router in settings.routers:
            wanted |= dict.fromkeys(router.local_addresses, f"local_addresses of router {router.name}") | wanted
    missing = [address for address in wanted if address not in there]
    for address in missing:
        way_out = f"add it (ip address add {address}/PREFIX-LENGTH dev INTERFACE), or name one that `ip address` shows"
        yield problem(f"{address} is not on this host", f"it is in {wanted[address]}", way_out)
    if not missing:
        yield ok(f"{', '.join(map(str, wanted))} on this host")
    if settings.replicas is None:
        return
    for router in settings.routers:
        for address in router.local_addresses:
            if address in there and there[address].permanent:
                why = (
                    f"it is in local_addresses of router {router.name}, and the replica that leads takes it for itself"
                )
                way_out = "give local_addresses addresses of the link that no host has"
                yield problem(f"{address} is this host's own", why, way_out)


def ports(facts: Facts) -> Iterator[Finding]:
    """Each port that is ours is free, or we have it. Who has BGP's own is good to know."""
    settings, own, status = facts.settings, facts.process.pid, facts.status
    places = [("listen", address, settings.listen.port) for address in settings.listen.addresses]
    if settings.replicas is not None:
        places += [("replicas", address, settings.replicas.port) for address in settings.listen.addresses]
    if settings.http is not None:
        places.append(("http", settings.http.address, settings.http.port))

    def anothers(found: Iterable[Listening]) -> list[Listening]:
        return [one for one in found if status is None or (own is not None and one.pid not in (None, own))]

    for key, address, port in places:
        others = [one for one in facts.listening if one.port == port and one.address in (None, address)]
        theirs = anothers(others)
        if theirs:
            way_out = f"stop it, or set {key}.port to another"
            yield problem(f"{address} port {port} is taken by {_program(theirs[0])}", "Onepeer cannot listen", way_out)
        elif status is not None and key == "listen" and f"{_bracketed(address)}:{port}" not in status.listen:
            why = "the running Onepeer does not listen there"
            yield problem(f"{address} port {port} is not listened on", why, "see its log: listen_failed tells why")
        else:
            yield ok(f"{address} port {port} {'is ours' if others else 'is free'} ({key})")
    if settings.nodes.bfd is not None:
        theirs = anothers(facts.bfd)
        if theirs:
            why = "nodes.bfd is set, and no BFD packet of a node would come to Onepeer"
            way_out = (
                "run Onepeer where FRR's bfdd is not (MetalLB's FRR modes have one on every node), or remove nodes.bfd"
            )
            yield problem(f"UDP port {BFD} is taken by {_program(theirs[0])}", why, way_out)
        else:
            yield ok(f"UDP port {BFD} {'is ours' if facts.bfd else 'is free'} (nodes.bfd)")
    if settings.listen.port != BGP:
        for one in facts.listening:
            if one.port == BGP:
                yield ok(f"another BGP speaker listens on port {BGP}: {_program(one)}; it is not in our way")


def links(facts: Facts) -> Iterator[Finding]:
    """The interface towards each router."""
    cards = {card.name: card for card in facts.cards}
    for router in facts.settings.routers:
        name = facts.ways.get(router.address)
        card = cards.get(name or "")
        if card is None:
            why = "the host has no route to it"
            yield problem(f"router {router.name} is not reached by any interface", why, "see ip route and ip link")
        elif card.mtu < USUAL_MTU:
            why = "full segments of a large table may be dropped where the other side counts on 1500 octets"
            way_out = f"ip link set {card.name} mtu {USUAL_MTU}, unless the whole way has {card.mtu}"
            yield warning(f"{card.name} towards router {router.name} has an MTU of {card.mtu}", why, way_out)
        else:
            yield ok(f"{card.name} towards router {router.name}, MTU {card.mtu}")
        if router.ttl_security == 1 and router.address in facts.far:
            why = "ttl_security is 1, and what comes from farther than one hop is dropped (RFC 5082)"
            way_out = "raise ttl_security to the number of hops, here and there"
            yield problem(f"router {router.name} is behind another router", why, way_out)


def replicas(facts: Facts) -> Iterator[Finding]:
    """What the kernel does with an address that comes and goes."""
    settings = facts.settings
    if settings.replicas is None:
        return
    cards = {card.name: card for card in facts.cards}
    said = False
    for router in settings.routers:
        way = facts.ways.get(router.address)
        name = settings.replicas.interface or way
        if name is None:
            continue
        if name not in cards:
            yield problem(f"there is no interface {name}", "replicas.interface names it", "see ip link")
            said = True
            continue
        for finding in _moving(facts, cards[name], way):
            yield finding
            said = True
    if not said:
        yield ok("the kernel's settings let the router's addresses move between replicas")


def _moving(facts: Facts, card: Card, way: str | None) -> Iterator[Finding]:
    if _sysctl(facts, card.name, "arp_ignore") == NO_ARP_AT_ALL:
        why = "the router asks by ARP who has our address, and nobody would answer"
        yield problem(f"arp_ignore is 8 on {card.name}", why, f"sysctl -w net.ipv4.conf.{card.name}.arp_ignore=0")
    if way not in (None, card.name) and _sysctl(facts, card.name, "rp_filter") == 1:
        why = f"the way back to the router is over {way}, so what it sends to us is dropped"
        way_out = f"sysctl -w net.ipv4.conf.{card.name}.rp_filter=2, or set replicas.interface to {way}"
        yield problem(f"rp_filter is strict on {card.name}", why, way_out)
    leased = [held for held in card.held if not held.permanent and held.address.ip not in _ours(facts)]
    if leased and not _sysctl(facts, card.name, "promote_secondaries"):
        why = f"when DHCP takes {leased[0].address.ip} away, the kernel takes the router's addresses with it"
        way_out = f"sysctl -w net.ipv4.conf.{card.name}.promote_secondaries=1"
        yield warning(f"promote_secondaries is 0 on {card.name}", why, way_out)


def _ours(facts: Facts) -> set[Address]:
    return {address for router in facts.settings.routers for address in router.local_addresses}


def _sysctl(facts: Facts, card: str, name: str) -> int:
    """In force is the greater of the two (ip-sysctl)."""
    return max(facts.sysctls.get(f"all/{name}", 0), facts.sysctls.get(f"{card}/{name}", 0))


def clock(facts: Facts) -> Iterator[Finding]:
    """What time it is."""
    if facts.now < FIRST_SANE:
        why = "certificates of the API server are not valid yet, and the journal has times of the past"
        yield warning("the clock is years behind", why, "start chrony, systemd-timesyncd or ntpd")
    elif facts.synchronised is False:
        why = "log, journal and Events have times that differ from other hosts'"
        yield warning("the clock is not synchronised", why, "start chrony, systemd-timesyncd or ntpd")
    else:
        yield ok("the clock is synchronised" if facts.synchronised else "the clock is plausible")


def files(facts: Facts) -> Iterator[Finding]:
    """What may be open, and where state is kept."""
    settings = facts.settings
    if facts.roster is not None and facts.process.files < facts.roster + BESIDE:
        why = f"{facts.roster} addresses of nodes are as many sockets"
        way_out = f"raise it to {4 * (facts.roster + BESIDE)}: LimitNOFILE of the unit, or ulimit -Hn"
        yield problem(f"at most {facts.process.files} files may be open", why, way_out)
    else:
        yield ok(f"{facts.process.files} files may be open")
    if facts.state_dir is not None:
        lost = "a restart moves next hops of lanes, and there is no onepeer history"
        way_out = "let the user that Onepeer runs as write there, or set state_dir"
        yield warning(f"{settings.state_dir} cannot be written", f"{facts.state_dir}; {lost}", way_out)
    else:
        journal = "with the journal" if settings.journal_size else "and no journal, as journal_size is 0MB"
        yield ok(f"{settings.state_dir} can be written, {journal}")


def _program(one: Listening) -> str:
    return f"{one.program} (pid {one.pid})" if one.pid is not None else "a process that this user may not see"


def _bracketed(address: Address) -> str:
    return f"[{address}]" if address.version == 6 else str(address)
