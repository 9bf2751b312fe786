"""Fail static: what becomes of the traffic when the cluster's own brain is away?"""

import signal
import time
from collections.abc import Iterator

import pytest

from tests.e2e import objects
from tests.e2e.kubelet import Pod
from tests.e2e.world import MEMBERS, TRAEFIK, Ping, World
from tests.lab import Host, holds_for, wait_until

NOTICED = 30.0
"""Seconds until Onepeer says that it hears nothing: a watch ends after 15 to 18 s, its deadline is 5 s later."""
ETCD_AWAY = 25.0
"""Seconds: longer than a watch, so that each has to be opened anew meanwhile."""
BACK = 30.0
"""Seconds until it says that all is well again."""


@pytest.fixture
def pod(running: World) -> Iterator[Pod]:
    """Onepeer's pod, all nodes up; afterwards the roster is current again and follows the Nodes."""
    assert running.pod is not None
    running.all_up(*MEMBERS)
    yield running.pod
    wait_until(lambda: _problem(running.pod) is None, BACK, "the roster is current", seen=running.story, every=0.2)
    _follows(running)


def test_the_api_server_is_killed_for_a_minute_and_not_a_packet_is_lost(running: World, pod: Pod) -> None:
    """Sessions, routes and traffic stay; status, metrics and log say since when. Then all goes on by itself."""
    established = _established(pod)
    ping = Ping(running, TRAEFIK)
    running.cluster.kill_api()
    try:
        problem = _a_minute_without(running, pod)
    finally:
        running.cluster.start_api()
    began = time.monotonic()
    wait_until(lambda: _problem(pod) is None, BACK, "the roster is current again", seen=pod.output, every=0.1)
    back = time.monotonic() - began
    lost, sent = ping.lost()
    print(
        f"\nAPI server away for a minute: {lost} of {sent} packets lost; current again {back:.1f} s after it was ready"
    )
    print(f"meanwhile: {problem}")
    assert lost == 0
    assert _established(pod) == established, "a session was lost"


def _a_minute_without(running: World, pod: Pod) -> str:
    """What it looks like when the API server is away for a minute; what status tells of it."""
    killed = time.time()
    problem = wait_until(lambda: _problem(pod), NOTICED, "status tells that the API server is away")
    assert abs(pod.status()["roster"]["since"] - killed) < NOTICED, pod.status()["roster"]
    assert pod.events("roster_problem")
    time.sleep(max(0.0, 60 - (time.time() - killed)))
    stale = next(line for line in pod.metrics().splitlines() if line.startswith("onepeer_roster_stale_seconds"))
    # Since it was last heard: an idle watch says nothing for up to 18 s.
    assert 30 < float(stale.split()[1]) < 85, stale
    assert running.up() == set(MEMBERS)
    assert pod.probe("livenessProbe") == 200, "a restart would not help"
    assert pod.probe("readinessProbe") == 200, "the router has all it should"
    return problem


def test_etcd_is_killed(running: World, pod: Pod) -> None:
    """The API server then answers watches out of its memory, and every write with an error."""
    established = _established(pod)
    ping = Ping(running, TRAEFIK)
    running.cluster.kill_etcd()
    try:
        wait_until(lambda: not running.cluster.ready(), BACK, "the API server says that it is not ready", every=0.2)
        holds_for(lambda: running.up() == set(MEMBERS), ETCD_AWAY, "every session is up")
    finally:
        running.cluster.start_etcd()
        wait_until(running.cluster.ready, BACK, "the API server is ready again", every=0.2)
    lost, sent = ping.lost()
    assert lost == 0, f"{lost} of {sent} packets lost"
    assert _established(pod) == established, "a session was lost"


def test_a_black_hole_between_onepeer_and_the_api_server(running: World, pod: Pod) -> None:
    """Packets vanish, and TCP says nothing: the watch must not hang."""
    with Dropping(running.cluster.host, pod.host):
        begun = time.monotonic()
        wait_until(lambda: _problem(pod), NOTICED, "the silence is noticed", seen=pod.output)
        print(f"\na black hole was noticed after {time.monotonic() - begun:.1f} s")
        running.cluster.apply(objects.node("meanwhile", "192.168.3.201"))
        assert running.up() == set(MEMBERS)
    ended = time.monotonic()
    try:
        wait_until(lambda: "meanwhile" in str(pod.status()["nodes_down"]), BACK, "it is seen", seen=pod.output)
        print(f"a Node that had come meanwhile was seen {time.monotonic() - ended:.1f} s after its end")
    finally:
        running.cluster.delete("nodes", "meanwhile")


def test_an_api_server_that_takes_calls_and_says_nothing(running: World, pod: Pod) -> None:
    """Stopped in mid-air (SIGSTOP): its kernel still acknowledges everything."""
    running.cluster.signal_api(signal.SIGSTOP)
    try:
        wait_until(lambda: _problem(pod), NOTICED, "the silence is noticed", seen=pod.output)
        assert running.up() == set(MEMBERS)
    finally:
        running.cluster.signal_api(signal.SIGCONT)


def test_onepeer_restarts_while_the_api_server_is_away(running: World, pod: Pod) -> None:
    """It starts from its last saved roster and prefixes: the nodes are back, and so are their routes."""
    running.cluster.kill_api()
    try:
        pod.crash()
        pod.start()
        wait_until(lambda: running.up() >= {"leviathan1", "leviathan2"}, 20, "native nodes are back", seen=pod.output)
        running.two_minutes_pass()
        running.all_up(*MEMBERS)
        running.routed(TRAEFIK, *MEMBERS)
        running.reached(TRAEFIK, *MEMBERS)
        assert _problem(pod)
    finally:
        running.cluster.start_api()


class Dropping:
    """No packet passes between two hosts, and nobody is told."""

    def __init__(self, one: Host, other: Host) -> None:
        self._host, self._other = one, other.v4

    def __enter__(self) -> None:
        drops = (("input", "saddr"), ("output", "daddr"))
        chains = [
            f"chain {hook} {{\n type filter hook {hook} priority 0;\n ip {end} {self._other} drop;\n}}\n"
            for hook, end in drops
        ]
        self._host.run("nft", f"table ip hole {{\n{''.join(chains)}}}\n")

    def __exit__(self, *_: object) -> None:
        self._host.run("nft", "delete table ip hole")


def _problem(pod: Pod | None) -> str | None:
    assert pod is not None
    problem: str | None = pod.status()["roster"]["problem"]
    return problem


def _established(pod: Pod) -> dict[str, int]:
    """How often each node's session came up."""
    nodes = pod.ask("nodes")["nodes"]
    return {node["name"]: sum(one["session"]["established_count"] for one in node["sessions"]) for node in nodes}


def _follows(world: World) -> None:
    """A Node that comes now is in the roster within seconds."""
    assert world.pod is not None
    pod = world.pod

    def written() -> bool:
        world.cluster.apply(objects.node("probe", "192.168.3.200"))
        return True

    # A write that the API server takes up just as etcd comes back can hang until it times out.
    wait_until(written, BACK, "a Node is written")
    wait_until(lambda: "probe" in str(pod.status()["nodes_down"]), 10, "a new Node is seen", seen=pod.output)
    world.cluster.delete("nodes", "probe")
    wait_until(lambda: "probe" not in str(pod.status()["nodes_down"]), 10, "its end is seen", seen=pod.output)
