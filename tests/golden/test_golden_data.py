"""Are the recordings themselves whole? Their bytes frame and count as `expect` says, and tshark agrees."""

import json
import shutil
from pathlib import Path
from typing import Any

import golden_tshark
import pytest
from golden_peer import KEEPALIVE, NOTIFICATION, OPEN, UPDATE, split

RECORDINGS = sorted(Path(__file__).parent.glob("*.json"))
TYPES = {
    "open": OPEN,
    "update": UPDATE,
    "end-of-rib": UPDATE,
    "notification": NOTIFICATION,
    "keepalive": KEEPALIVE,
}
by_name = pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.stem)


def load(path: Path) -> dict[str, Any]:
    """One recording, its hex as bytes."""
    recording: dict[str, Any] = json.loads(path.read_text())
    return {**recording, **{key: bytes.fromhex(recording[key]) for key in ("sent_open", "stream")}}


@pytest.mark.parametrize("daemon", ["frr", "bird", "gobgp", "openbgpd", "metallb-native", "metallb-frr-k8s"])
def test_every_daemon_is_recorded(daemon: str) -> None:
    """A recording that is lost would otherwise only make the codec's tests fewer."""
    assert [path for path in RECORDINGS if path.stem.startswith(f"{daemon}-")]


@by_name
def test_the_stream_is_whole_messages_of_the_types_expected(path: Path) -> None:
    """The lengths in the 19-byte headers add up to the stream, and the types are those of `expect`."""
    recording = load(path)
    assert recording["what"].endswith(".")
    assert [message[18] for message in split(recording["stream"])] == [
        TYPES[message["type"]] for message in recording["expect"]["messages"]
    ]


@by_name
def test_our_side_had_sent_one_open(path: Path) -> None:
    """`sent_open` is one message, and an OPEN."""
    (opening,) = split(load(path)["sent_open"])
    assert opening[18] == OPEN


@by_name
def test_path_identifiers_are_expected_where_add_path_was_agreed_and_nowhere_else(path: Path) -> None:
    """The peer that offers ADD-PATH offers both ways: what the daemon sends decides."""
    recording = load(path)
    offered = bytes([69, 8]) in recording["sent_open"]
    add_path = recording["expect"]["open"]["add_path"] if offered else {}
    for message in recording["expect"]["messages"]:
        if message["type"] == "update":
            agreed = add_path.get(message["family"]) in ("send", "both")
            path_ids = [path_id for _, path_id in message["announce"] + message["withdraw"]]
            assert all((path_id is not None) == agreed for path_id in path_ids)


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
def test_tshark_reads_what_is_expected() -> None:
    """`expect` is another program's reading of the bytes, and nobody has changed it by hand since."""
    recordings = [load(path) for path in RECORDINGS]
    read = golden_tshark.decode_all([(one["sent_open"], one["stream"]) for one in recordings])
    for path, recording, expect in zip(RECORDINGS, recordings, read, strict=True):
        assert json.loads(json.dumps(expect)) == recording["expect"], path.stem
