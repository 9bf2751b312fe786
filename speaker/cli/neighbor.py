"""What is typed into the router, once? The lines that make it accept Onepeer, in the words of FRR and of EdgeOS.

FRR's words are also those of its vtysh on VyOS, UniFi gateways and OPNsense. EdgeOS runs ZebOS.
"""

from collections.abc import Iterator

from speaker.config import Router, Settings

PATHS = 32
"""Equal paths that the router uses at once; more than EdgeOS takes is refused there."""


def frr(settings: Settings, router: Router) -> list[str]:
    """For `vtysh`, below `configure terminal`."""
    us = router.local_address
    ours = router.asn == settings.asn
    lines = [f"router bgp {router.asn}"]
    if not ours:
        # Since FRR 7.5 an eBGP neighbor without a policy is silently sent and believed nothing (RFC 8212).
        lines.append(" no bgp ebgp-requires-policy")
    lines += [f" neighbor {us} {words}" for words in _neighbor(settings, router)]
    if router.ttl_security:
        lines.append(f" neighbor {us} ttl-security hops {router.ttl_security}")
    for version in _families(settings):
        lines.append(f" address-family ipv{version} unicast")
        if version == 6:
            lines.append(f"  neighbor {us} activate")
        lines.append(f"  maximum-paths {'ibgp ' if ours else ''}{PATHS}")
    return lines


def edgeos(settings: Settings, router: Router) -> list[str]:
    """For `configure`; then `commit ; save`."""
    us = router.local_address
    bgp = f"set protocols bgp {router.asn}"
    lines = [f"{bgp} neighbor {us} {words}" for words in _neighbor(settings, router)]
    if router.ttl_security:
        lines.append(f"{bgp} neighbor {us} ttl-security hops {router.ttl_security}")
    if 6 in _families(settings):
        lines.append(f"{bgp} neighbor {us} address-family ipv6-unicast")
    return [*lines, f"{bgp} maximum-paths {'ibgp' if router.asn == settings.asn else 'ebgp'} {PATHS}"]


def _neighbor(settings: Settings, router: Router) -> Iterator[str]:
    """What both call the same."""
    yield f"remote-as {settings.asn}"
    if router.connect == "passive":
        yield f"port {settings.listen.port}"
    if router.password_file:
        yield f"password <what is in {router.password_file.path}>"


def _families(settings: Settings) -> list[int]:
    return sorted({prefix.version for prefix in settings.guard.prefixes})
