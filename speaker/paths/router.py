"""What is each session of one router sent? Holds its path modes and Adj-RIB-Outs together.

A router has one session a lane, most often one. Per family it has one mode, chosen anew whenever a session comes up
(choose.py): if another fits then, the sessions that are up move over without a withdrawal of what stays.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from speaker.bgp.attributes import Attributes, Encoded
from speaker.bgp.iana import Family
from speaker.bgp.opening import Negotiated
from speaker.bgp.update import AdjRibOut
from speaker.paths.base import ModeName, NotPlaced, PathMode, Placement
from speaker.paths.choose import Choice, build, choose
from speaker.rib.reflection import Exporter, Stance, Withheld, withheld
from speaker.rib.source import Source
from speaker.rib.table import Change, Table

#: The identifier of a path that a mode sends without one, on a session that must have one (RFC 7911 3). Lanes and
#: spread have one path a prefix, so it never changes.
ONLY_PATH = bytes((0, 0, 0, 1))


@dataclass(slots=True)
class _Lane:
    """One session that is up."""

    negotiated: Negotiated
    outs: dict[Family, AdjRibOut]
    exporters: dict[Family, Exporter]
    end_of_rib: bool = False


@dataclass(slots=True)
class _FamilyPaths:
    """One family of the router while it has a session.

    withheld    what was placed but must not be sent: on which lane, under which identifier, of which prefix
    waiting     changes of the table that the mode has not seen yet
    """

    choice: Choice
    mode: PathMode
    withheld: dict[tuple[int, bytes, bytes], Withheld] = field(default_factory=dict)
    waiting: list[Change] = field(default_factory=list)


class RouterPaths:
    """The paths of one router.

    lanes       how many sessions are configured
    configured  the mode asked for, None for `auto`
    max_paths   paths of a prefix at most, None for all
    hold        nodes are still coming back after a start. A router that has kept our routes over it is then sent
                nothing where a prefix has few seats: the first node back would get them all, and lose them again.
                With ADD-PATH a path that is back replaces its own old self, so nothing need wait.
    """

    def __init__(
        self,
        tables: Mapping[Family, Table],
        lanes: int,
        configured: ModeName | None,
        max_paths: int | None,
        *,
        hold: bool = False,
    ) -> None:
        self._tables = tables
        self._count = lanes
        self._configured = configured
        self._max_paths = max_paths
        self._hold = hold
        self._held: set[tuple[Family, int]] = set()
        self._adopted: dict[tuple[Family, int], Mapping[bytes, bytes]] = {}
        self._gathering = False
        self._lanes: dict[int, _Lane] = {}
        self._families: dict[Family, _FamilyPaths] = {}
        self._ibgp = True

    # --- sessions ---

    def adopt(self, lane: int, held: Mapping[Family, Mapping[bytes, bytes]]) -> None:
        """What the router holds over a lane from before, by another process of ours: next hops by prefix, of each
        family. Kept until the lane opens."""
        for family, next_hops in held.items():
            self._adopted[family, lane] = next_hops

    def held(self) -> list[dict[Family, dict[bytes, bytes]]]:
        """What the router holds over each lane, in the form of `adopt`; nothing over lanes that are down, and nothing
        of families with ADD-PATH, where a prefix may have several paths on a lane."""
        found: list[dict[Family, dict[bytes, bytes]]] = [{} for _ in range(self._count)]
        for family, paths in self._families.items():
            for lane, next_hops in paths.mode.carried().items():
                if lane in self._lanes:
                    found[lane][family] = next_hops
        return found

    def session_up(self, lane: int, negotiated: Negotiated, stance: Stance) -> dict[Family, Choice]:
        """A session is established: fills it, and says which modes are in force now."""
        self._ibgp = negotiated.ibgp
        self._lanes[lane] = _Lane(
            negotiated,
            {family: AdjRibOut(family, negotiated.max_size) for family in negotiated.families},
            {family: self._exporter(stance, family) for family in negotiated.families},
        )
        for family in negotiated.families:
            choice = choose(family, self._offers(family), self._count, self._configured)
            held = self._families.get(family)
            if held is not None and held.choice.mode is choice.mode:
                held.choice = choice
                self._open(family, [lane])
            else:
                self._start_mode(family, choice)
        return {family: held.choice for family, held in self._families.items()}

    def session_down(self, lane: int) -> None:
        """A session is gone; what it carried moves where it fits."""
        gone = self._lanes.pop(lane, None)
        if gone is None:
            return
        for family in gone.outs:
            self._held.discard((family, lane))
            paths = self._families[family]
            paths.withheld = {key: why for key, why in paths.withheld.items() if key[0] != lane}
            self._place(family, paths.mode.lane_down(lane))

    def set_stance(self, lane: int, stance: Stance) -> None:
        """What the router sees of a path has changed: sends what looks different now."""
        held = self._lanes.get(lane)
        if held is not None:
            for family in held.outs:
                held.exporters[family] = self._exporter(stance, family)
                self._place(family, self._families[family].mode.resend(lane))

    def refresh(self, lane: int, family: Family) -> None:
        """The router asks for all of this family again (RFC 2918, RFC 7313)."""
        held = self._lanes[lane]
        if family in held.outs:
            held.outs[family].refresh(enhanced=held.negotiated.enhanced_refresh)

    def release(self) -> None:
        """The nodes are back, as far as they will be: what was held goes out."""
        self._hold = False
        held, self._held = self._held, set()
        for family in {family for family, _ in held}:
            self._open(family, sorted(lane for of, lane in held if of is family))

    def end_of_rib(self) -> None:
        """The table is whole: every session that was not told yet is, after its routes (RFC 4724 2)."""
        if not self._gathering:
            self._withdraw_stale()
        for held in self._lanes.values():
            if not held.end_of_rib:
                held.end_of_rib = True
                for out in held.outs.values():
                    out.end_of_rib()

    def gather(self) -> None:
        """Sessions of another process of ours come up now, one after the other: none is filled before all are there."""
        self._gathering = True

    def inherit(
        self, lane: int, held: Mapping[Family, Mapping[bytes, Mapping[bytes, bytes]]], *, told_end: bool
    ) -> None:
        """The session of this lane, which has come up just now, is one that another process had filled with this: by
        path identifier and prefix the next hops. `told_end`: its End-of-RIB too."""
        for family, out in self._lanes[lane].outs.items():
            there = held.get(family, {})
            out.inherit(there)
            self._adopted[family, lane] = {
                prefix: hop for prefixes in there.values() for prefix, hop in prefixes.items()
            }
        self._lanes[lane].end_of_rib = told_end

    def gathered(self, *, whole: bool) -> None:
        """All are there. What they carry and we do not have goes at once where our tables are `whole`, else when they
        are."""
        self._gathering = False
        held, self._held = self._held, set()
        for family in {family for family, _ in held}:
            self._open(family, sorted(lane for of, lane in held if of is family))
        if whole:
            self._withdraw_stale()

    def may_keep_stale(self, lane: int) -> bool:
        """Whether the router may hold several stale paths of a prefix: by ADD-PATH, over a restart of ours."""
        held = self._lanes.get(lane)
        return held is not None and held.negotiated.graceful is not None and bool(held.negotiated.add_path_send)

    def repeat_end_of_rib(self, lane: int) -> None:
        """Says it once more: FRR (8.4.4, measured) drops with each only one of the stale paths of a prefix. To other
        routers it says nothing new."""
        held = self._lanes[lane]
        for family in held.negotiated.add_path_send:
            held.outs[family].end_of_rib()

    # --- routes ---

    def apply(self, changes: Mapping[Family, Sequence[Change]], *, more: bool = False) -> None:
        """The tables have changed. With `more` to come, modes that pick wait for it."""
        for family, held in self._families.items():
            held.waiting += changes.get(family, ())
            if held.waiting and not (more and held.mode.picks):
                waiting, held.waiting = held.waiting, []
                self._place(family, held.mode.apply(waiting))

    def waits(self) -> bool:
        """Whether a mode has not seen all changes."""
        return any(held.waiting for held in self._families.values())

    def take(self, lane: int, budget: int) -> bytes:
        """The next octets for a session, see AdjRibOut.take."""
        held = self._lanes.get(lane)
        if held is None:
            return b""
        return b"".join(out.take(budget) for out in held.outs.values() if not out.idle)

    def take_count(self, lane: int) -> int:
        """Messages that `take` has given for a session since this was last asked."""
        outs = self.outs(lane).values()
        count = sum(out.messages for out in outs)
        for out in outs:
            out.messages = 0
        return count

    def idle(self, lane: int) -> bool:
        """True when nothing is to be sent on a session."""
        held = self._lanes.get(lane)
        return held is None or all(out.idle for out in held.outs.values())

    # --- to look at ---

    def choices(self) -> dict[Family, Choice]:
        """The modes in force, for families with a session."""
        return {f: h.choice for f, h in self._families.items() if self._offers(f)}

    def outs(self, lane: int) -> Mapping[Family, AdjRibOut]:
        """What a session was sent and is to be sent; empty while it is down."""
        held = self._lanes.get(lane)
        return {} if held is None else held.outs

    def end_of_rib_sent(self, lane: int) -> bool:
        """Whether End-of-RIB is sent, or last in line, on a session."""
        held = self._lanes.get(lane)
        return held is not None and held.end_of_rib

    def where(self, family: Family, prefix: bytes) -> dict[Source, int | NotPlaced | Withheld]:
        """For each path of a prefix the lane that carries it, or why none does."""
        held = self._families.get(family)
        if held is None or not self._offers(family):
            return dict.fromkeys(self._tables[family].paths(prefix), NotPlaced.SESSION_DOWN)
        named = held.choice.mode is ModeName.ADDPATH
        paths = self._tables[family].paths(prefix)

        def sent(source: Source, place: int | NotPlaced) -> int | NotPlaced | Withheld:
            if isinstance(place, NotPlaced):
                return withheld(paths[source], ibgp=self._ibgp) or place
            return held.withheld.get((place, source.path_id if named else b"", prefix), place)

        return {source: sent(source, place) for source, place in held.mode.where(prefix).items()}

    # --- inside ---

    def _withdraw_stale(self) -> None:
        for held in self._lanes.values():
            for out in held.outs.values():
                out.withdraw_stale()

    def _offers(self, family: Family) -> list[Negotiated]:
        return [held.negotiated for held in self._lanes.values() if family in held.outs]

    def _may_see(self, attributes: Attributes) -> bool:
        """Whether the router may see paths with these; it is in our AS, or not, on all its lanes alike."""
        return withheld(attributes, ibgp=self._ibgp) is None

    def _exporter(self, stance: Stance, family: Family) -> Exporter:
        """One for all lanes that see the same, so that a set is encoded once."""
        known = (held.exporters.get(family) for held in self._lanes.values())
        return next((e for e in known if e is not None and e.stance == stance), None) or Exporter(stance, family)

    def _start_mode(self, family: Family, choice: Choice) -> None:
        """Puts a mode to work on the lanes that are up, and withdraws what the one before sent and it does not."""
        mode = build(choice.mode, self._tables[family], self._count, self._max_paths, self._may_see)
        self._families[family] = _FamilyPaths(choice, mode)
        lanes = [(lane, held.outs[family]) for lane, held in self._lanes.items() if family in held.outs]
        for _, out in lanes:
            out.withdraw_all()
        self._open(family, [lane for lane, _ in lanes])

    def _open(self, family: Family, lanes: Sequence[int]) -> None:
        """Lanes begin to carry a family. What each has from before is known before the first is filled."""
        held = self._families[family]
        opened = []
        for lane in lanes:
            waits = held.choice.mode is not ModeName.ADDPATH and self._lanes[lane].negotiated.graceful
            if self._gathering or (self._hold and waits):
                self._held.add((family, lane))
            else:
                opened.append(lane)
                held.mode.adopt(lane, self._adopted.pop((family, lane), {}))
        if opened:
            self._place(family, held.mode.lanes_up(opened))

    def _place(self, family: Family, placements: Iterable[Placement]) -> None:
        """Turns placements into wishes of the Adj-RIB-Outs."""
        kept_back = self._families[family].withheld
        for lane, path_id, prefixes, path in placements:
            held = self._lanes.get(lane)
            if held is None or family not in held.outs:
                continue
            out = held.outs[family]
            wire_id = (path_id or ONLY_PATH) if family in held.negotiated.add_path_send else b""
            encoded = None if path is None else held.exporters[family](*path)
            if isinstance(encoded, Encoded):
                out.announce(wire_id, prefixes, encoded)
            else:
                out.withdraw(wire_id, prefixes)
            if isinstance(encoded, Withheld):
                kept_back.update(((lane, path_id, prefix), encoded) for prefix in prefixes)
            elif kept_back:
                for prefix in prefixes:
                    kept_back.pop((lane, path_id, prefix), None)
