"""Which addresses are on a link of this host, and which of ours is beside them?"""

import asyncio
import importlib
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface, ip_interface

_NO_ARP = 0x80  # IFF_NOARP
_UP = 0x1  # IFF_UP
_LOOPBACK = 0x8  # IFF_LOOPBACK


@dataclass(frozen=True, slots=True)
class Link:
    """One interface that has neighbors. `mac` is its own, 6 octets; `addresses` have their prefix lengths."""

    index: int
    name: str
    mac: bytes
    addresses: tuple[IPv4Interface | IPv6Interface, ...]

    def beside(self, address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address | None:
        """Ours in the network of that address; None where it is not on this link, or is our own."""
        found = None
        for own in self.addresses:
            if own.ip == address:
                return None
            if address in own.network and own.network.prefixlen < own.max_prefixlen:
                found = found or own.ip
        return found


async def links() -> tuple[Link, ...]:
    """The interfaces of this network namespace that are up and speak ARP, loopback left out. Raises OSError."""
    # 0.3 s, and only where something of the host is asked: beside the sessions, which must not wait for it.
    pyroute2 = await asyncio.to_thread(importlib.import_module, "pyroute2")
    async with pyroute2.AsyncIPRoute() as netlink:
        addresses: dict[int, list[IPv4Interface | IPv6Interface]] = {}
        async for entry in await netlink.get_addr():
            own = entry.get("IFA_LOCAL") or entry.get("IFA_ADDRESS")
            addresses.setdefault(entry["index"], []).append(ip_interface(f"{own}/{entry['prefixlen']}"))
        found = []
        async for entry in await netlink.get_links():
            mac = bytes.fromhex((entry.get("IFLA_ADDRESS") or "").replace(":", ""))
            if entry["flags"] & _UP and not entry["flags"] & (_NO_ARP | _LOOPBACK) and len(mac) == 6:
                index = entry["index"]
                found.append(Link(index, entry.get("IFLA_IFNAME"), mac, tuple(addresses.get(index, ()))))
    return tuple(found)
