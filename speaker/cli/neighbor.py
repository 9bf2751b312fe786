"""What is typed into the router, once? The lines that make it accept Onepeer, in the words of FRR and of EdgeOS.

A neighbor for each lane: to the router they are as many speakers.

FRR's words are also those of its vtysh on VyOS, UniFi gateways and OPNsense. EdgeOS runs ZebOS.
"""

from collections.abc import Iterator

from speaker.config import Router, Settings

PATHS = 32
"""Equal paths that the router uses at once; more than EdgeOS takes is refused there."""


def frr(settings: Settings, router: Router) -> list[str]:
    """For `vtysh`, below `configure terminal`."""
    ours = router.asn == settings.asn
    lines = [f"router bgp {router.asn}"]
    if not ours:
        # Since FRR 7.5 an eBGP neighbor without a policy is silently sent and believed nothing (RFC 8212).
        lines.append(" no bgp ebgp-requires-policy")
    lines += [f" neighbor {words}" for words in _neighbors(settings, router)]
    for version in _families(settings):
        lines.append(f" address-family ipv{version} unicast")
        if version == 6:
            lines += [f"  neighbor {us} activate" for us in router.local_addresses]
        lines.append(f"  maximum-paths {'ibgp ' if ours else ''}{PATHS}")
    return lines


def edgeos(settings: Settings, router: Router) -> list[str]:
    """For `configure`; then `commit ; save`."""
    bgp = f"set protocols bgp {router.asn}"
    lines = [f"{bgp} neighbor {words}" for words in _neighbors(settings, router)]
    if 6 in _families(settings):
        lines += [f"{bgp} neighbor {us} address-family ipv6-unicast" for us in router.local_addresses]
    return [*lines, f"{bgp} maximum-paths {'ibgp' if router.asn == settings.asn else 'ebgp'} {PATHS}"]


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


def _families(settings: Settings) -> list[int]:
    if settings.guard.prefixes:
        return sorted({prefix.version for prefix in settings.guard.prefixes})
    return sorted({address.version for address in settings.listen.addresses})
