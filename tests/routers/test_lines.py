"""The lines that are printed for FRR, in the words of a real one."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.cli.command import run
from tests.lab.frr import BIN
from tests.routers.test_migrate import NODES, SETTINGS

ROUTERS = {
    "one line": "{address: 192.168.3.1}",
    "lanes": "{address: 192.168.3.1, local_addresses: [192.168.3.11, 192.168.3.12]}",
    "another AS": "{address: 192.168.3.1, asn: 64500}",
    "passive, with TTL security": "{address: 192.168.3.1, connect: passive, ttl_security: 1}",
}


@pytest.mark.parametrize("router", ROUTERS.values(), ids=ROUTERS)
@pytest.mark.parametrize("prefixes", ["192.168.30.0/24", "'fd00:30::/64'"], ids=["ipv4", "ipv6"])
def test_frr_takes_every_line(real_parts: None, tmp_path: Path, router: str, prefixes: str) -> None:
    """A dry run of bgpd reads them without a complaint."""
    settings = SETTINGS.replace("{address: 192.168.3.1}", router).replace("192.168.30.0/24", prefixes)
    (tmp_path / "onepeer.yaml").write_text(settings)
    (tmp_path / "nodes.yaml").write_text(NODES)
    done = run("router", "lines", "-c", str(tmp_path / "onepeer.yaml"), "-o", "json")
    assert done.status == 0, done.err
    view = json.loads(done.out)
    file = Path(f"/tmp/onepeer-lines-{os.getpid()}.conf")
    try:
        file.write_text("\n".join([*view["lines"], ""]))
        file.chmod(0o644)  # bgpd reads it as a user of its own
        loaded = subprocess.run([f"{BIN}/bgpd", "-C", "-f", file], capture_output=True, text=True, check=False)
    finally:
        file.unlink(missing_ok=True)
    assert (loaded.returncode, loaded.stdout, loaded.stderr) == (0, "", "")


def test_vyos_has_words_of_its_own(tmp_path: Path) -> None:
    """With their undo."""
    (tmp_path / "onepeer.yaml").write_text(SETTINGS)
    done = run("router", "lines", "-d", "vyos", "-c", str(tmp_path / "onepeer.yaml"))
    assert done.out.splitlines() == [
        "set protocols bgp system-as 64512",
        "set protocols bgp neighbor 192.168.3.10 remote-as 64512",
        "set protocols bgp neighbor 192.168.3.10 address-family ipv4-unicast",
        "set protocols bgp address-family ipv4-unicast maximum-paths ibgp 32",
        "",
        "To undo it:",
        "delete protocols bgp neighbor 192.168.3.10",
    ]
