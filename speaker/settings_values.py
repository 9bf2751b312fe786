"""What may one value of the settings be, and how is a wrong one put right?

One function per kind of value: it takes what the file says and returns what Onepeer works with, or raises
what `refuse` makes. Last come the types for the models of config.py. Knows no key.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Annotated, Final

from pydantic import BeforeValidator, Field, PlainSerializer, PlainValidator, ValidationInfo
from pydantic_core import PydanticCustomError

from speaker.settings_file import Loc, read_octets, reason
from speaker.settings_selector import LabelSelector, SelectorError, parse_selector

Address = IPv4Address | IPv6Address
Prefix = IPv4Network | IPv6Network


def refuse(what: str, why: str, way_out: str, at: Loc = ()) -> PydanticCustomError:
    """What a validator raises. `at` leads from the validated value to the part of it that is wrong."""
    context = {"what": what, "why": why, "way_out": way_out, "at": at}
    return PydanticCustomError("refused", "{what}: {why}; {way_out}", context)


def show(value: object) -> str:
    """`value` as a message names it; never more than a line of it."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    text = str(value)
    text = text if len(text) <= 60 else text[:57] + "..."
    return text if text.isprintable() and text.strip() == text != "" else repr(text)


# ---- addresses


def address(value: object) -> Address:
    """An address that one host can have: no network, multicast, unspecified or link-local one."""
    if isinstance(value, IPv4Address | IPv6Address):
        found = value
    else:
        found = _read_address(value)
    if found.is_link_local:
        why = "it means another host on each interface, so it cannot tell who calls or be a next hop"
        raise refuse(f"{found} is a link-local address", why, "use a global or a unique local one (fd00::/8)")
    if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
        raise refuse(f"{found} is an IPv4 address in IPv6 form", "", f"write {found.ipv4_mapped}")
    if isinstance(found, IPv6Address) and found.scope_id is not None:
        raise refuse(f"{found} has a scope", "only link-local addresses do", "leave out the % and the rest")
    if found.is_unspecified:
        why = "sessions are known by their addresses, and this one stands for any"
        raise refuse(f"{found} is no single address", why, "write the address of the host")
    if found.is_multicast or (isinstance(found, IPv4Address) and found.is_reserved):
        raise refuse(f"{found} is not the address of one host", "", "write the address of the host")
    return found


def _read_address(value: object) -> Address:
    if not isinstance(value, str):
        raise refuse(f"{show(value)} is not an address", "", "write one like 192.168.3.10 or fd00::10")
    try:
        return ip_address(value)
    except ValueError:
        pass
    way_out = "write one like 192.168.3.10 or fd00::10"
    why = "names are not looked up: sessions must not hang on DNS" if _is_host_name(value) else ""
    extras = ((r"(.+)/\d{1,3}", "has a prefix length"), (r"\[?([^\]]+)\]?:\d{1,5}", "has a port"))
    for pattern, what in extras:
        match = re.fullmatch(pattern, value)
        if match and _is_address(match[1]):
            raise refuse(f"{show(value)} {what}", "an address stands alone here", f"write {match[1]}")
    raise refuse(f"{show(value)} is not an address", why, way_out)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _is_host_name(text: str) -> bool:
    return re.fullmatch(r"[A-Za-z0-9.-]*[A-Za-z][A-Za-z0-9.-]*", text) is not None


def socket_address(value: object) -> Address:
    """An address to serve HTTP on. 0.0.0.0 and :: are good here: nobody is known by it."""
    if value in ("0.0.0.0", "::"):
        return ip_address(str(value))
    return address(value)


def identifier(value: object) -> IPv4Address:
    """A BGP identifier or cluster ID: 32 bits in the form of an IPv4 address, not zero (RFC 6286, 4456)."""
    way_out = "write it like 192.168.3.10"
    if isinstance(value, IPv4Address):
        found = value
    else:
        try:
            found = IPv4Address(value if isinstance(value, str) else "")
        except ValueError:
            raise refuse(f"{show(value)} is not four octets", "", way_out) from None
    if int(found) == 0:
        raise refuse("0.0.0.0 identifies nobody", "a BGP identifier is not zero (RFC 6286, 2.1)", way_out)
    return found


