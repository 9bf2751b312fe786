"""What is typed into RouterOS, IOS, Junos and EOS, and into the forms of OPNsense and UniFi?

By the vendors' public documentation, each named in docs/routers.md. None of these was run here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from speaker.routers.words import PATHS, CannotSay, families, ours, password, refuse_port, refuse_ttl

if TYPE_CHECKING:
    from speaker.config import Router, Settings

GROUP: Final = "onepeer"
"""What is ours on a router that wants a name for it."""


def ios(settings: Settings, router: Router) -> Iterator[str]:
    """For `configure terminal` of IOS and IOS XE."""
    refuse_port(settings, router, "IOS")
    if router.ttl_security and ours(settings, router):
        raise CannotSay(f"IOS has ttl-security for eBGP alone: take ttl_security away from router {router.name}")
    yield f"router bgp {router.asn}"
    for us in router.local_addresses:
        yield f" neighbor {us} remote-as {settings.asn}"
        if router.password_file:
            yield f" neighbor {us} password {password(router)}"
        if router.ttl_security:
            yield f" neighbor {us} ttl-security hops {router.ttl_security}"
    for version in families(settings):
        yield f" address-family ipv{version} unicast"
        for us in router.local_addresses:
            yield f"  neighbor {us} activate"
            yield f"  neighbor {us} additional-paths receive"
        yield f"  maximum-paths {'ibgp ' if ours(settings, router) else ''}{PATHS}"
        yield " exit-address-family"


def eos(settings: Settings, router: Router) -> Iterator[str]:
    """For `configure` of Arista EOS."""
    yield f"router bgp {router.asn}"
    for us in router.local_addresses:
        yield f"   neighbor {us} remote-as {settings.asn}"
        yield f"   neighbor {us} additional-paths receive"
        if router.connect == "passive":
            yield f"   neighbor {us} transport remote-port {settings.listen.port}"
        if router.password_file:
            yield f"   neighbor {us} password {password(router)}"
        if router.ttl_security:
            yield f"   neighbor {us} ttl maximum-hops {router.ttl_security}"
    yield f"   maximum-paths {PATHS} ecmp {PATHS}"
    for version in families(settings):
        yield f"   address-family ipv{version}"
        yield from (f"      neighbor {us} activate" for us in router.local_addresses)


def junos(settings: Settings, router: Router) -> Iterator[str]:
    """For `configure`; then `commit`. Without the last two lines one next hop is in the forwarding table."""
    refuse_port(settings, router, "Junos")
    refuse_ttl(router, "Junos")
    group = f"set protocols bgp group {GROUP}"
    yield f"set routing-options autonomous-system {router.asn}"
    yield f"{group} type {'internal' if ours(settings, router) else 'external'}"
    if not ours(settings, router):
        yield f"{group} peer-as {settings.asn}"
    for version in families(settings):
        yield f"{group} family {'inet' if version == 4 else 'inet6'} unicast add-path receive"
    yield f"{group} multipath"
    for us in router.local_addresses:
        yield f"{group} neighbor {us}" + (f' authentication-key "{password(router)}"' if router.password_file else "")
    # Their name for what others call per flow.
    yield f"set policy-options policy-statement {GROUP} then load-balance per-packet"
    yield f"set routing-options forwarding-table export {GROUP}"


def undo_junos(_router: Router) -> list[str]:
    """The group is ours alone, and so is the policy."""
    return [
        f"delete protocols bgp group {GROUP}",
        f"delete routing-options forwarding-table export {GROUP}",
        f"delete policy-options policy-statement {GROUP}",
    ]


def routeros(settings: Settings, router: Router) -> Iterator[str]:
    """For the terminal of RouterOS 7.20 and later, where a connection belongs to an instance."""
    refuse_ttl(router, "RouterOS")
    yield f"/routing/bgp/instance/add name={GROUP} as={router.asn} multipath={PATHS}"
    afi = ",".join("ip" if version == 4 else "ipv6" for version in families(settings))
    role = "ibgp" if ours(settings, router) else "ebgp"
    for number, us in enumerate(router.local_addresses, 1):
        port = f" remote.port={settings.listen.port}" if router.connect == "passive" else ""
        key = f' tcp-md5-key="{password(router)}"' if router.password_file else ""
        yield (
            f"/routing/bgp/connection/add name={GROUP}-{number} instance={GROUP} remote.address={us}{port}"
            f" remote.as={settings.asn} local.role={role} afi={afi}{key}"
        )


def undo_routeros(router: Router) -> list[str]:
    """What has our name."""
    names = (f"{GROUP}-{number}" for number, _ in enumerate(router.local_addresses, 1))
    return [
        *(f"/routing/bgp/connection/remove [find name={name}]" for name in names),
        f"/routing/bgp/instance/remove [find name={GROUP}]",
    ]


def opnsense(settings: Settings, router: Router) -> Iterator[str]:
    """The fields of os-frr, under Routing > BGP. What vtysh is told is lost when the plugin writes FRR's file anew."""
    refuse_port(settings, router, "os-frr")
    refuse_ttl(router, "os-frr")
    yield "Routing > General: enable"
    yield "Routing > BGP > General"
    yield "  enable: yes"
    yield f"  BGP AS Number: {router.asn}"
    yield f"  maximum paths, {'iBGP' if ours(settings, router) else 'eBGP'}: {PATHS}"
    for us in router.local_addresses:
        yield "Routing > BGP > Neighbors > add"
        yield f"  Peer-IP: {us}"
        yield f"  Remote AS: {settings.asn}"
        if us.version == 4 and 6 in families(settings):
            yield "  Multi-Protocol: yes"
        if router.password_file:
            yield f"  BGP MD5 Password: {password(router)}"


def undo_opnsense(router: Router) -> list[str]:
    """In the same place."""
    return [f"Routing > BGP > Neighbors: delete Peer-IP {us}" for us in router.local_addresses]


def undo_unifi(router: Router) -> list[str]:
    """A file has no `no`."""
    lines = [f"! every line with neighbor {us}" for us in router.local_addresses]
    return ["! Take out of the file, and upload it again; a file with nothing else in it is deleted there:", *lines]
