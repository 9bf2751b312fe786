"""How are prefixes written in NLRI fields? (RFC 4271 4.3, RFC 4760 5)

Inside Onepeer a prefix is its wire form, `bytes` of one length octet and the significant octets: it is a
ready dict key and goes out again as it is. Text and `ipaddress` objects are made at the edges only.
"""

import ipaddress

from speaker.bgp.errors import ProtocolError
from speaker.bgp.iana import ErrorCode, Family, UpdateSubcode

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_OCTETS = [(bits + 7) // 8 for bits in range(129)]


def split(field: bytes, family: Family) -> list[bytes]:
    """The prefixes of an NLRI or Withdrawn Routes field, each as its own bytes.

    Raises ProtocolError (3/10) where the field cannot be parsed: RFC 7606 5.3 leaves no other treatment,
    since what follows the fault cannot be found.
    """
    if not field:
        return []
    # Host routes are what MetalLB announces by default: equal lengths are cut without a look at each.
    stride = 1 + _OCTETS[field[0]] if field[0] <= family.bits else 0
    if stride and len(field) % stride == 0 and field[::stride].count(field[0]) * stride == len(field):
        return [field[i : i + stride] for i in range(0, len(field), stride)]
    prefixes = []
    at, end = 0, len(field)
    while at < end:
        bits = field[at]
        if bits > family.bits:
            raise _invalid(f"prefix length {bits} is more than {family.bits}")
        after = at + 1 + _OCTETS[bits]
        if after > end:
            raise _invalid(f"prefix of length {bits} is cut short")
        prefixes.append(field[at:after])
        at = after
    return prefixes


def split_run(fields: list[bytes], family: Family) -> list[bytes]:
    """The prefixes of several NLRI fields of one size, as `split` gives them of each; fields of one prefix are kept.

    Raises ProtocolError as `split` does.
    """
    if len(fields) == 1:
        return split(fields[0], family)
    field = b"".join(fields)
    size = len(fields[0])
    stride = 1 + _OCTETS[field[0]] if field[0] <= family.bits else 0
    if stride and size % stride == 0 and field[::stride].count(field[0]) * stride == len(field):
        return fields if size == stride else split(field, family)
    # One by one: a prefix that is cut short must not go on in the next field.
    return [prefix for one in fields for prefix in split(one, family)]


def canonical(nlri: bytes) -> bytes:
    """The same prefix with the bits beyond its length zero: RFC 4271 4.3 calls their value irrelevant."""
    spare = -nlri[0] % 8
    if spare and nlri[-1] & ((1 << spare) - 1):
        return nlri[:-1] + bytes((nlri[-1] >> spare << spare,))
    return nlri


def from_network(network: Network) -> bytes:
    """The wire form of a prefix."""
    bits = network.prefixlen
    return bytes((bits,)) + network.network_address.packed[: _OCTETS[bits]]


def to_network(nlri: bytes, family: Family) -> Network:
    """The prefix of a wire form; bits beyond its length are dropped."""
    address = nlri[1:].ljust(family.bits // 8, b"\0")
    return ipaddress.ip_network((address, nlri[0]), strict=False)


def text(nlri: bytes, family: Family) -> str:
    """The prefix as people write it: `192.168.30.1/32`."""
    return str(to_network(nlri, family))


def _invalid(what: str) -> ProtocolError:
    return ProtocolError(ErrorCode.UPDATE_MESSAGE, UpdateSubcode.INVALID_NETWORK_FIELD, what)