def prefix(value: object) -> Prefix:
    """A prefix without host bits. Not /0: a guard that lets everything through is none."""
    if isinstance(value, IPv4Network | IPv6Network):
        found = value
    else:
        found = _read_prefix(value)
    if found.prefixlen == 0:
        why = "a node could announce the default route, or any address of yours"
        raise refuse(f"{found} lets everything through", why, "name the prefixes of your services")
    return found


def _read_prefix(value: object) -> Prefix:
    way_out = "write one like 192.168.30.0/24 or fd00:30::/64"
    if not isinstance(value, str):
        raise refuse(f"{show(value)} is not a prefix", "", way_out)
    if _is_address(value):
        length = ip_address(value).max_prefixlen
        raise refuse(f"{show(value)} has no length", "", f"write {value}/{length} for this address alone")
    if not re.fullmatch(r"[0-9A-Fa-f.:]+/[0-9]{1,3}", value):
        raise refuse(f"{show(value)} is not a prefix", "", way_out)
    try:
        return ip_network(value)
    except ValueError:
        pass
    try:
        whole = ip_network(value, strict=False)
    except ValueError:
        raise refuse(f"{show(value)} is not a prefix", "", way_out) from None
    why = f"it is an address inside {whole}"
    raise refuse(f"{show(value)} has bits set behind its length", why, f"write {whole}")


# ---- numbers

_AS_MEANINGS: Final = {
    0: "AS 0 belongs to nobody (RFC 7607)",
    23456: "AS 23456 is AS_TRANS, the stand-in for AS numbers of four octets (RFC 6793)",
    65535: "AS 65535 is reserved (RFC 7300)",
    4294967295: "AS 4294967295 is reserved (RFC 7300)",
}


def as_number(value: object) -> int:
    """An AS number, 1..4294967294, without those that no speaker may use."""
    way_out = "write a number like 64512"
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,5}\.[0-9]{1,5}", value):
        high, low = (int(part) for part in value.split("."))
        raise refuse(f"{value} is in asdot form", "it is read as a plain number", f"write {high * 65536 + low}")
    number = whole_number(value, way_out)
    if number in _AS_MEANINGS:
        raise refuse(f"{number} is not to be used", _AS_MEANINGS[number], "write your own AS number, like 64512")
    if not 0 < number < 2**32:
        raise refuse(f"{number} is out of range", "an AS number is 1..4294967294 (RFC 6793)", way_out)
    return number


def whole_number(value: object, way_out: str = "write a number like 1000") -> int:
    """A whole number. Not true or false, which Python counts among them, and no text."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,18}", value):
        raise refuse(f"'{value}' is text", "it has quotes or a leading zero", f"write {int(value)}")
    raise refuse(f"{show(value)} is not a whole number", "", way_out)


def switch(value: object) -> bool:
    """On or off. YAML 1.1 had more words for it, and `no` is Norway's."""
    if isinstance(value, bool):
        return value
    meant = {"yes": "true", "on": "true", "no": "false", "off": "false"}.get(str(value).lower(), "true or false")
    raise refuse(f"{show(value)} is neither true nor false", "", f"write {meant}")


# ---- durations

_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def duration(value: object) -> float:
    """Seconds, of `500ms`, `90s`, `2m` or `1h`."""
    match = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)(ms|s|m|h)?", show(value))
    if match is None:
        raise refuse(f"{show(value)} is not a duration", "", "write one like 90s, 2m or 500ms")
    number, unit = match.groups()
    if unit is None:
        way_out = f"write {number}s, or use ms, m or h"
        raise refuse(f"{number} has no unit", "it could be seconds or milliseconds", way_out)
    # 500 / 1000 is exact where 500 * 0.001 is not.
    return float(number) / 1000 if unit == "ms" else float(number) * _UNITS[unit]


def hold_time(value: object) -> float:
    """Seconds: 0, or 3..65535 whole ones, for two octets of the OPEN carry it (RFC 4271, 4.2)."""
    seconds = duration(value)
    if 0 < seconds < 3:
        why = "a hold time is 0s or at least 3s (RFC 4271, 4.2)"
        raise refuse(f"{value} is too short", why, "use 3s or more, or 0s to switch it off")
    return _whole_seconds(value, seconds, 65535, "a hold time", "RFC 4271, 4.2")


