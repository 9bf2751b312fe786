"""The status page in a real browser: live, red with the reason, green again, and fit for a phone."""

import asyncio
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path

import aiohttp
import pytest

from tests.conftest import ROOT
from tests.interop.network import CONVERGED, PREFIX, Network
from tests.lab import BIRD, Lab, Onepeer
from tests.page.browser import Browser

PICTURE = ROOT / "docs" / "status.png"
URL = "http://127.0.0.1:9790/"
WIDE, HIGH, PHONE = 1100, 760, 390


@pytest.fixture(scope="module")
def net(real_parts: None) -> Iterator[Network]:
    """A router, three nodes, and Onepeer with its page."""
    subprocess.run([ROOT / "scripts/debian", "chromium"], check=True, stdout=subprocess.DEVNULL)
    with Lab() as lab:
        network = Network(lab)
        router = network.router(BIRD)
        network.onepeer(http={"address": "127.0.0.1", "port": 9790})
        network.nodes()
        network.sees(router, PREFIX[4], network.addresses(4), CONVERGED)
        yield network
        network.reset()


@pytest.fixture(scope="module")
def browser(net: Network) -> Browser:
    """On the same host."""
    made = Browser(net.onepeer_host)
    made.start()
    return made


def looking(net: Network, browser: Browser, story: Callable[[Browser], Coroutine[None, None, None]]) -> None:
    """Runs a story with the page open."""

    async def body() -> None:
        async with aiohttp.ClientSession() as session:
            await browser.open(session, URL, WIDE, HIGH)
            await browser.until("document.getElementById('health').textContent !== 'asking'", "the page has an answer")
            await story(browser)
            assert browser.errors == []

    net.onepeer_host.inside(asyncio.run, body())


def test_the_page_shows_services_by_nodes_and_what_the_router_has(net: Network, browser: Browser) -> None:
    """Nothing is missing, and nothing is complained about: no error, no violation of its policy."""

    async def story(page: Browser) -> None:
        await page.until("document.getElementById('health').textContent === 'OK'", "all is well")
        await page.until("document.querySelectorAll('.cell.a[data-cell]').length === 4", "four cells are green")
        text = await page.ask("document.body.innerText")
        assert "192.168.30.22/32" in text
        assert "Nothing is missing." in text
        assert "by addpath" in text

    looking(net, browser, story)


def test_a_node_that_goes_turns_red_with_its_reason_and_green_again_without_a_reload(
    net: Network, browser: Browser
) -> None:
    """n2's speaker is told to end its session for good, and later starts again. The picture of the README is taken."""
    (node,) = [one for one in net.running if not isinstance(one, Onepeer) and one.host.name == "n2"]

    async def story(page: Browser) -> None:
        await page.ask("window.neverReloaded = true")
        await asyncio.to_thread(net.node_hosts[1].unplug)
        await page.until("document.querySelector('#missing strong')?.textContent === 'n2'", "n2 is missing")
        await page.until("document.getElementById('health').textContent === 'DEGRADED'", "the verdict says so")
        await page.until("document.querySelectorAll('.cell.m[data-cell]').length === 2", "its cells are red")
        assert "node-silent" in await page.ask("document.getElementById('missing').innerText")
        if os.environ.get("REWRITE_DOCS"):
            await asyncio.to_thread(PICTURE.write_bytes, await page.picture())
        await asyncio.to_thread(net.node_hosts[1].plug)
        await page.until("document.getElementById('health').textContent === 'OK'", "all is well again")
        assert await page.ask("window.neverReloaded")
        assert node.processes

    looking(net, browser, story)


def test_a_node_that_is_taken_out_on_purpose_is_told_and_is_not_missing(net: Network, browser: Browser) -> None:
    """Folded below what is missing, and the verdict stays."""
    (onepeer,) = [one for one in net.running if isinstance(one, Onepeer)]

    async def story(page: Browser) -> None:
        await asyncio.to_thread(onepeer.cli, "drain", "n2")
        await page.until("document.querySelector('#told strong')?.textContent === 'n2'", "n2 is told")
        assert "drained" in await page.ask("document.getElementById('told').textContent")
        assert "Nothing is missing." in await page.ask("document.getElementById('missing').innerText")
        assert await page.ask("document.getElementById('health').textContent") == "OK"
        await asyncio.to_thread(onepeer.cli, "undrain", "n2")
        await page.until("document.getElementById('told-box').hidden", "it is back")

    looking(net, browser, story)


def test_on_a_phone_nothing_is_wider_than_the_screen(net: Network, browser: Browser) -> None:
    """Only the matrix itself may be scrolled sideways."""

    async def story(page: Browser) -> None:
        await page.resize(PHONE, 800)
        await page.until("document.querySelectorAll('[data-cell]').length > 0", "the matrix is there")
        assert await page.ask("document.documentElement.scrollWidth") <= PHONE

    looking(net, browser, story)


def test_the_matrix_can_be_walked_with_the_keyboard(net: Network, browser: Browser) -> None:
    """One cell is reached with Tab; an arrow moves to the next, and what it means is said in words."""

    async def story(page: Browser) -> None:
        await page.until("document.querySelector('[data-cell][tabindex=\"0\"]') !== null", "a cell can be reached")
        await page.ask("document.querySelector('[data-cell][tabindex=\"0\"]').focus()")
        await page.call("Input.dispatchKeyEvent", type="keyDown", key="ArrowRight")
        assert "n2 announces 192.168.30.1/32" in await page.ask("document.getElementById('detail').textContent")

    looking(net, browser, story)


def test_the_page_is_in_the_wheel_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    """A wheel that is built without a network has its four files, without an address of another host."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    folder = "speaker/serve/static/"
    with zipfile.ZipFile(wheel) as packed:
        page = {name: packed.read(name).decode() for name in packed.namelist() if name.startswith(folder)}
    assert set(page) == {folder + name for name in ("index.html", "page.css", "page.js", "icon.svg")}
    lines = [line for text in page.values() for line in text.splitlines() if "www.w3.org" not in line]
    assert not [line for line in lines if "http" in line and "//" in line]
