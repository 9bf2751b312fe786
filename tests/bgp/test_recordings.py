"""The recorded streams of real daemons (tests/golden), read by a session in whatever pieces TCP may deliver them."""

import json
from collections.abc import Iterable
from ipaddress import IPv4Address, ip_address
from pathlib import Path
from typing import Any

import pytest
from bgp_wire import OPEN, attributes_of, split
from hypothesis import given, settings
from hypothesis import strategies as st

from speaker.bgp import codec
from speaker.bgp.attributes import Attributes, slice_attributes
from speaker.bgp.events import Announced, Ended, EndOfRib, Event, Withdrawn
from speaker.bgp.framing import Framer, Message
from speaker.bgp.iana import Family
from speaker.bgp.nlri import text
from speaker.bgp.opening import Offer
from speaker.bgp.session import Session

GOLDEN = Path(__file__).parent.parent / "golden"
RECORDINGS = {path.stem: json.loads(path.read_text()) for path in sorted(GOLDEN.glob("*.json"))}

by_recording = pytest.mark.parametrize("recording", RECORDINGS.values(), ids=RECORDINGS)
# We never offer to take ADD-PATH, so no peer of ours sends path identifiers: of those four only the framing counts.
WITHOUT_PATH_IDS = {name: one for name, one in RECORDINGS.items() if not name.endswith("-addpath")}
by_plain_recording = pytest.mark.parametrize("recording", WITHOUT_PATH_IDS.values(), ids=WITHOUT_PATH_IDS)


def session_of(recording: dict[str, Any]) -> Session:
    """A session that has offered what the recording's peer had."""
    ours = codec.decode_open(bytes.fromhex(recording["sent_open"])[19:])
    offer = Offer(ours.asn, ours.router_id, ours.hold_time, ours.families)
    session = Session(offer, recording["expect"]["open"]["asn"], lambda: 1.0)
    session.accept(0.0)
    return session


def told(recording: dict[str, Any], pieces: Iterable[bytes]) -> list[Any]:
    """What the session tells of these pieces of the stream, path by path."""
    session = session_of(recording)
    return [fact for piece in pieces for event in session.receive(piece, 1.0) for fact in facts(event)]


def facts(event: Event) -> list[Any]:
    """An event in the words of `expect`; a run of UPDATEs is longer or shorter as TCP has it, so one fact a path."""
    if isinstance(event, Announced):
        seen = words(event.attributes)
        return [("announce", str(event.family), text(prefix, event.family), seen) for prefix in event.prefixes]
    if isinstance(event, Withdrawn):
        return [("withdraw", str(event.family), text(prefix, event.family)) for prefix in event.prefixes]
    if isinstance(event, EndOfRib):
        return [("end-of-rib", str(event.family))]
    if isinstance(event, Ended) and event.notification is not None:
        said = event.notification
        return [("notification", said.code, said.subcode, said.text)]
    return []


def words(a: Attributes) -> dict[str, Any]:
    """The attributes in the words of `expect`."""
    found: dict[str, Any] = {
        "next_hop": str(ip_address(a.next_hop)),
        "origin": a.origin.name.lower(),
        "as_path": [asn for segment in a.as_path for asn in segment.asns],
        "med": a.med,
        "local_pref": a.local_pref,
        "communities": [f"{int.from_bytes(c[:2], 'big')}:{int.from_bytes(c[2:], 'big')}" for c in a.communities],
        "originator_id": a.originator_id and str(IPv4Address(a.originator_id)),
        "cluster_list": [str(IPv4Address(cluster)) for cluster in a.cluster_list],
    }
    return {
        key: value for key, value in found.items() if value is not None and (value or key == "as_path" or value == 0)
    }


def expected(recording: dict[str, Any]) -> list[Any]:
    """`expect.messages` as facts; nothing counts after the first NOTIFICATION, and FRR sends two."""
    found: list[Any] = []
    for said in recording["expect"]["messages"]:
        if said["type"] == "end-of-rib":
            found.append(("end-of-rib", said["family"]))
        elif said["type"] == "notification":
            return [*found, ("notification", said["code"], said["subcode"], said.get("reason", ""))]
        elif said["type"] == "update":
            family = said["family"]
            found += [("withdraw", family, prefix) for prefix, _ in said["withdraw"]]
            seen = {key: said[key] for key in KEYS if key in said}
            if "next_hop" in seen:
                seen["next_hop"] = str(ip_address(seen["next_hop"]))  # tshark writes ::ffff:192.168.3.1
            # GoBGP's IPv4 prefixes with an IPv6 next hop are not taken (routes.py).
            taken = family == "ipv6" or ":" not in seen.get("next_hop", "")
            fact = ("announce", family) if taken else ("withdraw", family)
            found += [(*fact, prefix, *([seen] if taken else [])) for prefix, _ in said["announce"]]
    return found


KEYS = ("next_hop", "origin", "as_path", "med", "local_pref", "communities", "originator_id", "cluster_list")


