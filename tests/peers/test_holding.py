"""For how long do paths outlive their session? The rules of holding.py, with a clock of the test's own."""

from collections import Counter

import pytest

from speaker.bgp.events import Cause, Ended
from speaker.bgp.opening import Notification
from speaker.peers.holding import WINDOW, Fate, Holding, HoldLimits, Looks, Loss, Store, Told, what_it_says
from speaker.rib.source import Source
from tests.rib.paths import node

NODES = [node(f"10.0.0.{n}") for n in range(1, 11)]
N1, N2, N3 = NODES[:3]
LIMITS = HoldLimits(paths=120, last=600, share=50)

GONE = Looks(up=False, settled=False)
BACK = Looks(up=True, settled=False)
SETTLED = Looks(up=True, settled=True)

CLOSED = Ended(Cause.CONNECTION_LOST, True, text="the peer closed the connection")
SILENT = Ended(Cause.HOLD_TIMER, True)
OURS = Ended(Cause.NOTIFICATION_SENT, True)


def cease(subcode: int) -> Ended:
    """The node has ended the session with a Cease."""
    return Ended(Cause.NOTIFICATION_RECEIVED, True, Notification(6, subcode, "Cease"))


class Tables:
    """Paths of each node, `last` of them its alone; what is announced again is taken off `stale`."""

    def __init__(self, paths: int = 5, last: int = 1) -> None:
        self.paths, self.last = paths, last
        self.stale: Counter[Source] = Counter()
        self.holding = Holding(Store(self.mark, self.forget, self.drop, self.stale.__getitem__), LIMITS)

    def mark(self, source: Source) -> None:
        self.stale[source] = self.paths

    def forget(self, source: Source) -> None:
        self.stale[source] = 0

    def drop(self, source: Source, but_last: bool) -> int:
        left = min(self.stale[source], self.last) if but_last else 0
        gone, self.stale[source] = self.stale[source] - left, left
        return gone

    def lose(self, *sources: Source, ended: Ended = CLOSED, now: float = 0.0, of: int = 10) -> None:
        """These of so many nodes, one after the other."""
        for at, source in enumerate(sources, 1):
            self.holding.lost(source, ended, now, of - at)

    def look(self, now: float, seen: Looks = GONE) -> list[tuple[Fate, int, int]]:
        """What has ended by now, all nodes looking alike: fate, how many paths went, how many stay."""
        return [(told.fate, told.dropped, told.left) for told in self.holding.look(now, lambda _: seen)]


@pytest.mark.parametrize(
    ("ended", "loss"),
    [
        (
            CLOSED,
            Loss.RESTART,
        ),  # MetalLB native, whatever the reason; FRR at SIGKILL, and at SIGTERM as it is offered GR
        (cease(3), Loss.RESTART),  # FRR at SIGTERM without GR, and when it is taken out of its configuration
        (cease(4), Loss.RESTART),  # `clear bgp`
        (cease(2), Loss.ENDED),  # `neighbor shutdown`, `no router bgp`
        (cease(9), Loss.ENDED),  # RFC 8538: the routes shall go
        (SILENT, Loss.SILENT),
        (OURS, Loss.ENDED),
        (Ended(Cause.STOPPED, True, Notification(6, 1, "Cease")), Loss.ENDED),  # max_prefixes
        (Ended(Cause.STOPPED, True), Loss.RESTART),  # given up by us for its next call
    ],
)
def test_the_end_of_a_session_tells_a_restart_from_the_rest(ended: Ended, loss: Loss) -> None:
    """As measured with FRR and MetalLB."""
    assert what_it_says(ended) is loss


def test_a_restart_is_held_and_then_only_its_last_paths() -> None:
    """Rules 1 and 4, each to the end of its time."""
    tables = Tables()
    tables.lose(N1)
    assert tables.look(119) == []
    assert tables.look(120) == [(Fate.EXPIRED, 4, 1)]
    assert tables.look(599) == []
    assert tables.look(600) == [(Fate.EXPIRED, 1, 0)]
    assert not tables.holding.held


