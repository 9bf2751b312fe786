"""What is typed into the router, once? The lines that make it accept Onepeer, in the words of each dialect.

A neighbor for each lane: to the router they are as many speakers. Here are FRR, and what is much like it: VyOS has FRR
behind words of its own, UniFi gateways take a file of FRR's, EdgeOS runs ZebOS. Others are in others.py.

CannotSay       a setting that the dialect has no words for
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from speaker.routers import others
from speaker.routers.words import PATHS, families

if TYPE_CHECKING:
    from speaker.config import Router, Settings


class Dialect(StrEnum):
    """Whose words."""

    FRR = "frr"
    EDGEOS = "edgeos"
    VYOS = "vyos"
    UNIFI = "unifi"
    OPNSENSE = "opnsense"
    ROUTEROS = "routeros"
    IOS = "ios"
    JUNOS = "junos"
    EOS = "eos"


def lines(dialect: Dialect, settings: Settings, router: Router) -> list[str]:
    """What is typed, once. Raises CannotSay."""
    return list(_LINES[dialect](settings, router))


def undo(dialect: Dialect, router: Router) -> list[str]:
    """What takes our neighbors away again. What else was typed harms nothing and may have been there before."""
    if dialect in _UNDO:
        return _UNDO[dialect](router)
    return removal(dialect, router.asn, [str(us) for us in router.local_addresses])


def removal(dialect: Dialect, asn: int, neighbors: list[str]) -> list[str]:
    """What takes these neighbors away, by lines that begin with `no` or `delete`."""
    if dialect in (Dialect.FRR, Dialect.IOS, Dialect.EOS):
        return [f"router bgp {asn}", *(f" no neighbor {address}" for address in neighbors)]
    bgp = "delete protocols bgp" if dialect is Dialect.VYOS else f"delete protocols bgp {asn}"
    return [f"{bgp} neighbor {address}" for address in neighbors]


def frr(settings: Settings, router: Router) -> list[str]:
    """For `vtysh`, below `configure terminal`."""
    ours = router.asn == settings.asn
    lines = [f"router bgp {router.asn}"]
    if not ours:
        # Since FRR 7.5 an eBGP neighbor without a policy is silently sent and believed nothing (RFC 8212).
        lines.append(" no bgp ebgp-requires-policy")
    lines += [f" neighbor {words}" for words in _neighbors(settings, router)]
    for version in families(settings):
        lines.append(f" address-family ipv{version} unicast")
        if version == 6:
            lines += [f"  neighbor {us} activate" for us in router.local_addresses]
        lines.append(f"  maximum-paths {'ibgp ' if ours else ''}{PATHS}")
    return lines


def edgeos(settings: Settings, router: Router) -> list[str]:
    """For `configure`; then `commit ; save`."""
    bgp = f"set protocols bgp {router.asn}"
    lines = [f"{bgp} neighbor {words}" for words in _neighbors(settings, router)]
    if 6 in families(settings):
        lines += [f"{bgp} neighbor {us} address-family ipv6-unicast" for us in router.local_addresses]
    return [*lines, f"{bgp} maximum-paths {'ibgp' if router.asn == settings.asn else 'ebgp'} {PATHS}"]


def vyos(settings: Settings, router: Router) -> list[str]:
    """For `configure` of VyOS 1.4 and later; then `commit ; save`. Its BGP is FRR's, behind words of its own."""
    ours = router.asn == settings.asn
    lines = [f"set protocols bgp system-as {router.asn}"]
    lines += [f"set protocols bgp neighbor {words}" for words in _neighbors(settings, router)]
    for version in families(settings):
        family = f"address-family ipv{version}-unicast"
        lines += [f"set protocols bgp neighbor {us} {family}" for us in router.local_addresses]
        lines.append(f"set protocols bgp {family} maximum-paths {'ibgp' if ours else 'ebgp'} {PATHS}")
    return lines


def _neighbors(settings: Settings, router: Router) -> Iterator[str]:
    """What both call the same."""
    for us in router.local_addresses:
        yield f"{us} remote-as {settings.asn}"
        if router.connect == "passive":
            yield f"{us} port {settings.listen.port}"
        if router.password_file:
            yield f"{us} password <what is in {router.password_file.path}>"
        if router.ttl_security:
            yield f"{us} ttl-security hops {router.ttl_security}"


_LINES: Final[Mapping[Dialect, Callable[[Settings, Router], Iterable[str]]]] = {
    Dialect.FRR: frr,
    Dialect.EDGEOS: edgeos,
    Dialect.VYOS: vyos,
    Dialect.UNIFI: frr,
    Dialect.OPNSENSE: others.opnsense,
    Dialect.ROUTEROS: others.routeros,
    Dialect.IOS: others.ios,
    Dialect.JUNOS: others.junos,
    Dialect.EOS: others.eos,
}
_UNDO: Final[Mapping[Dialect, Callable[[Router], list[str]]]] = {
    Dialect.UNIFI: others.undo_unifi,
    Dialect.OPNSENSE: others.undo_opnsense,
    Dialect.ROUTEROS: others.undo_routeros,
    Dialect.JUNOS: others.undo_junos,
}
