"""Machines, wires and BGP daemons for tests that need the real parts. Root only.

>>> with Lab() as lab:
...     router = FRR(lab.host("router", "192.168.3.1/24"), 64512, [Peer("192.168.3.10", 64512)])
...     router.start()
"""

from tests.lab.bird import BIRD
from tests.lab.flows import NOBODY, Banner, Traffic, ask, flows
from tests.lab.frr import FRR
from tests.lab.gobgp import GoBGP
from tests.lab.netns import Host, Lab, Process
from tests.lab.onepeer import Onepeer
from tests.lab.openbgpd import OpenBGPD
from tests.lab.speaker import Path, Peer, Speaker, family_of
from tests.lab.wait import NotInTime, NotYet, holds_for, wait_until

__all__ = [
    "BIRD",
    "FRR",
    "NOBODY",
    "Banner",
    "GoBGP",
    "Host",
    "Lab",
    "NotInTime",
    "NotYet",
    "Onepeer",
    "OpenBGPD",
    "Path",
    "Peer",
    "Process",
    "Speaker",
    "Traffic",
    "ask",
    "family_of",
    "flows",
    "holds_for",
    "wait_until",
]
