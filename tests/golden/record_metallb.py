#!/usr/bin/env python3
"""Records the sessions of MetalLB's speakers anew: `record_metallb.py [CASE]...`, as root; all unless named.

A speaker dials, so the raw peer listens. Case `behaviour` records nothing: it prints what the native speaker does
when a session does not go as it should, with the seconds that README.md quotes.
"""

import asyncio
import functools
import itertools
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import golden_behaviour
import golden_tshark
from golden_cluster import PEER4, PEER6, Cluster, advertisement, listening, peer, pool, service
from golden_frrk8s import FrrK8s
from golden_net import Lab, run
from golden_peer import PLAIN, RawPeer, open_message

HERE = Path(__file__).parent
COMES_AND_GOES = "192.168.30.22"
BLOCK = "192.168.31.0/24"
MANY = tuple(f"192.168.32.{index}" for index in range(100))
ASN = 64512


@dataclass(frozen=True, slots=True)
class Case:
    """One session to be recorded, into metallb-NAME.json."""

    name: str
    what: str
    hold_time: int = 90  # seconds, offered by the peer
    address: str = PEER4
    speaker: dict[str, Any] = field(default_factory=dict)  # of its BGPPeer
    many: bool = False  # MANY come at the start and go all at once, instead of COMES_AND_GOES

    @property
    def native(self) -> bool:
        """MetalLB's own BGP; else FRR, by frr-k8s."""
        return self.name.startswith("native-")


NATIVE = "MetalLB's native speaker"
FRR_K8S = "MetalLB in its frr-k8s mode"
# Of FRR's BGPPeers: it would dial every 120 s only, and sends one family unless told otherwise.
DIALS = {"connectTime": "1s", "dualStackAddressFamily": True}
CASES = (
    Case(
        "native-ibgp",
        f"{NATIVE} in the same AS: a prefix comes and goes, another one's LOCAL_PREF changes, ended by SIGTERM.",
    ),
    Case(
        "native-ebgp",
        f"{NATIVE} in another AS, with a hold time of 9 s, so that several KEEPALIVEs are among the bytes.",
        hold_time=9,
        speaker={"my_asn": 65010},
    ),
    Case("native-ebgp-as4", f"{NATIVE} in an AS above 65535.", speaker={"my_asn": 4200000010}),
    Case("native-many", f"{NATIVE} with 100 services more, whose BGPAdvertisement is deleted.", many=True),
    Case(
        "frr-k8s-ibgp",
        f"{FRR_K8S} in the same AS, with IPv6 beside IPv4, ended by deleting the BGPPeer.",
        speaker=DIALS,
    ),
    Case(
        "frr-k8s-ibgp-over-ipv6",
        f"{FRR_K8S} in the same AS, the TCP session over IPv6, ended by deleting the BGPPeer.",
        address=PEER6,
        speaker=DIALS,
    ),
    Case(
        "frr-k8s-ebgp", f"{FRR_K8S} in another AS, ended by deleting the BGPPeer.", speaker={"my_asn": 65010, **DIALS}
    ),
)


def announced(**spec: Any) -> dict[str, Any]:
    """The advertisement of the pool that most services take their address from."""
    return advertisement("services", ["services"], communities=["64512:100"], **spec)


def prepare(cluster: Cluster) -> None:
    """The pools and the services that every case starts with."""
    cluster.start()
    cluster.apply(
        pool("services", "192.168.30.0/24"),
        pool("block", BLOCK),
        announced(),
        advertisement("block", ["block"], aggregationLength=24, localPref=100),
        *service("traefik", "192.168.30.1"),
        *service("in-block", "192.168.31.5"),
    )


def add_many(cluster: Cluster) -> None:
    """MANY, with a pool and an advertisement of their own."""
    services = (service(f"many-{index}", address) for index, address in enumerate(MANY))
    cluster.apply(pool("many", "192.168.32.0/24"), advertisement("many", ["many"]))
    cluster.apply(*itertools.chain.from_iterable(services))


def prepare_frr_k8s(cluster: Cluster) -> None:
    """What its cases have beyond that: IPv6, which MetalLB refuses to know in its native mode."""
    FrrK8s(cluster).start()
    cluster.apply(pool("six", "fd00:30::/64"), advertisement("six", ["six"]), *service("six", "fd00:30::1"))
    cluster.start_speaker("frr-k8s", FRRK8S_NAMESPACE="frr-k8s-system")


