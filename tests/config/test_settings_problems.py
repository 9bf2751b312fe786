"""Every mistake is told with its line, the reason and the way out; all at once, and never as a traceback."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from good_settings import GOOD

from speaker.config import SettingsError, load

Ask = Callable[[str], list[str]]

TABLE = (Path(__file__).parent / "mistakes.txt").read_text().split("\n\n")[1:]


@pytest.mark.parametrize("block", TABLE, ids=[block.splitlines()[-1][13:60] for block in TABLE])
def test_a_mistake_is_named_with_its_line_the_reason_and_the_way_out(wrong: Ask, block: str) -> None:
    lines = block.splitlines()
    old = "".join(f"{line[2:]}\n" for line in lines if line.startswith("- "))
    new = "".join(f"{line[2:]}\n" for line in lines if line.startswith("+ "))
    assert old in GOOD
    assert wrong(GOOD.replace(old, new)) == [line for line in lines if not line.startswith(("- ", "+ "))]


OTHER_SHAPES = [
    ("", ": the file is empty; write `key: value` lines"),
    ("- 1\n", ":1: a list is not a mapping of keys; write `key: value` lines"),
    ("asn: 1\n---\nasn: 2\n", ":2: has a second document: one file is one document; remove the `---`"),
    ("a: 0\nb: &x 1\nc: *x\n", ":2: has an anchor, an alias or a tag (&, *, !): they are not read here"),
    ("a: !!python/name:os.system x\n", ":1: has an anchor, an alias or a tag (&, *, !): they are not read here"),
    ("? [a]\n: 1\n", ":1: has a key that is not a word; write `key: value`"),
    ("[" * 100_000, ":1: " + "[0]" * 16 + ": is nested too deeply: no file of Onepeer's goes deeper than 16"),
]


@pytest.mark.parametrize(("text", "message"), OTHER_SHAPES, ids=[text[:12] for text, _ in OTHER_SHAPES])
def test_a_file_of_another_shape_is_refused(wrong: Ask, text: str, message: str) -> None:
    assert wrong(text)[0].startswith(f"onepeer.yaml{message}")


SYNTAX = [
    ("asn: 1\nlisten: {addresses: [fd00::]}\n", 2, "put an IPv6 address that begins or ends with a colon in quotes"),
    ("asn: 1\nlisten:\n\taddresses: []\n", 3, "indent with spaces, not with tabs"),
    ("asn: 1\nlisten: {addresses: [\n\n\n", 2, "check the indentation, brackets, quotes and colons here"),
    ("asn: 1\nlisten: a: b\n", 2, "check the indentation, brackets, quotes and colons here"),
    ("asn: 1\nlog: \x01\n", 2, "remove the control character"),
]


@pytest.mark.parametrize(("text", "line", "way_out"), SYNTAX)
def test_what_is_not_yaml_is_refused_at_its_line(wrong: Ask, text: str, line: int, way_out: str) -> None:
    (message,) = wrong(text)
    assert message.startswith(f"onepeer.yaml:{line}: is not YAML: ")
    assert message.endswith(f"; {way_out}")


def test_all_mistakes_are_told_at_once_in_the_order_of_their_lines(wrong: Ask) -> None:
    """Wrong values, clashes and unknown keys: one run of `onepeer check` is enough."""
    text = """\
asn: 23456
lisen: {}
listen: {addresses: [192.168.3.10, 10.0.0]}
routers:
  - {address: 192.168.3.10, hold_time: 1s}
