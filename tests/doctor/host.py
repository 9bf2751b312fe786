"""Facts of a host on which all is as it should be, and what is found when some of them are not."""

from dataclasses import replace
from ipaddress import IPv4Address, ip_interface
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from speaker.config import Settings, load
from speaker.doctor.examine import examine
from speaker.doctor.facts import Card, Facts, Held, Process
from speaker.doctor.findings import Finding, Level

ROUTER = IPv4Address("192.168.3.1")
ALL = frozenset({"CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_NET_BIND_SERVICE"})


def settings(**more: object) -> Settings:
    """The smallest ones, and what is said beside."""
    tree = {
        "asn": 64512,
        "listen": {"addresses": ["192.168.3.10"]},
        "routers": [{"address": str(ROUTER), "name": "edge"}],
        "nodes": {"file": "nodes.yaml"},
        "guard": {"prefixes": ["192.168.30.0/24"]},
        **more,
    }
    with TemporaryDirectory() as folder:
        path = Path(folder) / "onepeer.yaml"
        path.write_text(yaml.safe_dump(tree))
        return load(path)


def card(*addresses: str, mtu: int = 1500, permanent: bool = True) -> Card:
    """`ens18` with these, in a /24."""
    return Card("ens18", mtu, tuple(Held(ip_interface(f"{one}/24"), permanent) for one in addresses))


WELL = Facts(
    settings=settings(),
    version="0.1.0",
    process=Process(None, ALL, 1048576),
    kernel="6.12.0",
    now=1_800_000_000.0,
    silent="no Onepeer runs here",
    roster=3,
    synchronised=True,
    cards=(card("192.168.3.10"),),
    ways={ROUTER: "ens18"},
)


def found(**changes: Any) -> list[tuple[str, Finding]]:
    """What is not as it should be, with these facts changed."""
    return [(name, one) for name, one in examine(replace(WELL, **changes)) if one.level is not Level.OK]


def told(**changes: Any) -> list[str]:
    """All that is said of facts that are as they should be, or good to know."""
    return [one.what for _, one in examine(replace(WELL, **changes)) if one.level is Level.OK]
