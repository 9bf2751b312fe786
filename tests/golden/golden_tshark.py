"""What does tshark read in the bytes of a recording?

`expect` in the recordings is this module's answer, so that the product's codec is judged by another reader:
the stream becomes a pcap file, one message in each TCP segment, and tshark's PDML plain values. Nothing is
passed over: a message or an attribute that is not known here, or that tshark cannot read, is an error.

tshark 4.0 guesses from the bytes alone whether prefixes carry path identifiers, and can guess wrong: who
records compares with what was announced (`record.check`). It reads no message above 4096 octets: such an
UPDATE is shown to it cut in several, and its answers are put together again.
"""

import itertools
import json
import re
import struct
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from golden_peer import UPDATE, split
from golden_peer import message as message_of

Expect = dict[str, Any]

FAMILIES = {("1", "1"): "ipv4", ("2", "1"): "ipv6"}
DIRECTIONS = {"1": "receive", "2": "send", "3": "both"}
ORIGINS = {"0": "igp", "1": "egp", "2": "incomplete"}
ATTRIBUTE = "bgp.update.path_attribute."
FIRST_PORT = 40000


def decode(opening: bytes, stream: bytes) -> Expect:
    """What one stream says, sent by who was sent `opening`."""
    return decode_all([(opening, stream)])[0]


def decode_all(recordings: Sequence[tuple[bytes, bytes]]) -> list[Expect]:
    """The same for many (opening, stream) at once: tshark takes longer to start than to read."""
    expects: list[Expect] = [{"open": None, "messages": []} for _ in recordings]
    with tempfile.NamedTemporaryFile(suffix=".pcap") as capture:
        capture.write(_pcap(recordings))
        capture.flush()
        pdml = subprocess.run(
            ["tshark", "-r", capture.name, "-o", "bgp.asn_len:4 octet", "-T", "pdml"],
            capture_output=True,
            check=True,
        ).stdout
    for packet in ElementTree.fromstring(pdml):
        found = [protocol for protocol in packet if protocol.get("name") == "bgp"]
        port = int(_one(packet, "tcp.dstport").get("show", ""))
        # Towards port 179 it is our own OPEN, there for tshark to know what was negotiated.
        if not found or port == 179:
            continue
        if len(found) != 1 or next(packet.iter("_ws.malformed"), None) is not None:
            raise ValueError(f"tshark cannot read a message: {ElementTree.tostring(packet).decode()}")
        expect = expects[port - FIRST_PORT]
        message = MESSAGES[_one(found[0], "bgp.type").get("show", "")](found[0])
        if message["type"] == "open":
            expect["open"], message = message, {"type": "open"}
            del expect["open"]["type"]
        expect["messages"].append(message)
    for expect, (_, stream) in zip(expects, recordings, strict=True):
        expect["messages"] = _joined(expect["messages"], [len(_cut(message)) for message in split(stream)])
    return expects


def _cut(message: bytes) -> list[bytes]:
    """The message as tshark can read it: an UPDATE above 4096 octets as several with parts of its IPv4 prefixes."""
    if len(message) <= 4096:
        return [message]
    withdrawn_end = 21 + int.from_bytes(message[19:21])
    attributes_end = withdrawn_end + 2 + int.from_bytes(message[withdrawn_end : withdrawn_end + 2])
    withdrawn, attributes = message[21:withdrawn_end], message[withdrawn_end:attributes_end]
    return [message_of(UPDATE, len(part).to_bytes(2) + part + b"\0\0") for part in _parts(withdrawn)] + [
        message_of(UPDATE, b"\0\0" + attributes + part) for part in _parts(message[attributes_end:])
    ]


def _parts(prefixes: bytes) -> Iterator[bytes]:
    """Prefixes without path identifiers in parts of about 3000 octets."""
    start = end = 0
    while end < len(prefixes):
        end += 1 + (prefixes[end] + 7) // 8
        if end - start > 3000 or end >= len(prefixes):
            yield prefixes[start:end]
            start = end


def _joined(messages: list[Expect], pieces: list[int]) -> list[Expect]:
    """The messages, those again as one that `_cut` had made several of."""
    read = iter(messages)
    whole = []
    for count in pieces:
        first, *more = itertools.islice(read, count)
        for message in more:
            first["announce"] += message["announce"]
            first["withdraw"] += message["withdraw"]
            first.update({key: value for key, value in message.items() if key not in ("announce", "withdraw")})
        whole.append(first)
    return whole