nodes: {}
guard: {prefixes: [192.168.0.0/16]}
log: {level: loud}
"""
    keys = [line.split(": ")[1] for line in wrong(text)]
    assert keys == [
        "asn", "lisen", "listen.addresses[1]", "routers[0].hold_time", "routers[0].address", "nodes.file",
        "guard.prefixes[0]", "guard.prefixes[0]", "log.level",
    ]  # fmt: skip


PASSWORDS = [
    (b"", "is empty: TCP MD5 needs a key; put the password into secret, on one line"),
    (b"\n", "is empty: TCP MD5 needs a key; put the password into secret, on one line"),
    (b"a\nb\n", "has more than one line: a router cannot be told such a password; put"),
    (b"x" * 81, "has too long a password: TCP MD5 keys have at most 80 octets on Linux, this one has 81; use"),
    (b"x" * 5000, "cannot be read: larger than 4096 octets; put the password into secret, on one line"),
]


@pytest.mark.parametrize(("octets", "message"), PASSWORDS, ids=["empty", "newline", "lines", "81", "5000"])
def test_a_password_that_no_session_could_use_is_refused(
    wrong: Ask, tmp_path: Path, octets: bytes, message: str
) -> None:
    (tmp_path / "secret").write_bytes(octets)
    (line,) = wrong(GOOD.replace("nodes.yaml}", "nodes.yaml, password_file: secret}"))
    assert line.startswith(f"onepeer.yaml:5: nodes.password_file: secret {message}")


def test_a_password_of_80_octets_is_the_longest(wrong: Ask, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"x" * 80 + b"\n")
    assert wrong(GOOD.replace("nodes.yaml}", "nodes.yaml, password_file: secret}")) == []


@pytest.mark.parametrize("name", ["gone.yaml", ".", "a\0b"])
def test_a_file_that_cannot_be_read_is_a_problem_too(tmp_path: Path, name: str) -> None:
    with pytest.raises(SettingsError, match=r"cannot be read: .*; name a file that this user may read"):
        load(tmp_path / name)


def test_text_that_is_not_utf_8_is_refused_at_its_line(tmp_path: Path) -> None:
    (tmp_path / "onepeer.yaml").write_bytes(b"asn: 1\nname: \xff\n")
    with pytest.raises(SettingsError, match=r"onepeer.yaml:2: is not UTF-8 text; save the file as UTF-8"):
        load(tmp_path / "onepeer.yaml")


def test_a_refused_file_names_its_password_files(tmp_path: Path) -> None:
    """The mistake may be put right there, so they are watched as well."""
    (tmp_path / "onepeer.yaml").write_text(GOOD.replace("nodes.yaml}", "nodes.yaml, password_file: secret}"))
    with pytest.raises(SettingsError) as refused:
        load(tmp_path / "onepeer.yaml")
    assert refused.value.files == (tmp_path / "secret",)


def test_two_routers_in_two_families_are_fine(wrong: Ask) -> None:
    text = GOOD.replace("[192.168.3.10]", "[192.168.3.10, fd00::10]")
    assert wrong(text.replace("192.168.3.1\n", "192.168.3.1\n  - address: fd00::1\n")) == []


def test_a_router_of_a_family_that_does_not_listen_is_dialled_from_its_local_addresses(wrong: Ask) -> None:
    """The way out that the mistake without them names."""
    router = "fd00::1\n    local_addresses: [fd00::10, fd00::11]\n"
    assert wrong(GOOD.replace("192.168.3.1\n", router)) == []
    assert wrong(GOOD.replace("192.168.3.1\n", "fd00::1\n    local_address: fd00::10\n")) == []


def test_one_local_address_may_serve_several_routers(wrong: Ask) -> None:
    """Each router knows it as a neighbor of its own."""
    lanes = "local_addresses: [192.168.3.11, 192.168.3.12]"
    text = f"192.168.3.1\n    {lanes}\n  - address: 192.168.3.2\n    {lanes}\n    mode: lanes\n    max_paths: 1\n"
    assert wrong(GOOD.replace("192.168.3.1\n", text)) == []


def test_of_32_lanes_none_is_too_many(wrong: Ask) -> None:
    lanes = ", ".join(f"10.0.0.{n}" for n in range(1, 33))
    assert wrong(GOOD.replace("192.168.3.1\n", f"192.168.3.1\n    local_addresses: [{lanes}]\n")) == []


def test_with_ipv6_alone_a_router_id_is_enough(wrong: Ask) -> None:
    text = GOOD.replace("192.168.3.10", "fd00::10").replace("192.168.3.1\n", "fd00::1\n")
    assert wrong(text + "router_id: 192.0.2.1\n") == []
