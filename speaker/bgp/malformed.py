"""Which path attributes are malformed, and what becomes of them? RFC 7606 3 and 7 as one table.

It looks at flags and lengths, which is all that most attributes can get wrong; what stands in AS_PATH is for
codec.py. Attributes that mean nothing on a session are dropped here before anyone judges them: those of iBGP from
another AS (RFC 7606 7.5, 7.9, 7.10), AS4_PATH and AS4_AGGREGATOR from a peer with four-octet AS numbers (RFC 6793 4.1).
"""

from collections.abc import Callable
from typing import NamedTuple

from speaker.bgp.errors import TreatAsWithdraw
from speaker.bgp.iana import AttributeCode, AttributeFlag

# As plain numbers: looking up members of an enumeration is half the time of a set that is met for the first time.
_OPTIONAL, _TRANSITIVE = int(AttributeFlag.OPTIONAL), int(AttributeFlag.TRANSITIVE)
_PARTIAL, _EXTENDED = int(AttributeFlag.PARTIAL), int(AttributeFlag.EXTENDED_LENGTH)
_KIND = _OPTIONAL | _TRANSITIVE
_IBGP_ONLY = (AttributeCode.LOCAL_PREF, AttributeCode.ORIGINATOR_ID, AttributeCode.CLUSTER_LIST)
_AS2_ONLY = (AttributeCode.AS4_PATH, AttributeCode.AS4_AGGREGATOR)
_AS_PATH_SEGMENTS = (1, 2, 3, 4)  # RFC 4271 4.3, RFC 5065 3

#: What comes before the value in an attribute whose header has been cut already (attributes.py).
_SHORT, _LONG = 3, 4


class Rule(NamedTuple):
    """How an attribute should look.

    kind        its Optional and Transitive bits; the Partial bit and the lower four say nothing (RFC 4271 4.3)
    right       whether its value can be one
    discard     a malformed one is dropped; else the routes are withdrawn with it
    """

    kind: int
    right: Callable[[bytes], bool]
    discard: bool = False


class Vetted(NamedTuple):
    """The attributes that are left.

    known       those of the table, each once, the flags of each as they should be
    unknown     optional transitive ones that are only passed on: (flags, code, value), the Partial bit set as
                RFC 4271 5 asks
    """

    known: bytes
    unknown: tuple[tuple[int, int, bytes], ...]


def vet(plain: bytes, *, as4: bool, ibgp: bool) -> Vetted:
    """The attributes of an UPDATE, as attributes.py has cut them, that can be believed and count on this session.

    Of an attribute that stands there twice the first counts (RFC 7606 3 g). Raises TreatAsWithdraw.
    """
    known: list[bytes] = []
    unknown: list[tuple[int, int, bytes]] = []
    seen = {*(() if ibgp else _IBGP_ONLY), *(_AS2_ONLY if as4 else ())}
    rules = _RULES[as4]
    at, end = 0, len(plain)
    while at < end:
        flags, code = plain[at], plain[at + 1]
        extended = flags & _EXTENDED
        header = _LONG if extended else _SHORT
        after = at + header + int.from_bytes(plain[at + 2 : at + header], "big")
        value = plain[at + header : after]
        if code in seen:
            pass
        elif rule := rules.get(code):
            if fault := _fault(rule, flags, value):
                if not rule.discard:
                    raise TreatAsWithdraw(f"{AttributeCode(code).name}: {fault}")
            else:
                known.append(bytes((rule.kind | extended, code)) + plain[at + 2 : after])
        elif not flags & _OPTIONAL:
            # RFC 4271 6.3 would end the session; whoever we passed it on to would end ours.
            raise TreatAsWithdraw(f"attribute {code}: well-known by its flags 0x{flags:02x}, but not to us")
        elif flags & _TRANSITIVE:
            unknown.append((_KIND | _PARTIAL, code, value))
        seen.add(code)
        at = after
    return Vetted(b"".join(known), tuple(unknown))


def _fault(rule: Rule, flags: int, value: bytes) -> str:
    if flags & _KIND != rule.kind:
        return f"flags 0x{flags:02x}"
    return "" if rule.right(value) else f"malformed, {len(value)} octets"


def _exactly(size: int) -> Callable[[bytes], bool]:
    return lambda value: len(value) == size


def _some(size: int) -> Callable[[bytes], bool]:
    return lambda value: len(value) > 0 and len(value) % size == 0


def _aggregator(asn_size: int) -> Callable[[bytes], bool]:
    """AS 0 has aggregated nothing (RFC 7607 2)."""
    return lambda value: len(value) == asn_size + 4 and any(value[:asn_size])


def _as4_path(value: bytes) -> bool:
    """RFC 6793 6; what a confederation has left in there is cut out by the decoder, as it asks."""
    at = 0
    while at + 1 < len(value) and value[at] in _AS_PATH_SEGMENTS and value[at + 1]:
        at += 2 + 4 * value[at + 1]
    return 0 < at == len(value)


def _rules(asn_size: int) -> dict[int, Rule]:
    code = AttributeCode
    return {
        code.ORIGIN: Rule(_TRANSITIVE, _exactly(1)),
        code.AS_PATH: Rule(_TRANSITIVE, lambda value: True),
        code.NEXT_HOP: Rule(_TRANSITIVE, _exactly(4)),
        code.MULTI_EXIT_DISC: Rule(_OPTIONAL, _exactly(4)),
        code.LOCAL_PREF: Rule(_TRANSITIVE, _exactly(4)),
        code.ATOMIC_AGGREGATE: Rule(_TRANSITIVE, _exactly(0), discard=True),
        code.AGGREGATOR: Rule(_KIND, _aggregator(asn_size), discard=True),
        code.COMMUNITIES: Rule(_KIND, _some(4)),
        code.ORIGINATOR_ID: Rule(_OPTIONAL, _exactly(4)),
        code.CLUSTER_LIST: Rule(_OPTIONAL, _some(4)),
        code.EXTENDED_COMMUNITIES: Rule(_KIND, _some(8)),
        code.AS4_PATH: Rule(_KIND, _as4_path, discard=True),
        code.AS4_AGGREGATOR: Rule(_KIND, _aggregator(4), discard=True),
        code.LARGE_COMMUNITY: Rule(_KIND, _some(12)),
    }


_RULES = {True: _rules(4), False: _rules(2)}