async def session(cluster: Cluster, case: Case) -> bytes:
    """One whole session; returns what the speaker sent."""
    act = asyncio.to_thread
    remove = functools.partial(cluster.delete, "bgppeer", "onepeer", namespace="metallb-system")
    steps: list[Callable[[], None]] = [
        lambda: cluster.apply(*service("gitea", COMES_AND_GOES)),
        lambda: cluster.delete("service", "gitea"),
        lambda: cluster.apply(announced(localPref=150)),
        cluster.stop_speaker if case.native else remove,
    ]
    if case.many:
        await act(add_many, cluster)
        steps[:3] = [lambda: cluster.delete("bgpadvertisement", "many", namespace="metallb-system")]
    async with listening(cluster, case.address) as calls:
        await act(cluster.apply, peer(case.address, **case.speaker))
        if case.native:
            # On one CPU it cannot send while it is counting: several withdrawals come in one message.
            await act(functools.partial(cluster.start_speaker, **({"GOMAXPROCS": "1"} if case.many else {})))
        _, reader, writer = await asyncio.wait_for(calls.get(), 60)
        raw = RawPeer(open_message(ASN, case.hold_time, PEER4, PLAIN))
        await raw.attach(reader, writer)
        await raw.established()
        await raw.quiet(7 if case.hold_time == 9 else 4)
        for step in steps:
            # frr-k8s applies a change line by line, and FRR looks at changed route maps 5 s later.
            await raw.after(step, quiet=2 if case.native else 10)
        await asyncio.wait_for(raw.closed.wait(), 10)
        await raw.end()
    await act(remove)
    await act(cluster.apply, announced(localPref=0))
    if case.many:
        await act(cluster.delete, "service", *(f"many-{index}" for index in range(len(MANY))))
    return raw.stream


def write(case: Case, stream: bytes) -> None:
    """Check a recording and put it into its file."""
    opening = open_message(ASN, case.hold_time, PEER4, PLAIN)
    expect = golden_tshark.decode(opening, stream)
    gone = {f"{address}/32" for address in (MANY if case.many else [COMES_AND_GOES])}
    announce = {"192.168.30.1/32", BLOCK, *gone, *(() if case.native else ("fd00:30::1/128",))}
    for key, wanted in (("announce", announce), ("withdraw", gone)):
        read = {prefix for one in expect["messages"] for prefix, _ in one.get(key, ())}
        if read != wanted:
            raise ValueError(
                f"{case.name}: {key}: {read} instead of {wanted}\n{golden_tshark.dump({'expect': expect})}"
            )
    frr = "" if case.native else f", frr-k8s 0.0.20, frr {run('dpkg-query', '-W', '-f', '${Version}', 'frr')}"
    recording = {
        "what": case.what,
        "daemon": f"metallb-speaker 0.15.2{frr}",
        "sent_open": opening.hex(),
        "stream": stream.hex(),
        "expect": expect,
    }
    (HERE / f"metallb-{case.name}.json").write_text(golden_tshark.dump(recording))
    print(f"metallb-{case.name}: {len(stream)} bytes, {len(expect['messages'])} messages", flush=True)


def record(cluster: Cluster, wanted: list[str]) -> None:
    """The cases that are named, or all: the native ones first, for frr-k8s changes the cluster for good."""
    prepare(cluster)
    cases = [case for case in CASES if not wanted or case.name in wanted]
    for case in cases:
        if case.native:
            write(case, asyncio.run(session(cluster, case)))
    if not wanted or "behaviour" in wanted:
        cluster.start_speaker()
        asyncio.run(golden_behaviour.show(cluster))
        cluster.stop_speaker()
    if any(not case.native for case in cases):
        prepare_frr_k8s(cluster)
        for case in cases:
            if not case.native:
                write(case, asyncio.run(session(cluster, case)))


def main(wanted: list[str]) -> None:
    """Record on one cluster; when that fails, show what the programs said."""
    with tempfile.TemporaryDirectory(prefix="golden-metallb-") as name, Lab(Path(name)) as lab:
        try:
            record(Cluster(lab), wanted)
        except BaseException:
            for log in sorted(lab.folder.glob("*.log")):
                print(f"--- {log.name}\n{log.read_text(errors='replace')[-5000:]}", file=sys.stderr)
            raise


if __name__ == "__main__":
    main(sys.argv[1:])