def test_of_a_silent_node_only_the_last_paths_stay() -> None:
    """Rule 2: the others have somewhere to go."""
    tables = Tables()
    tables.lose(N1, ended=SILENT)
    assert tables.look(0) == [(Fate.SILENT, 4, 1)]


@pytest.mark.parametrize("ended", [OURS, cease(2)])
def test_what_ends_on_purpose_is_not_held(ended: Ended) -> None:
    """Rule 3, the last paths too."""
    tables = Tables()
    tables.lose(N1, ended=ended)
    assert tables.stale[N1] == 0
    assert not tables.holding.held


def test_nothing_is_held_where_the_settings_say_so() -> None:
    """`hold_paths: 0s`."""
    tables = Tables()
    tables.holding.limits = HoldLimits(0, 600, 50)
    tables.lose(*NODES)
    assert not tables.holding.held


@pytest.mark.parametrize(
    ("seen", "fate"), [(GONE._replace(ready=False), Fate.NOT_READY), (GONE._replace(alive=False), Fate.DEAD)]
)
def test_a_node_that_is_known_to_be_gone_is_not_held(seen: Looks, fate: Fate) -> None:
    """Rule 6, at any time."""
    tables = Tables()
    tables.lose(N1)
    assert tables.look(1) == []
    assert tables.look(2, seen) == [(fate, 5, 0)]


def test_a_node_that_leaves_the_roster_is_not_held() -> None:
    """Rule 6, in a mass failure too."""
    tables = Tables()
    tables.lose(*NODES)
    assert tables.holding.removed(N1, 3) == Told(N1, Fate.REMOVED, 5, 0, 3)
    assert tables.stale[N1] == 0


def test_a_node_that_is_back_loses_what_it_does_not_announce_again() -> None:
    """Rule 7: once it has said all it has, and not before."""
    tables = Tables()
    tables.lose(N1)
    tables.stale[N1] = 2
    assert tables.look(8, BACK) == []
    assert tables.look(9, SETTLED) == [(Fate.SETTLED, 2, 0)]


def test_a_node_that_announces_everything_again_has_lost_nothing() -> None:
    """It is told as such."""
    tables = Tables()
    tables.lose(N1)
    tables.stale[N1] = 0
    assert tables.look(8, BACK) == [(Fate.REFRESHED, 0, 0)]


def test_a_speaker_that_crashes_in_a_loop_is_not_held_for_ever() -> None:
    """Rule 8."""
    tables = Tables()
    tables.lose(N1)
    tables.lose(N1, now=100)
    assert tables.look(120) == [(Fate.EXPIRED, 4, 1)]


def test_many_nodes_lost_at_once_are_held_for_longer() -> None:
    """Rule 5, also those that were lost before it was clear; what the cluster says of them does not count."""
    tables = Tables()
    tables.lose(*NODES[:5])
    assert tables.holding.mass is None
    tables.lose(NODES[5], of=5)
    mass = tables.holding.mass
    assert mass is not None
    assert (mass.lost, mass.of) == (6, 10)
    assert tables.look(599, GONE._replace(ready=False, alive=False)) == []
    assert tables.look(600) == [(Fate.EXPIRED, 5, 0)] * 6
    assert tables.holding.mass is None


def test_losses_far_apart_are_no_mass_failure() -> None:
    """Each alone is a node that restarts."""
    tables = Tables()
    for at, one in enumerate(NODES):
        tables.lose(one, now=at * WINDOW, of=10 - at)
    assert tables.holding.mass is None


def test_a_rollout_from_node_to_node_is_no_mass_failure() -> None:
    """Who is back does not count as lost."""
    tables = Tables()
    for at, one in enumerate(NODES):
        tables.lose(one, now=at)
        tables.stale[one] = 0
        assert tables.look(at + 0.5, BACK) == [(Fate.REFRESHED, 0, 0)]
    assert tables.holding.mass is None


def test_one_node_alone_is_no_mass_failure() -> None:
    """However few there are: its paths are the last ones anyway."""
    tables = Tables(paths=1)
    tables.lose(N1, of=1)
    assert tables.holding.mass is None
    assert tables.look(599) == []