def _pcap(recordings: Sequence[tuple[bytes, bytes]]) -> bytes:
    peer, daemon = bytes([192, 168, 3, 10]), bytes([192, 168, 3, 1])
    packets = []
    for index, (opening, stream) in enumerate(recordings):
        port = FIRST_PORT + index
        packets.append(_segment(peer, daemon, port, 179, 0, b"", flags=0x02))
        packets.append(_segment(daemon, peer, 179, port, 0, b"", flags=0x12))
        packets.append(_segment(peer, daemon, port, 179, 1, opening))
        sequence = 1
        for message in itertools.chain.from_iterable(_cut(one) for one in split(stream)):
            packets.append(_segment(daemon, peer, 179, port, sequence, message))
            sequence += len(message)
    raw_ip = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 1 << 18, 101)
    return raw_ip + b"".join(struct.pack("<IIII", 0, 0, len(packet), len(packet)) + packet for packet in packets)


def _segment(
    source: bytes, target: bytes, from_port: int, to_port: int, sequence: int, data: bytes, flags: int = 0x18
) -> bytes:
    tcp = struct.pack("!HHIIBBHHH", from_port, to_port, sequence, 1, 0x50, flags, 65535, 0, 0) + data
    return struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(tcp), 0, 0, 64, 6, 0, source, target) + tcp


def _fields(tree: Element, name: str) -> Iterator[Element]:
    return (field for field in tree.iter("field") if field.get("name") == name)


def _one(tree: Element, name: str) -> Element:
    found = list(_fields(tree, name))
    if len(found) != 1:
        raise ValueError(f"{len(found)} times {name} in {ElementTree.tostring(tree).decode()}")
    return found[0]


def _show(tree: Element, name: str) -> str:
    return _one(tree, name).get("show", "")


def _shows(tree: Element, name: str) -> list[str]:
    return [field.get("show", "") for field in _fields(tree, name)]


def _open(tree: Element) -> Expect:
    result: Expect = {
        "type": "open",
        "my_as": int(_show(tree, "bgp.open.myas")),
        "asn": None,
        "hold_time": int(_show(tree, "bgp.open.holdtime")),
        "router_id": _show(tree, "bgp.open.identifier"),
        "optional_parameters": len(list(_fields(tree, "bgp.open.opt.param"))),
        "capabilities": [],
        "families": [],
        "add_path": {},
        "graceful_restart": None,
        "fqdn": None,
    }
    for capability in _fields(tree, "bgp.cap"):
        code = int(_show(capability, "bgp.cap.type"))
        result["capabilities"].append(code)
        if reader := CAPABILITIES.get(code):
            reader(capability, result)
    return result


def _families(capability: Element, result: Expect) -> None:
    result["families"].append(FAMILIES[_show(capability, "bgp.cap.mp.afi"), _show(capability, "bgp.cap.mp.safi")])


def _as4(capability: Element, result: Expect) -> None:
    result["asn"] = int(_show(capability, "bgp.cap.4as"))


def _add_path(capability: Element, result: Expect) -> None:
    names = ("bgp.cap.ap.afi", "bgp.cap.ap.safi", "bgp.cap.ap.sendreceive")
    for afi, safi, direction in zip(*(_shows(capability, name) for name in names), strict=True):
        result["add_path"][FAMILIES[afi, safi]] = DIRECTIONS[direction]


def _graceful_restart(capability: Element, result: Expect) -> None:
    names = ("bgp.cap.gr.afi", "bgp.cap.gr.safi", "bgp.cap.gr.flag.pfs")
    result["graceful_restart"] = {
        "restart_time": int(_show(capability, "bgp.cap.gr.timers.restart_time")),
        "restarting": _show(capability, "bgp.cap.gr.timers.restart_flag") == "1",
        "notification": _show(capability, "bgp.cap.gr.timers.notification_flag") == "1",
        "forwarding": {
            FAMILIES[afi, safi]: kept == "1"
            for afi, safi, kept in zip(*(_shows(capability, name) for name in names), strict=True)
        },
    }


def _fqdn(capability: Element, result: Expect) -> None:
    result["fqdn"] = _show(capability, "bgp.cap.orf.fqdn.hostname")


CAPABILITIES: dict[int, Callable[[Element, Expect], None]] = {
    1: _families,
    64: _graceful_restart,
    65: _as4,
    69: _add_path,
    73: _fqdn,
}


def _update(tree: Element) -> Expect:
    result: Expect = {"type": "update", "family": "ipv4", "announce": [], "withdraw": []}
    attributes = list(_fields(tree, "bgp.update.path_attribute"))
    codes = [int(_show(attribute, f"{ATTRIBUTE}type_code")) for attribute in attributes]
    for code, attribute in zip(codes, attributes, strict=True):
        ATTRIBUTES[code](attribute, result)
    for name, key in (("bgp.update.nlri", "announce"), ("bgp.update.withdrawn_routes", "withdraw")):
        for section in _fields(tree, name):
            result[key] += _prefixes(section)
    if not result["announce"] and not result["withdraw"]:
        return {"type": "end-of-rib", "family": result["family"]}
    if codes and codes != [15]:
        result["attributes"] = codes
    prefixes = [prefix for prefix, _ in result["announce"] + result["withdraw"]]
    if {"ipv6" if ":" in prefix else "ipv4" for prefix in prefixes} != {result["family"]}:
        raise ValueError(f"two families in one UPDATE: {prefixes}")
    return result