def restart_time(value: object) -> float:
    """Seconds: 0..4095 whole ones, for twelve bits of the capability carry it (RFC 4724, 3)."""
    return _whole_seconds(value, duration(value), 4095, "a restart time", "RFC 4724, 3")


def long_lived(value: object) -> float:
    """Seconds: 0..16777215 whole ones, for 24 bits of the capability carry it (RFC 9494, 3.1)."""
    return _whole_seconds(value, duration(value), 2**24 - 1, "a long-lived stale time", "RFC 9494, 3.1")


def connect_time(value: object) -> float:
    """Seconds: 1..65535 whole ones, as MetalLB's API has it."""
    seconds = duration(value)
    if seconds < 1:
        raise refuse(f"{value} is too short", "MetalLB takes whole seconds from 1s on", "use 1s or more")
    return _whole_seconds(value, seconds, 65535, "a connect time", "MetalLB's BGPPeer")


def probe_interval(value: object) -> float:
    """Seconds: 0, or 0.02 to 10."""
    seconds = duration(value)
    if 0 < seconds < 0.02:
        raise refuse(
            f"{value} is too short", "a busy node may take some ms to answer", "use 20ms or more, or 0s for none"
        )
    if seconds > 10:
        raise refuse(f"{value} is too long", "by then the hold timer finds as much", "use 10s or less, or 0s for none")
    return seconds


def receive_interval(value: object) -> float:
    """Seconds: 0.05 to 1."""
    seconds = duration(value)
    if seconds < 0.05:
        raise refuse(f"{value} is too short", "a pause of ours would cost several packets", "use 50ms or more")
    if seconds > 1:
        raise refuse(f"{value} is too long", "the node decides how seldom it sends", "use 1s or less")
    return seconds


def wait(value: object) -> float:
    """Seconds, at most an hour."""
    seconds = duration(value)
    if seconds > 3600:
        why = "until then a router that was not restarted keeps routes of nodes that may be gone"
        raise refuse(f"{value} is too long", why, "use 1h or less")
    return seconds


def hold(value: object) -> float:
    """Seconds, at most a day."""
    seconds = duration(value)
    if seconds > 86400:
        why = "so long a router would be told of nodes that nobody has heard of"
        raise refuse(f"{value} is too long", why, "use 24h or less")
    return seconds


def lease_time(value: object) -> float:
    """Seconds: 4..60 whole ones, as a Lease of Kubernetes has it."""
    seconds = duration(value)
    if seconds < 4:
        why = "a leader renews it each second, and the kernel takes its address away up to 1.1 s late"
        raise refuse(f"{value} is too short", why, "use 4s or more")
    return _whole_seconds(value, seconds, 60, "the time that a leader is waited for", "so long nobody would lead")


def interface(value: object) -> str:
    """A network interface by its name, which Linux keeps to 15 octets."""
    text = show(value)
    if not isinstance(value, str) or not re.fullmatch(r"[^\s/:]{1,15}", text):
        raise refuse(f"{text} is not an interface", "", "write its name as `ip link` shows it, like eth0")
    return text


def _whole_seconds(value: object, seconds: float, limit: int, name: str, rfc: str) -> float:
    if seconds > limit:
        raise refuse(f"{value} is too long", f"{name} is at most {limit}s ({rfc})", f"use {limit}s or less")
    if seconds != int(seconds):
        way_out = f"use {round(seconds)}s"
        raise refuse(f"{value} is not whole seconds", f"{name} is counted in them ({rfc})", way_out)
    return seconds


# ---- sizes

_SIZES: Final = {"kB": 1000, "MB": 1000**2, "GB": 1000**3}
_SIZE = r"([0-9]{1,9}(?:\.[0-9]{1,9})?)(kB|MB|GB)?"