@by_plain_recording
def test_a_session_reads_what_tshark_read(recording: dict[str, Any]) -> None:
    """Every route, withdrawal, End-of-RIB and last word of a real daemon, with all its attributes."""
    assert told(recording, [bytes.fromhex(recording["stream"])]) == expected(recording)


@by_plain_recording
def test_octet_by_octet_it_reads_the_same(recording: dict[str, Any]) -> None:
    """TCP promises no more than one octet at a time."""
    stream = bytes.fromhex(recording["stream"])
    assert told(recording, [stream[i : i + 1] for i in range(len(stream))]) == expected(recording)


@given(st.data())
@settings(deadline=None, max_examples=100)
def test_cut_anywhere_it_reads_the_same(data: st.DataObject) -> None:
    """Neither the sizes of the pieces nor where they end make a difference."""
    recording = data.draw(st.sampled_from(list(WITHOUT_PATH_IDS.values())))
    stream = bytes.fromhex(recording["stream"])
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert told(recording, pieces) == expected(recording)


@by_recording
def test_every_stream_is_framed_as_it_was_written(recording: dict[str, Any]) -> None:
    """Also those with path identifiers; what a tail left over has begun waits for the rest of it."""
    stream = bytes.fromhex(recording["stream"])
    framer = Framer()
    seen = [item for piece in (stream[:-1], stream[-1:]) for item in framer.feed(piece)]
    sizes = [
        sum(len(item.attributes) + len(item.withdrawn) + len(field) + 23 for field in item.announced or [b""])
        if not isinstance(item, Message)
        else 19 + len(item.body)
        for item in seen
    ]
    assert sum(sizes) == len(stream)
    kinds = {"open": 1, "notification": 3, "keepalive": 4}
    others = [int(item.kind) for item in seen if isinstance(item, Message)]
    assert others == [kinds[m["type"]] for m in recording["expect"]["messages"] if m["type"] in kinds]


@by_recording
def test_its_open_is_understood(recording: dict[str, Any]) -> None:
    """AS number, hold time, families, ADD-PATH, graceful restart, name: as tshark has read them."""
    expect = recording["expect"]["open"]
    first = split(bytes.fromhex(recording["stream"]))[0]
    assert first[18] == OPEN
    heard = codec.decode_open(first[19:])
    assert (heard.asn, heard.hold_time, str(heard.router_id)) == (
        expect["asn"],
        expect["hold_time"],
        expect["router_id"],
    )
    assert sorted(map(str, heard.families)) == sorted(expect["families"])
    takes = {family for family, way in expect["add_path"].items() if way in ("receive", "both")}
    assert {str(family) for family in heard.add_path_receive} == takes
    assert heard.capabilities == tuple(sorted(set(expect["capabilities"])))
    assert heard.hostname == (expect["fqdn"] or "")
    graceful = expect["graceful_restart"]
    if graceful is None or heard.graceful_restart is None:
        assert heard.graceful_restart is graceful
        return
    assert heard.graceful_restart.restart_time == graceful["restart_time"]
    assert heard.graceful_restart.restarting == graceful["restarting"]
    assert heard.graceful_restart.notification == graceful["notification"]
    survives = [family for family, forwarding in graceful["forwarding"].items() if forwarding]
    assert sorted(map(str, heard.graceful_restart.families)) == sorted(survives)


@by_recording
def test_attributes_go_out_again_as_they_came(recording: dict[str, Any]) -> None:
    """Decoded, encoded and decoded once more they say the same, and every attribute is still among them."""
    for one in split(bytes.fromhex(recording["stream"])):
        field = one[21 + 2 + int.from_bytes(one[19:21], "big") :][: int.from_bytes(one[21:23], "big")]
        sliced = slice_attributes(field) if one[18] == 2 and not one[19] | one[20] else None
        if sliced is None or 1 not in sliced.codes:
            continue
        hop = None if 3 in sliced.codes else sliced.reach and sliced.reach[4:20]
        first = codec.decode_attributes(sliced, as4=True, ibgp=True, next_hop=hop)
        again = codec.encode_attributes(first, as4=True, next_hop=hop is None)
        assert words(first) == words(
            codec.decode_attributes(slice_attributes(again), as4=True, ibgp=True, next_hop=hop)
        )
        assert {(code, value) for _, code, value, _ in attributes_of(sliced.plain)} == {
            (code, value) for _, code, value, _ in attributes_of(again)
        }


def test_metallb_leaves_nothing_to_be_understood() -> None:
    """The peer that matters most: its whole OPEN is two families and a four-octet AS number."""
    for name in (name for name in RECORDINGS if name.startswith("metallb-native")):
        first = split(bytes.fromhex(RECORDINGS[name]["stream"]))[0]
        heard = codec.decode_open(first[19:])
        assert (heard.families, heard.capabilities) == ((Family.IPV4, Family.IPV6), (1, 65))
