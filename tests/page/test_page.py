"""The status page in a real browser: live, red with the reason, green again, and fit for a phone."""

import asyncio
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.interop.network import CONVERGED, PREFIX, Network
from tests.lab import BIRD, Lab, Onepeer, OpenBGPD
from tests.page.browser import Browser

PHONE = 390
TOO_WIDE = """[...document.querySelectorAll('main *, header *, footer *')].filter((one) => !one.closest('#scroll')
    && one.getBoundingClientRect().right > innerWidth).map((one) => one.outerHTML)"""
HOSTILE = "<img src=x onerror=window.hostile=1>"


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


def test_the_page_shows_services_by_nodes_and_what_the_router_has(net: Network, browser: Browser) -> None:
    """Nothing is missing, and nothing is complained about: no error, no violation of its policy."""

    async def story(page: Browser) -> None:
        await page.until("document.getElementById('health').textContent === 'OK'", "all is well")
        await page.until("document.querySelectorAll('.cell.a[data-cell]').length === 4", "four cells are green")
        text = await page.ask("document.body.innerText")
        assert "192.168.30.22/32" in text
        assert "Nothing is missing." in text
        assert "by addpath" in text

    browser.look(story)


def test_a_node_that_goes_turns_red_with_its_reason_and_green_again_without_a_reload(
    net: Network, browser: Browser
) -> None:
    """n2's speaker is told to end its session for good, and later starts again."""
    (node,) = [one for one in net.running if not isinstance(one, Onepeer) and one.host.name == "n2"]

    async def story(page: Browser) -> None:
        await page.ask("window.neverReloaded = true")
        await asyncio.to_thread(net.node_hosts[1].unplug)
        await page.until("document.querySelector('#missing strong')?.textContent === 'n2'", "n2 is missing")
        await page.until("document.getElementById('health').textContent === 'DEGRADED'", "the verdict says so")
        await page.until("document.querySelectorAll('.cell.m[data-cell]').length === 2", "its cells are red")
        assert "node-silent" in await page.ask("document.getElementById('missing').innerText")
        await page.resize(PHONE, 800)
        assert await page.ask("document.documentElement.scrollWidth") <= PHONE
        assert await page.ask(TOO_WIDE) == []
        await asyncio.to_thread(net.node_hosts[1].plug)
        await page.until("document.getElementById('health').textContent === 'OK'", "all is well again")
        assert await page.ask("window.neverReloaded")
        assert node.processes

    browser.look(story)


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

    browser.look(story)


def test_on_a_phone_nothing_is_wider_than_the_screen(net: Network, browser: Browser) -> None:
    """Only the matrix itself may be scrolled sideways."""

    async def story(page: Browser) -> None:
        await page.resize(PHONE, 800)
        await page.until("document.querySelectorAll('[data-cell]').length > 0", "the matrix is there")
        assert await page.ask("document.documentElement.scrollWidth") <= PHONE
        assert await page.ask(TOO_WIDE) == []

    browser.look(story)


def test_the_matrix_can_be_walked_with_the_keyboard(net: Network, browser: Browser) -> None:
    """One cell is reached with Tab; an arrow moves to the next, and what it means is said in words."""

    async def story(page: Browser) -> None:
        await page.until("document.querySelector('[data-cell][tabindex=\"0\"]') !== null", "a cell can be reached")
        await page.ask("document.querySelector('[data-cell][tabindex=\"0\"]').focus()")
        await page.call("Input.dispatchKeyEvent", type="keyDown", key="ArrowRight")
        assert "n2 announces 192.168.30.1/32" in await page.ask("document.getElementById('detail').textContent")

    browser.look(story)


def test_who_likes_it_dark_gets_it_dark(net: Network, browser: Browser) -> None:
    """By the browser's own setting; the text is brighter than what it stands on."""

    async def story(page: Browser) -> None:
        colours = "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]"
        light = await page.ask(colours)
        await page.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])
        dark = await page.ask(colours)
        assert [brightness(one) < 60 for one in dark] == [True, False]
        assert [brightness(one) < 60 for one in light] == [False, True]

    browser.look(story)