def journal_size(value: object) -> int:
    """Octets, of `4MB`: 0, or 100kB to 1GB."""
    match = re.fullmatch(_SIZE, show(value))
    if match is None:
        raise refuse(f"{show(value)} is not a size", "", "write one like 4MB or 500kB")
    number, unit = match.groups()
    if unit is None and float(number) != 0:
        raise refuse(f"{number} has no unit", "it could be octets or megabytes", f"write {number}MB, or use kB or GB")
    octets = int(float(number) * _SIZES[unit or "kB"])
    if 0 < octets < 100_000:
        raise refuse(f"{value} is too small", "a day of a small cluster would not fit", "use 100kB or more, or 0MB")
    if octets > 1_000_000_000:
        raise refuse(f"{value} is too large", "each question reads all of it", "use 1GB or less")
    return octets


# ---- communities

WELL_KNOWN: Final = {
    "graceful-shutdown": 0xFFFF0000,
    "accept-own": 0xFFFF0001,
    "llgr-stale": 0xFFFF0006,
    "no-llgr": 0xFFFF0007,
    "blackhole": 0xFFFF029A,
    "no-export": 0xFFFFFF01,
    "no-advertise": 0xFFFFFF02,
    "no-export-subconfed": 0xFFFFFF03,
    "no-peer": 0xFFFFFF04,
}
"""IANA's well-known communities, in the spelling that routers take."""