def _prefixes(section: Element) -> list[tuple[str, int | None]]:
    found = []
    for field in section:
        if field.get("name") == "":
            text = re.fullmatch(r"(\S+/\d+)(?: PathI[dD] (\d+))?\s*", field.get("show", ""))
            if text is None:
                raise ValueError(f"not a prefix: {field.get('show')}")
            found.append((text[1], int(text[2]) if text[2] else None))
    return found


def _mp_family(attribute: Element, kind: str) -> str:
    afi, safi = f"{ATTRIBUTE}mp_{kind}_nlri.afi", f"{ATTRIBUTE}mp_{kind}_nlri.safi"
    return FAMILIES[_show(attribute, afi), _show(attribute, safi)]


def _mp_reach(attribute: Element, result: Expect) -> None:
    result["family"] = _mp_family(attribute, "reach")
    for version in ("ipv4", "ipv6"):
        for next_hop in _shows(attribute, f"{ATTRIBUTE}mp_reach_nlri.next_hop.{version}"):
            result["next_hop"] = next_hop
    for link_local in _shows(attribute, f"{ATTRIBUTE}mp_reach_nlri.next_hop.ipv6.link_local"):
        result["link_local"] = link_local
    for section in _fields(attribute, f"{ATTRIBUTE}mp_reach_nlri"):
        result["announce"] += _prefixes(section)


def _mp_unreach(attribute: Element, result: Expect) -> None:
    result["family"] = _mp_family(attribute, "unreach")
    for section in _fields(attribute, f"{ATTRIBUTE}mp_unreach_nlri"):
        result["withdraw"] += _prefixes(section)


def _as_path(attribute: Element, result: Expect) -> None:
    if set(_shows(attribute, f"{ATTRIBUTE}as_path_segment.type")) - {"2"}:
        raise ValueError("an AS_PATH with more than AS_SEQUENCE")
    result["as_path"] = [int(asn) for asn in _shows(attribute, f"{ATTRIBUTE}as_path_segment.as4")]


def _communities(attribute: Element, result: Expect) -> None:
    pairs = zip(
        _shows(attribute, f"{ATTRIBUTE}community_as"),
        _shows(attribute, f"{ATTRIBUTE}community_value"),
        strict=True,
    )
    result["communities"] = [f"{asn}:{value}" for asn, value in pairs]


def _value(key: str, field: str, make: Callable[[str], object]) -> Callable[[Element, Expect], None]:
    def read(attribute: Element, result: Expect) -> None:
        result[key] = make(_show(attribute, field))

    return read


def _cluster_list(attribute: Element, result: Expect) -> None:
    result["cluster_list"] = _shows(attribute, "bgp.path_attribute.cluster_id")


ATTRIBUTES: dict[int, Callable[[Element, Expect], None]] = {
    1: _value("origin", f"{ATTRIBUTE}origin", ORIGINS.__getitem__),
    2: _as_path,
    3: _value("next_hop", f"{ATTRIBUTE}next_hop", str),
    4: _value("med", f"{ATTRIBUTE}multi_exit_disc", int),
    5: _value("local_pref", f"{ATTRIBUTE}local_pref", int),
    8: _communities,
    9: _value("originator_id", f"{ATTRIBUTE}originator_id", str),
    10: _cluster_list,
    14: _mp_reach,
    15: _mp_unreach,
}


def _notification(tree: Element) -> Expect:
    subcodes = [
        field.get("show", "")
        for field in tree.iter("field")
        if (field.get("name") or "").startswith("bgp.notify.minor_error")
    ]
    result: Expect = {
        "type": "notification",
        "code": int(_show(tree, "bgp.notify.major_error")),
        "subcode": int(subcodes[0]),
    }
    for reason in _shows(tree, "bgp.notify.communication"):
        result["reason"] = reason
    return result


def _keepalive(_: Element) -> Expect:
    return {"type": "keepalive"}


MESSAGES: dict[str, Callable[[Element], Expect]] = {
    "1": _open,
    "2": _update,
    "3": _notification,
    "4": _keepalive,
}


def dump(recording: Expect) -> str:
    """The recording as it stands in its file: one line for each key, and for each message."""
    expect = recording["expect"]
    head = [f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in recording.items() if key != "expect"]
    messages = ",\n".join(f"      {json.dumps(message)}" for message in expect["messages"])
    opening = json.dumps(expect["open"])
    head.append(f'  "expect": {{\n    "open": {opening},\n    "messages": [\n{messages}\n    ]\n  }}')
    return "{\n" + ",\n".join(head) + "\n}\n"