def brightness(colour: str) -> float:
    """Of "rgb(20, 24, 26)": 0 to 255."""
    parts = [int(one) for one in re.findall(r"\d+", colour)]
    return sum(parts) / len(parts)


def test_find_shows_the_prefixes_and_the_nodes_that_are_called_so(net: Network, browser: Browser) -> None:
    """As it is typed; a name that nothing has is said to be none."""

    async def story(page: Browser) -> None:
        for text, prefixes, nodes in (("30.22", 1, 3), ("n2", 2, 1), ("nobody", 0, 0)):
            await page.ask("document.getElementById('find').focus(); document.getElementById('find').select()")
            await page.call("Input.insertText", text=text)
            rows = f"document.querySelectorAll('#matrix tbody th').length === {prefixes}"
            columns = f"document.querySelectorAll('#matrix th.node').length === {nodes}"
            await page.until(f"{rows} && {columns}", f"{text} is found")
        assert "Nothing is called so." in await page.ask("document.getElementById('matrix').innerText")

    browser.look(story)


def test_a_onepeer_that_is_gone_is_told_and_is_live_again_by_itself_once_it_is_back(
    net: Network, browser: Browser
) -> None:
    """Meanwhile the page says since when, and is grey; nobody reloads it."""
    (onepeer,) = [one for one in net.running if isinstance(one, Onepeer)]
    nodes = [one for one in net.running if isinstance(one, OpenBGPD)]

    async def story(page: Browser) -> None:
        await page.ask("window.neverReloaded = true")
        await asyncio.to_thread(onepeer.stop)
        await page.until("document.body.classList.contains('stale')", "the page is grey")
        assert "no answer for" in await page.ask("document.getElementById('live').textContent")
        assert await page.ask("document.querySelector('#live time').dateTime")
        await asyncio.to_thread(onepeer.start)
        for node in nodes:  # OpenBGPD calls again after 30 s
            await asyncio.to_thread(node.stop)
            await asyncio.to_thread(node.start)
        await page.until("document.getElementById('live').textContent === 'live'", "it is live again")
        await page.until("document.querySelectorAll('.cell.a[data-cell]').length === 4", "and shows all as before")
        assert await page.ask("window.neverReloaded")
        assert all("ERR_CONNECTION" in one or "ERR_EMPTY" in one for one in page.errors), page.errors
        page.errors.clear()

    browser.look(story)


def test_what_a_peer_writes_is_text_and_no_part_of_the_page(net: Network, browser: Browser) -> None:
    """n1 ends its session and says markup as its reason (RFC 9003): it is shown as it was written."""
    (node,) = [one for one in net.running if isinstance(one, OpenBGPD) and one.host.name == "n1"]

    async def story(page: Browser) -> None:
        await asyncio.to_thread(node.bgpctl, "neighbor", net.onepeer_host.v4, "down", HOSTILE)
        await page.until(f"document.body.innerText.includes('{HOSTILE}')", "it can be read")
        assert await page.ask("document.querySelector('main img')") is None
        assert await page.ask("window.hostile") is None
        await asyncio.to_thread(node.bgpctl, "neighbor", net.onepeer_host.v4, "up")
        await page.until("document.getElementById('health').textContent === 'OK'", "n1 is back")

    browser.look(story)


def test_a_script_that_gets_into_the_page_all_the_same_does_not_run(net: Network, browser: Browser) -> None:
    """The policy of the page forbids what does not come as a file from Onepeer itself."""

    async def story(page: Browser) -> None:
        await page.ask("""{
            const script = document.createElement('script');
            script.textContent = 'window.hostile = 1';
            document.body.append(script);
            document.getElementById('detail').setAttribute('onclick', 'window.hostile = 1');
            document.getElementById('detail').click();
        }""")
        assert await page.ask("window.hostile") is None
        assert page.errors
        assert all("Content Security Policy" in one for one in page.errors), page.errors
        page.errors.clear()

    browser.look(story)


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