def community(value: object) -> bytes:
    """The octets on the wire: 4 of `64512:100` or `no-export` (RFC 1997), 12 of `64512:1:2` (RFC 8092)."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, str) and value.lower() in WELL_KNOWN:
        return WELL_KNOWN[value.lower()].to_bytes(4, "big")
    if not isinstance(value, str) or not re.fullmatch(r"[0-9]{1,10}(:[0-9]{1,10}){1,2}", value):
        way_out = f"write one like 64512:100 or 64512:1:2, or one of {', '.join(WELL_KNOWN)}"
        raise refuse(f"{show(value)} is not a community", "", way_out)
    parts = [int(part) for part in value.split(":")]
    limit, rfc = (65535, "RFC 1997") if len(parts) == 2 else (2**32 - 1, "RFC 8092")
    for part in parts:
        if part > limit:
            way_out = "use a smaller number" + (", or a large community (a:b:c)" if len(parts) == 2 else "")
            raise refuse(f"{part} is out of range", f"each part of {value} is 0..{limit} ({rfc})", way_out)
    return b"".join(part.to_bytes(2 if len(parts) == 2 else 4, "big") for part in parts)


def community_text(octets: bytes) -> str:
    """The way back: `64512:100`, `no-export` or `64512:1:2`."""
    known = {number.to_bytes(4, "big"): name for name, number in WELL_KNOWN.items()}
    size = 2 if len(octets) == 4 else 4
    parts = (int.from_bytes(octets[at : at + size], "big") for at in range(0, len(octets), size))
    return known.get(octets) or ":".join(map(str, parts))


# ---- names and files

MAX_PASSWORD: Final = 80
"""Octets. TCP_MD5SIG_MAXKEYLEN of Linux."""


def name(value: object) -> str:
    """A name for logs, metrics and tables. What Kubernetes calls a node by is always good (RFC 1123)."""
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if isinstance(text, str) and re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9._:-]{0,251}[A-Za-z0-9])?", text):
        return text
    why = "a name has letters, digits and . _ : - inside, at most 253 in all"
    raise refuse(f"{show(value)} is not a name", why, "write one like leviathan1")


def file_path(value: object, info: ValidationInfo) -> Path:
    """A path, from the folder of the file that names it (`folder` of the validation's context)."""
    if not isinstance(value, str | Path) or not str(value) or "\0" in str(value):
        raise refuse(f"{show(value)} is not a path", "", "write one like nodes.yaml or /etc/onepeer/it")
    folder: Path = (info.context or {}).get("folder", Path())
    # Not resolved: a ConfigMap swaps the symbolic link on the way, and the new target must be found by it.
    return folder / value


@dataclass(frozen=True, slots=True)
class Secret:
    """A password file as it was when the settings were read. Its content is in no repr, log or dump."""

    path: Path
    octets: bytes = field(repr=False)
    """1..80 octets, one newline at the end taken off."""


def secret(value: object, info: ValidationInfo) -> Secret:
    """The password in the file that `value` names."""
    if isinstance(value, Secret):
        return value
    path = file_path(value, info)
    way_out = f"put the password into {path}, on one line"
    try:
        octets = read_octets(path, 4096)
    except OSError as error:
        raise refuse(f"{path} cannot be read", reason(error), f"{way_out}, readable by Onepeer") from None
    octets = octets.removesuffix(b"\n").removesuffix(b"\r")
    if not octets:
        raise refuse(f"{path} is empty", "TCP MD5 needs a key", way_out)
    if b"\n" in octets:
        raise refuse(f"{path} has more than one line", "a router cannot be told such a password", way_out)
    if len(octets) > MAX_PASSWORD:
        why = f"TCP MD5 keys have at most {MAX_PASSWORD} octets on Linux, this one has {len(octets)}"
        raise refuse(f"{path} has too long a password", why, "use a shorter one on both sides")
    return Secret(path, octets)


def label_selector(value: object) -> LabelSelector:
    """A label selector as `kubectl get nodes -l` takes it; empty selects everything."""
    if isinstance(value, LabelSelector):
        return value
    way_out = "write it as for `kubectl get nodes -l`, like role=worker or zone in (a, b)"
    if not isinstance(value, str):
        raise refuse(f"{show(value)} is no label selector", "", way_out)
    try:
        return parse_selector(value)
    except SelectorError as error:
        raise refuse(f"{show(str(error))} is no part of a label selector", "", way_out) from None


def object_name(value: object) -> str:
    """The name of an object of Kubernetes: a DNS label, or several joined by dots."""
    label = "[a-z0-9]([a-z0-9-]*[a-z0-9])?"
    if not isinstance(value, str) or len(value) > 253 or not re.fullmatch(rf"{label}(\.{label})*", value):
        why = "names in Kubernetes have small letters, digits and hyphens"
        raise refuse(f"{show(value)} is not a name", why, "write it as kubectl shows it")
    return value


def class_name(value: object) -> str:
    """A loadBalancerClass: written as the key of a label, `metallb` or `metallb.io/lb`."""
    part = "[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?"
    if not isinstance(value, str) or len(value) > 317 or not re.fullmatch(rf"({part}/)?{part}", value):
        why = "classes look as the keys of labels do, such as metallb.io/lb"
        raise refuse(f"{show(value)} is not a class", why, "write it as MetalLB's --lb-class has it")
    return value


HostAddress = Annotated[Address, BeforeValidator(address)]
LocalAddresses = Annotated[tuple[HostAddress, ...], Field(min_length=1, max_length=32)]
SocketAddress = Annotated[Address, BeforeValidator(socket_address)]
Identifier = Annotated[IPv4Address, BeforeValidator(identifier)]
GuardPrefix = Annotated[Prefix, BeforeValidator(prefix)]
AsNumber = Annotated[int, BeforeValidator(as_number)]
Whole = Annotated[int, BeforeValidator(whole_number)]
Switch = Annotated[bool, BeforeValidator(switch)]
Port = Annotated[int, BeforeValidator(whole_number), Field(ge=1, le=65535)]
HoldTime = Annotated[float, BeforeValidator(hold_time)]
RestartTime = Annotated[float, BeforeValidator(restart_time)]
ConnectTime = Annotated[float, BeforeValidator(connect_time)]
LongLived = Annotated[float, BeforeValidator(long_lived)]
ProbeInterval = Annotated[float, BeforeValidator(probe_interval)]
ReceiveInterval = Annotated[float, BeforeValidator(receive_interval)]
Hold = Annotated[float, BeforeValidator(hold)]
LeaseTime = Annotated[float, BeforeValidator(lease_time)]
Interface = Annotated[str, BeforeValidator(interface)]
Wait = Annotated[float, BeforeValidator(wait)]
JournalSize = Annotated[int, BeforeValidator(journal_size)]
Community = Annotated[bytes, BeforeValidator(community), PlainSerializer(community_text)]
Name = Annotated[str, BeforeValidator(name)]
ObjectName = Annotated[str, BeforeValidator(object_name)]
ClassName = Annotated[str, BeforeValidator(class_name)]
Selector = Annotated[LabelSelector, PlainValidator(label_selector), PlainSerializer(str)]
FilePath = Annotated[Path, BeforeValidator(file_path)]
PasswordFile = Annotated[Secret, PlainValidator(secret), PlainSerializer(lambda found: str(found.path))]
