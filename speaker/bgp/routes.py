"""What does an UPDATE announce and withdraw? (RFC 4271 4.3, RFC 4760, RFC 7606)

A reader belongs to one session. It decodes each distinct set of attributes once and remembers it, so that the
routes of a node that come later cost one dictionary look-up a run (framing.py).
"""

from speaker.bgp import codec
from speaker.bgp.attributes import Attributes, Sliced, parse_reach, parse_unreach, slice_attributes
from speaker.bgp.errors import ProtocolError, TreatAsWithdraw
from speaker.bgp.events import Announced, EndOfRib, Event, Ignored, Withdrawn
from speaker.bgp.framing import Update
from speaker.bgp.iana import ErrorCode, Family, UpdateSubcode
from speaker.bgp.nlri import split, split_run
from speaker.bgp.opening import Negotiated

#: Distinct attribute sets that a session remembers; a node has a handful. Past it all are forgotten, which
#: costs decoding again and nothing else.
REMEMBERED = 1024

_IPV4_OCTETS = 4


class RouteReader:
    """Reads the UPDATEs of a session that has agreed on `negotiated`."""

    def __init__(self, negotiated: Negotiated) -> None:
        self._negotiated = negotiated
        self._learned: dict[object, Attributes | str] = {}

    def read(self, update: Update, events: list[Event]) -> None:
        """Appends what the UPDATE says to `events`.

        Raises ProtocolError where prefixes cannot be found in it; attributes that cannot be believed make a
        withdrawal with a reason instead (RFC 7606 2).
        """
        if update.withdrawn:
            self._withdraw(events, Family.IPV4, update.withdrawn)
        field = update.attributes
        if not field:
            if update.announced:
                self._announce(events, Family.IPV4, "ORIGIN: missing", update.announced)
            elif not update.withdrawn:
                events.append(EndOfRib(Family.IPV4))
            return
        learned = self._learned.get(field)
        if learned is None:
            sliced = slice_attributes(field)
            if sliced.reach is not None or sliced.unreach is not None:
                self._multiprotocol(events, sliced, more=bool(update.announced))
            elif sliced.broken and not update.announced and not update.withdrawn:
                # RFC 7606 3 j: its routes are in what cannot be read, so there is nothing to withdraw.
                raise ProtocolError(ErrorCode.UPDATE_MESSAGE, UpdateSubcode.MALFORMED_ATTRIBUTE_LIST, sliced.broken)
            if not update.announced:
                return
            # With MP_REACH_NLRI in it the field differs each time, so it is no key to remember.
            key = field if sliced.reach is None and sliced.unreach is None else (sliced.plain, b"")
            learned = self._learned.get(key) or self._learn(key, sliced, None)
        if update.announced:
            self._announce(events, Family.IPV4, learned, update.announced)

    def _multiprotocol(self, events: list[Event], sliced: Sliced, *, more: bool) -> None:
        """RFC 4760. `more` says that the UPDATE has an NLRI field of its own too."""
        if sliced.unreach is not None:
            family, field = parse_unreach(sliced.unreach)
            if family is not None and not field and not sliced.codes and sliced.reach is None and not more:
                events.append(EndOfRib(family))
            else:
                self._withdraw(events, family, field)
        if sliced.reach is not None:
            reach = parse_reach(sliced.reach)
            learned: Attributes | str
            if reach.family is Family.IPV4 and len(reach.next_hop) != _IPV4_OCTETS:
                learned = "MP_REACH_NLRI: an IPv6 next hop of IPv4 prefixes, which was not agreed on (RFC 8950)"
            else:
                key = (sliced.plain, reach.next_hop)
                learned = self._learned.get(key) or self._learn(key, sliced, reach.next_hop)
            self._announce(events, reach.family, learned, [reach.nlri])

    def _learn(self, key: object, sliced: Sliced, next_hop: bytes | None) -> Attributes | str:
        """Decodes a set of attributes for the first time: the set, or why it is treated as a withdrawal."""
        learned: Attributes | str
        try:
            learned = codec.decode_attributes(
                sliced, as4=self._negotiated.as4, ibgp=self._negotiated.ibgp, next_hop=next_hop
            )
        except TreatAsWithdraw as fault:
            learned = fault.reason
        if len(self._learned) >= REMEMBERED:
            self._learned.clear()
        self._learned[key] = learned
        return learned

    def _announce(
        self, events: list[Event], family: Family | None, learned: Attributes | str, fields: list[bytes]
    ) -> None:
        if family is None or family not in self._negotiated.families:
            events.append(_foreign(family))
            return
        prefixes = split_run(fields, family)
        if isinstance(learned, str):
            events.append(Withdrawn(family, prefixes, learned))
        elif prefixes:
            events.append(Announced(family, learned, prefixes))

    def _withdraw(self, events: list[Event], family: Family | None, field: bytes) -> None:
        if family is None or family not in self._negotiated.families:
            events.append(_foreign(family))
        elif field:
            events.append(Withdrawn(family, split(field, family)))


def _foreign(family: Family | None) -> Ignored:
    return Ignored(f"routes of a family that was not agreed on: {family or 'unknown to us'}")
