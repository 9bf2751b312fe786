#!/usr/bin/env python3
"""Records the sessions of MetalLB's speakers anew: `record_metallb.py [CASE]...`, as root; all unless named.

A speaker dials, so the raw peer listens. Case `behaviour` records nothing: it prints what the native speaker does
when a session does not go as it should, with the seconds that README.md quotes.
"""

import asyncio
import contextlib
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from socket import AF_INET, AF_INET6
from typing import Any

import golden_tshark
from golden_cluster import PEER4, PEER6, PEER_PORT, Cluster, advertisement, peer, pool, service
from golden_net import Lab
from golden_peer import NOTIFICATION, PLAIN, RawPeer, message, open_message

HERE = Path(__file__).parent
ADDRESS = "192.168.30.1"
COMES_AND_GOES = "192.168.30.22"
BLOCK = "192.168.31.0/24"
ASN = 64512


@dataclass(frozen=True, slots=True)
class Case:
    """One session to be recorded."""

    name: str
    what: str  # the rest of a sentence that starts with "MetalLB's native speaker"
    hold_time: int = 90  # seconds, offered by the peer
    address: str = PEER4
    speaker: dict[str, Any] = field(default_factory=dict)  # of its BGPPeer


CASES = (
    Case("ibgp", "in the same AS: a prefix comes and goes, another one's LOCAL_PREF changes, ended by SIGTERM"),
    Case(
        "ebgp",
        "in another AS, with a hold time of 9 s, so that several KEEPALIVEs are among the bytes, ended by SIGTERM",
        9,
        speaker={"my_asn": 65010},
    ),
    Case("ebgp-as4", "in an AS above 65535, ended by SIGTERM", speaker={"my_asn": 4200000010}),
)


@contextlib.asynccontextmanager
async def listening(cluster: Cluster, address: str) -> AsyncIterator[asyncio.Queue[tuple[float, Any, Any]]]:
    """A listener of the raw peer's; each call is put in the queue with its time."""
    calls: asyncio.Queue[tuple[float, Any, Any]] = asyncio.Queue()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await calls.put((time.monotonic(), reader, writer))

    sock = cluster.lab.socket(cluster.peer, AF_INET6 if ":" in address else AF_INET)
    sock.bind((address, PEER_PORT))
    server = await asyncio.start_server(accept, sock=sock)
    try:
        yield calls
    finally:
        server.close()


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
        *service("traefik", ADDRESS),
        *service("in-block", "192.168.31.5"),
    )


async def session(cluster: Cluster, case: Case) -> bytes:
    """One whole session; returns what the speaker sent."""
    act = asyncio.to_thread
    async with listening(cluster, case.address) as calls:
        await act(cluster.apply, peer(case.address, **case.speaker))
        await act(cluster.start_speaker)
        _, reader, writer = await asyncio.wait_for(calls.get(), 60)
        raw = RawPeer(open_message(ASN, case.hold_time, PEER4, PLAIN))
        await raw.attach(reader, writer)
        await raw.established()
        await raw.quiet(7 if case.hold_time == 9 else 3)
        steps: list[Callable[[], Awaitable[None]]] = [
            lambda: act(cluster.apply, *service("gitea", COMES_AND_GOES)),
            lambda: act(cluster.delete, "service", "gitea"),
            lambda: act(cluster.apply, announced(localPref=150)),
            lambda: act(cluster.stop_speaker),
        ]
        for step in steps:
            await step()
            await raw.quiet(3)
        await asyncio.wait_for(raw.closed.wait(), 10)
        await raw.end()
    await act(cluster.delete, "bgppeer", "onepeer", namespace="metallb-system")
    await act(cluster.apply, announced(localPref=0))
    return raw.stream


def write(case: Case, stream: bytes) -> None:
    """Check a recording and put it into its file."""
    opening = open_message(ASN, case.hold_time, PEER4, PLAIN)
    expect = golden_tshark.decode(opening, stream)
    for key, wanted in (("announce", {ADDRESS, COMES_AND_GOES, BLOCK}), ("withdraw", {COMES_AND_GOES})):
        read = {prefix.removesuffix("/32") for one in expect["messages"] for prefix, _ in one.get(key, ())}
        if read != wanted:
            raise ValueError(f"{case.name}: {key}: {read} instead of {wanted}")
    recording = {
        "what": f"MetalLB's native speaker {case.what}.",
        "daemon": "metallb-speaker 0.15.2, METALLB_BGP_TYPE=native",
        "sent_open": opening.hex(),
        "stream": stream.hex(),
        "expect": expect,
    }
    (HERE / f"metallb-native-{case.name}.json").write_text(golden_tshark.dump(recording))
    print(f"metallb-native-{case.name}: {len(stream)} bytes, {len(expect['messages'])} messages", flush=True)


def main(wanted: list[str]) -> None:
    """Record what is named, or everything, on one cluster."""
    with tempfile.TemporaryDirectory(prefix="golden-metallb-") as name, Lab(Path(name)) as lab:
        cluster = Cluster(lab)
        try:
            prepare(cluster)
            for case in CASES:
                if not wanted or case.name in wanted:
                    write(case, asyncio.run(session(cluster, case)))
            if not wanted or "behaviour" in wanted:
                asyncio.run(behaviour(cluster))
        except BaseException:
            for log in sorted(lab.folder.glob("*metallb*.log")):
                print(f"--- {log.name}\n{log.read_text(errors='replace')[-5000:]}", file=sys.stderr)
            raise


async def behaviour(cluster):
    pass


if __name__ == "__main__":
    main(sys.argv[1:])
