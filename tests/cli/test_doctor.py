"""`onepeer doctor`: one line a finding, an exit status for scripts, and a clear word where it cannot look."""

import json
import re
from pathlib import Path

from tests.cli.command import run

SETTINGS = """\
asn: 64512
listen: {addresses: [127.0.0.1]}
routers: [{address: 127.0.0.9, port: 1, connect: passive}]
nodes: {file: nodes.yaml, probe: 0s}
guard: {prefixes: [192.168.30.0/24]}
http: null
"""


def doctor(folder: Path, text: str, *words: str) -> tuple[int, str, str]:
    """On this host, with these settings and no running Onepeer."""
    (folder / "onepeer.yaml").write_text(text)
    (folder / "nodes.yaml").write_text("nodes: [{name: a, addresses: [127.0.0.2]}]\n")
    socket = str(folder / "none.sock")
    done = run("doctor", "-c", str(folder / "onepeer.yaml"), "--socket", socket, *words)
    return done.status, done.out, done.err


def test_every_check_says_something_and_the_count_comes_last(tmp_path: Path) -> None:
    """What is wrong has why and the way out below it."""
    status, out, err = doctor(tmp_path, SETTINGS.replace("127.0.0.1]", "127.0.0.1, 192.0.2.77]"))
    assert (status, err) == (3, "")
    assert re.search(
        r"^problem  addresses  192\.0\.2\.77 is not on this host\n"
        r" {20}it is in listen\.addresses\n {20}add it \(ip address add",
        out,
        re.MULTILINE,
    )
    assert re.search(r"\d+ problems?, \d+ warnings?, \d+ ok\n$", out)


def test_json_has_the_same_with_the_worst_of_it(tmp_path: Path) -> None:
    """For scripts."""
    _, out, _ = doctor(tmp_path, SETTINGS, "-o", "json")
    view = json.loads(out)
    levels = {finding["level"] for finding in view["findings"]}
    assert view["level"] == next(level for level in ("problem", "warning", "hint", "ok") if level in levels)
    assert {"settings", "rights", "kernel", "ports", "links"} <= {finding["check"] for finding in view["findings"]}


def test_settings_with_mistakes_are_the_finding(tmp_path: Path) -> None:
    """There is nothing else to look at then."""
    status, out, _ = doctor(tmp_path, SETTINGS.replace("64512", "0"))
    assert status == 1
    assert out.startswith(f"problem  settings   {tmp_path}/onepeer.yaml:1: asn:")


def test_without_settings_and_without_a_running_onepeer_it_says_what_to_name(tmp_path: Path) -> None:
    """No traceback."""
    done = run("doctor", "--socket", str(tmp_path / "none.sock"))
    assert (done.status, done.out) == (1, "")
    assert "name them with -c FILE" in done.err
