"""The picture of the README: five nodes over four lanes; one node never called."""

import asyncio
import os
import subprocess
from collections.abc import Iterator

import pytest

from tests.conftest import ROOT
from tests.lab import BIRD, Host, Lab, Onepeer, OpenBGPD, Peer, wait_until
from tests.page.browser import WIDE, Browser

PICTURE = ROOT / "docs" / "status.png"
ASN = 64512
LANES = [f"192.168.3.{last}" for last in (10, 11, 12, 13)]
AGE = 122
"""Seconds that everything stands on the picture; the test alone does not wait for that."""
SERVICES = {
    "leviathan1": [1, 2, 5, 7, 9],
    "leviathan2": [1, 2, 7, 12],
    "leviathan4": [1, 2, 5, 9, 12],
    "leviathan5": [1, 2, 7, 9],
}
"""The nodes that call, and the last octets of the services in 192.168.30.0/24 that they have pods of."""


@pytest.fixture(scope="module")
def home(real_parts: None) -> Iterator[Host]:
    """Onepeer's host. The router takes no ADD-PATH, and has a line for each of the lanes; leviathan3 runs nothing."""
    subprocess.run([ROOT / "scripts/debian", "chromium"], check=True, stdout=subprocess.DEVNULL)
    with Lab() as lab:
        router = BIRD(lab.host("router", "192.168.3.1/24"), ASN, [Peer(lane, ASN, add_path=False) for lane in LANES])
        host = lab.host("onepeer", *(f"{lane}/24" for lane in LANES))
        names = [f"leviathan{number}" for number in (1, 2, 3, 4, 5)]
        hosts = {name: lab.host(name, f"192.168.3.3{name[-1]}/24") for name in names}
        settings = {
            "asn": ASN,
            "listen": {"addresses": LANES[:1]},
            "routers": [{"address": "192.168.3.1", "name": "edge", "local_addresses": LANES}],
            "nodes": {"file": "nodes.yaml"},
            "guard": {"prefixes": ["192.168.30.0/24"]},
            "http": {"address": "127.0.0.1", "port": 9790},
        }
        onepeer = Onepeer(host, settings, [{"name": one.name, "addresses": [one.v4]} for one in hosts.values()])
        nodes = [
            OpenBGPD(hosts[name], ASN, [Peer(LANES[0], ASN, port=1790)], [f"192.168.30.{last}/32" for last in lasts])
            for name, lasts in SERVICES.items()
        ]
        for one in (router, onepeer, *nodes):
            one.start()
        wait_until(
            lambda: len(router.next_hops("192.168.30.1/32")) == 4, 20, "the router has all four", seen=onepeer.output
        )
        yield host
        for one in (*nodes, router):
            one.stop()
        onepeer.kill()


def test_a_verdict_that_is_not_ok_has_its_reason_beside_it(home: Host) -> None:
    """leviathan3 is named with its reason in the first line. The picture of the README is taken."""
    browser = Browser(home)
    browser.start()

    async def story(page: Browser) -> None:
        await page.until("document.querySelector('#missing strong')?.textContent === 'leviathan3'", "it is missing")
        await page.until("document.querySelectorAll('.lane:not(.down)').length === 4", "four lanes are up")
        assert await page.ask("document.getElementById('health').textContent") == "DEGRADED"
        summary = await page.ask("document.getElementById('summary').textContent")
        assert summary.startswith("leviathan3: never")
        assert "4 of 5 nodes up" in summary
        if os.environ.get("REWRITE_DOCS"):
            await asyncio.sleep(AGE)
            await page.resize(WIDE, 725)
            await asyncio.to_thread(PICTURE.write_bytes, await page.picture())

    browser.look(story)
